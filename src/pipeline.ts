// The page to read: what happens to a call, stage by stage, in the order of the folders.
//
//   received -> identified -> screened -> understood -> decided -> cleared -> prepared -> forwarded -> recorded
//
// Steps are functions that return values and never call each other; this file alone branches, alone turns an error into
// an answer, and its `finally` alone writes the terminal record: one a call on every path (I4). Called by `listen/`.

import type { Duplex } from 'node:stream'

import type { Call, ClientSide, Decided, Prepared, Received, UnreadSocket } from './call.ts'
import { prepare } from './brokering/prepare.ts'
import { sendWithCredential } from './brokering/resend.ts'
import { takeFields, takeResponse } from './brokering/response.ts'
import { answerInstead } from './brokering/stand-in.ts'
import { scrubUpgrade } from './brokering/upgrade.ts'
import { EgressError, type Reason } from './errors.ts'
import { sendRequest } from './forward/request.ts'
import { relayTunnel } from './forward/tunnel.ts'
import { relayUpgrade, type UpgradeOptions } from './forward/upgrade.ts'
import { answerOwn, openOwnTunnel, refuseOwnUpgrade } from './envelope/own-call.ts'
import { holdRequest } from './holding/hold-request.ts'
import { holdTunnel, type HeldTunnel } from './holding/hold-tunnel.ts'
import { ancestorOf, screenRequest, settle } from './judge.ts'
import { meetObligations, meterAnswer, permitCall } from './ledger/clear.ts'
import type { CallPermit } from './net/permit.ts'
import { decideConnectTogether } from './policy/conjunction.ts'
import type { ConnectDecision } from './policy/decision.ts'
import { readTunnel, receive } from './receive.ts'
import {
  checkServerName,
  clear,
  dial,
  fail,
  letGo,
  passInformational,
  screen,
  type CallScope,
  type Parts,
} from './stages.ts'
import { understand, understandUpgrade } from './understand/understand.ts'
import { isOwnHost } from './wire/own-host.ts'
import type { Endpoint } from './wire/authority.ts'
import type { Sniffed } from './wire/client-hello.ts'
import { offerTo, type HttpProtocol } from './wire/protocol.ts'
import type { RequestHead, TunnelScope } from './wire/receive.ts'
import { makeUlid } from './wire/ulid.ts'

/** The client's side of an upgrade: the socket is ours once the head is judged. */
export interface UpgradeSide extends Pick<ClientSide, 'sendRefusal'>, UnreadSocket {
  detach(): Pick<UpgradeOptions, 'client' | 'head'>
}

/** What the first bytes of a tunnel are. */
export type TunnelStart = Extract<Sniffed, { kind: 'hello' }> | { kind: 'http' } | { kind: 'other' }

/** The client's side of a tunnel, made by a door. */
export interface TunnelSide extends UnreadSocket {
  /** Whether a refusal by rule is always told inside: the client asked for no tunnel. */
  readonly refusesInside: boolean
  /** Says that the tunnel stands: from here on the bytes are the tunnel's. */
  establish(): void
  /** Waits for the first bytes and says what they are; they stay unread. @throws EgressError head-timeout, client-gone */
  sniff(): Promise<TunnelStart>
  /**
   * Ends TLS here and serves the requests inside until the connection is over; resolves with how it ended.
   * @param protocols offered to the client
   */
  serveTls(
    scope: TunnelScope,
    protocols: readonly HttpProtocol[],
    refusal: Reason | undefined,
  ): Promise<Reason>
  /** Serves cleartext requests until the connection is over. */
  serveCleartext(scope: TunnelScope, refusal: Reason | undefined): Promise<Reason>
  /** Gives the socket away, with what was read of it. */
  detach(): { readonly client: Duplex; readonly head: Uint8Array }
  /** Before `establish`: answers. After it: a TLS alert where TLS began, else the connection is closed. What is for the
   * record alone breaks the connection off. */
  sendRefusal(reason: Reason, call: Call): void
}

