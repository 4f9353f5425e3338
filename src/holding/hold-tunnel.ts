// The stage cleared of a tunnel that nobody looks into and a rule holds: the CONNECT is answered only once a person let it
// through. What the tunnel then carries nobody sees; what is approved is where it goes. Called by `pipeline.ts`.

import type { Call, Decided, UnreadSocket } from '../call.ts'
import { EgressError } from '../errors.ts'
import { ancestorOf } from '../judge.ts'
import { digestCall } from '../ledger/holds/digest.ts'
import { decideConnectTogether } from '../policy/conjunction.ts'
import type { ConnectDecision } from '../policy/decision.ts'
import type { Parts } from '../stages.ts'
import type { Endpoint } from '../wire/authority.ts'
import type { RawHeaders } from '../wire/body.ts'
import { makeUlid } from '../wire/ulid.ts'
import { basisOf } from './basis.ts'
import { joinHold } from './join-hold.ts'

/** A CONNECT that is held. */
export interface HeldTunnel {
  readonly endpoint: Endpoint
  /** Of the CONNECT: they prove the task, and are not forwarded. */
  readonly headers: RawHeaders
}

/**
 * Waits until a person lets a tunnel through.
 * @throws approval-pending, approval-denied, approval-timeout, quota-exceeded, or what changed meanwhile
 */
export async function holdTunnel(
  call: Call & Decided,
  tunnel: HeldTunnel,
  decision: ConnectDecision,
  socket: UnreadSocket,
  parts: Parts,
): Promise<void> {
  const { hold: terms, rule, mode: scheme } = decision
  if (terms === undefined || rule === undefined) throw new EgressError(decision.reason)
  const { endpoint } = tunnel
  const method = 'CONNECT'
  const digest = digestCall({
    kind: 'tunnel',
    method,
    scheme,
    endpoint,
    path: '',
    query: undefined,
    headers: [],
    body: '',
  })
  const { host, port } = endpoint
  await joinHold(call, parts, {
    asked: {
      task: call.identity.task,
      digest,
      basis: basisOf(decision),
      rule,
      terms,
      describe: () => ({ kind: 'tunnel', method, scheme, host, port }),
    },
    judgeBasis: () => basisOf(judgeAgain(call, tunnel, parts)),
    socket,
  })
}

function judgeAgain(
  call: Call & Decided,
  { endpoint, headers }: HeldTunnel,
  parts: Parts,
): ConnectDecision {
  const identity = parts.identifier.identify(call.arrival, headers)
  call.renew(identity)
  const startedAtMs = performance.now()
  const decision = decideConnectTogether(identity.policies, endpoint, identity.moment())
  call.decideAgain(decision, makeUlid(Date.now()), (performance.now() - startedAtMs) * 1000)
  parts.flow.tellRead(call)
  if (decision.verdict === 'deny')
    throw new EgressError(decision.reason, ancestorOf(identity.task, decision))
  parts.switches.checkCall(endpoint.host, undefined)
  return decision
}
