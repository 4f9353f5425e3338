// The way of a call to the proxy's own name, from its head to its answer: whose it is, as of any call, and then nothing that
// leaves: no rule, no permit, no start on record before. The pipeline branches here and writes the one record.

import type { Call, ClientSide, Identified, Received } from '../call.ts'
import { EgressError, type Reason } from '../errors.ts'
import { identifyRequest, settleOwn } from '../judge.ts'
import type { CallScope, Parts } from '../stages.ts'
import type { Endpoint } from '../wire/authority.ts'
import { ownHostFault } from '../wire/own-host.ts'
import type { TunnelScope } from '../wire/receive.ts'

/** Of a tunnel's side, what is needed of it here. */
export interface OwnTunnelSide {
  establish(): void
  sniff(): Promise<{ readonly kind: string }>
  serveCleartext(scope: TunnelScope, refusal: Reason | undefined): Promise<Reason>
}

/** Answers a request. @throws EgressError of the stages identified and screened, and what the answer throws */
export async function answerOwn(
  received: Call & Received,
  scope: CallScope,
  client: ClientSide,
  parts: Parts,
): Promise<void> {
  const call = await identifyOwn(received, scope, parts)
  const response = await parts.envelope.answer(call, client)
  const settled: Call & Identified = settleOwn(call)
  settled.clear()
  settled.noteResponse(response)
  await client.sendResponse(response)
}

/** Refuses an upgrade: nothing here is a stream. @throws EgressError always */
export async function refuseOwnUpgrade(
  received: Call & Received,
  scope: CallScope,
  parts: Parts,
): Promise<never> {
  await identifyOwn(received, scope, parts)
  throw new EgressError('protocol-not-allowed', { part: 'upgrade' })
}

/** Opens a tunnel, for clients that open one for every request. @throws EgressError protocol-not-allowed, port-not-allowed */
export async function openOwnTunnel(
  call: Call & Identified,
  endpoint: Endpoint,
  side: OwnTunnelSide,
): Promise<void> {
  const fault = ownHostFault(endpoint, 'http')
  if (fault !== undefined) throw new EgressError(fault)
  const settled: Call & Identified = settleOwn(call)
  settled.clear()
  call.tunnelMode = 'inspect'
  side.establish()
  const start = await side.sniff()
  if (start.kind !== 'http') throw new EgressError('protocol-not-allowed', { begins: start.kind })
  call.reason = await side.serveCleartext({ endpoint, tls: false }, undefined)
}

async function identifyOwn(
  received: Call & Received,
  scope: CallScope,
  parts: Parts,
): Promise<Call & Received & Identified> {
  const proof = parts.identifier.prove(received.arrival, received.request.headers)
  if (proof) await proof
  return identifyRequest(received, scope, parts)
}