/** Takes one HTTP request from its head to its record. */
export async function runRequest(
  call: Call,
  head: RequestHead,
  scope: CallScope,
  client: ClientSide,
  parts: Parts,
): Promise<void> {
  try {
    const received = receive(call, head, scope, parts)
    if (isOwnHost(received.request.endpoint.host)) {
      await answerOwn(received, scope, client, parts)
      return
    }
    const instead = answerInstead(received, scope, client, parts)
    if (instead && (await instead)) return
    const prepared = await admit(received, scope, client, parts)
    const { request } = prepared
    if (request.expectsContinue) client.sendContinue()
    parts.flow.noteLeaving(prepared)
    const { pool, limits } = parts
    const onInformational = passInformational(prepared, client, parts, takeFields)
    const answered = await sendWithCredential(prepared, parts, () => {
      const { body } = prepared.outgoing
      const permit = permitRequest(prepared)
      return sendRequest(prepared, { pool, limits, permit, request, body, onInformational })
    })
    parts.flow.noteRead(prepared)
    const response = await takeResponse(prepared, meterAnswer(prepared, answered), parts)
    call.noteResponse(response)
    const { inspection } = call
    await client.sendResponse(inspection ? await inspection.filterResponse(response) : response)
  } catch (error) {
    fail(call, error, parts)
    if (call.inspection) await call.inspection.awaitReader()
    client.sendRefusal(call.reason, call)
  } finally {
    letGo(call, parts)
    parts.recorder.recordEnd(call)
  }
}

/** Takes one WebSocket upgrade from its head to its record. */
export async function runUpgrade(
  call: Call,
  head: RequestHead,
  scope: CallScope,
  client: UpgradeSide,
  parts: Parts,
): Promise<void> {
  try {
    const received = receive(call, head, scope, parts)
    if (isOwnHost(received.request.endpoint.host)) await refuseOwnUpgrade(received, scope, parts)
    const prepared = await admit(received, scope, undefined, parts, client)
    // What comes back counts as read before the first byte of it can come.
    parts.flow.noteRead(prepared)
    call.reason = await relayUpgrade(prepared, {
      ...client.detach(),
      upstream: await dial(call, permitRequest(prepared), parts),
      responseTimeoutMs: parts.limits.responseTimeoutMs,
      onStatus: (status) => {
        call.response = { status }
      },
      scrub: scrubUpgrade(prepared, parts),
    })
  } catch (error) {
    fail(call, error, parts)
    client.sendRefusal(call.reason, call)
  } finally {
    letGo(call, parts)
    parts.recorder.recordEnd(call)
  }
}

/** Takes one CONNECT from its head to its record. Requests inside an inspected tunnel are calls of their own (I8). */
export async function runTunnel(
  call: Call,
  head: RequestHead,
  side: TunnelSide,
  parts: Parts,
): Promise<void> {
  try {
    const endpoint = readTunnel(call, head, parts)
    call.tunnel = endpoint
    const proof = parts.identifier.prove(call.arrival, head.headers)
    if (proof) await proof
    const identity = parts.identifier.identify(call.arrival, head.headers)
    call.identify(identity)
    parts.shares.claim(call)
    screen(call, { endpoint, headers: head.headers, path: '', query: undefined }, parts)
    if (isOwnHost(endpoint.host)) {
      await openOwnTunnel(call, endpoint, side)
      return
    }
    const startedAtMs = performance.now()
    const decision = decideConnectTogether(identity.policies, endpoint, identity.moment())
    call.decide(decision, makeUlid(Date.now()), (performance.now() - startedAtMs) * 1000)
    call.tunnelMode = decision.mode
    parts.flow.tellRead(call)
    if (decision.verdict !== 'deny') parts.switches.checkCall(endpoint.host, undefined)
    if (decision.verdict === 'deny') await refuseTunnel(call, endpoint, decision, side, parts)
    else if (decision.mode === 'inspect') await openInspected(call, endpoint, decision, side, parts)
    else await openOpaque(call, { endpoint, headers: head.headers }, decision, side, parts)
  } catch (error) {
    fail(call, error, parts)
    side.sendRefusal(call.reason, call)
  } finally {
    letGo(call, parts)
    parts.recorder.recordEnd(call)
  }
}

// What every HTTP call goes through before anything of it leaves. Nobody judges what an upgraded connection carries.
async function admit(
  received: Call & Received,
  scope: CallScope,
  client: ClientSide | undefined,
  parts: Parts,
  socket?: UnreadSocket,
): Promise<Call & Received & Prepared> {
  const proof = parts.identifier.prove(received.arrival, received.request.headers)
  if (proof) await proof
  const screened = screenRequest(received, scope, parts)
  if (client === undefined) await understandUpgrade(screened.call, parts)
  const reading = client && understand(screened, client, parts)
  const verdict = reading === undefined ? screened.verdict : await reading
  const decided = settle(screened.call, verdict, parts)
  if (decided.decision.verdict === 'hold')
    await holdRequest(decided, verdict, client, parts, socket)
  return prepare(await clear(decided, parts), client, parts)
}

function permitRequest(call: Call & Received & Prepared): CallPermit {
  const { request, outgoing } = call
  return permitCall(call, request.endpoint, request.scheme === 'https', outgoing.certificate)
}

// I2: a tunnel without inspection is judged by its name, and for `tls` by what the ClientHello says, before anything is dialed.
async function openOpaque(
  call: Call & Decided,
  tunnel: HeldTunnel,
  decision: ConnectDecision,
  side: TunnelSide,
  parts: Parts,
): Promise<void> {
  const { endpoint } = tunnel
  // What nobody looks into is for clients that ask for a tunnel.
  if (decision.mode === 'tcp' && side.refusesInside)
    throw new EgressError('protocol-not-allowed', { mode: 'tcp' })
  if (decision.verdict === 'hold') await holdTunnel(call, tunnel, decision, side, parts)
  if (decision.mode === 'tls') {
    side.establish()
    const start = await side.sniff()
    if (start.kind !== 'hello')
      throw new EgressError('protocol-not-allowed', { begins: start.kind })
    checkServerName(call, start, endpoint, 'required')
    if (start.ech) throw new EgressError('protocol-not-allowed', { begins: 'ech' })
  }
  parts.flow.checkSend(call)
  await meetObligations(call, parts.recorder, parts.tools.quotas)
  parts.flow.checkSend(call)
  call.clear()
  parts.flow.noteRead(call)
  const upstream = await dial(call, permitCall(call, endpoint, false), parts)
  if (decision.mode === 'tcp') side.establish()
  const { client, head } = side.detach()
  call.reason = await relayTunnel(call, client, upstream, head)
}

async function openInspected(
  call: Call & Decided,
  endpoint: Endpoint,
  { isSilent }: ConnectDecision,
  side: TunnelSide,
  parts: Parts,
): Promise<void> {
  await parts.recorder.recordStart(call)
  call.clear()
  side.establish()
  const permit = permitCall(call, endpoint, true)
  const askProtocols = isSilent ? undefined : () => parts.pool.protocolsOf(permit, call)
  call.reason = await serveInside(call, endpoint, side, askProtocols)
}

async function refuseTunnel(
  call: Call & Decided,
  endpoint: Endpoint,
  decision: ConnectDecision,
  side: TunnelSide,
  parts: Parts,
): Promise<void> {
  if (parts.refuseConnect === 'early' && !side.refusesInside)
    throw new EgressError(decision.reason, ancestorOf(call.identity.task, decision))
  side.establish()
  call.reason = decision.reason
  await serveInside(call, endpoint, side, undefined, decision.reason)
}

// What the upstream speaks is asked only for a client that leaves the choice; a refusal is told in whichever it likes best.
async function serveInside(
  call: Call,
  endpoint: Endpoint,
  side: TunnelSide,
  askProtocols: (() => Promise<readonly HttpProtocol[]>) | undefined,
  refusal?: Reason,
): Promise<Reason> {
  const start = await side.sniff()
  if (start.kind === 'other') throw new EgressError('protocol-not-allowed', { begins: 'other' })
  if (start.kind === 'http') return side.serveCleartext({ endpoint, tls: false }, refusal)
  checkServerName(call, start, endpoint, 'optional')
  const protocols = await offerTo(start.alpn, askProtocols)
  return side.serveTls({ endpoint, tls: true }, protocols, refusal)
}
