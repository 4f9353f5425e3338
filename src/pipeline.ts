// The page to read: what happens to a call, stage by stage, in the order of the folders.
//
//   received -> identified -> screened -> understood -> decided -> cleared -> prepared -> forwarded -> recorded
//
// Steps are functions that return values and never call each other; this file alone branches, alone turns an error into
// an answer, and its `finally` alone writes the terminal record: one a call on every path (I4). Called by `listen/`.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import type { Call, Cleared, ClientSide, Decided, Identified, Prepared, Received } from './call.ts'
import { EgressError, REASONS, type Reason } from './errors.ts'
import type { CredentialStore } from './credentials/store.ts'
import type { UpstreamPool } from './forward/pool.ts'
import { sendRequest } from './forward/request.ts'
import { relayTunnel } from './forward/tunnel.ts'
import { relayUpgrade, type UpgradeOptions } from './forward/upgrade.ts'
import type { Identifier } from './identify/identify.ts'
import { prepareHead } from './inject/prepare.ts'
import { screenPlaceholders } from './inject/screen.ts'
import { watchBody } from './inject/watch-body.ts'
import { clearCall, limitBody } from './ledger/clear.ts'
import type { Limits } from './limits.ts'
import type { Dialer } from './net/dial.ts'
import type { CallPermit } from './net/permit.ts'
import { decide, decideConnect } from './policy/decide.ts'
import type { ConnectDecision } from './policy/decision.ts'
import type { CallRecorder } from './record/recorder.ts'
import { normalizeHost, type Endpoint } from './wire/authority.ts'
import type { Body } from './wire/body.ts'
import type { Sniffed } from './wire/client-hello.ts'
import { readConnect, readRequest, type RequestHead, type TunnelScope } from './wire/receive.ts'
import { makeUlid } from './wire/ulid.ts'

/** What the stages work with: made once in `sidecar.ts`. */
export interface Parts {
  readonly limits: Limits
  readonly identifier: Identifier
  readonly credentials: CredentialStore
  readonly dialer: Dialer
  readonly pool: UpstreamPool
  readonly recorder: CallRecorder
  /** `inside`: a refused CONNECT is accepted and each request in it answered with the refusal; nothing is dialed. */
  readonly refuseConnect: 'early' | 'inside'
  /** Told of every error that no table foresees: a programmer's mistake, which fails the call closed. */
  readonly onUnexpected: (error: unknown, call: Call) => void
}

/** Where an HTTP call came out of. */
export interface CallScope {
  readonly tunnel?: TunnelScope
  /** Set where the tunnel around it was refused and each request is to say so. */
  readonly refusal?: Reason
}

/** The client's side of an upgrade: the socket is ours once the head is judged. */
export interface UpgradeSide extends Pick<ClientSide, 'sendRefusal'> {
  detach(): Pick<UpgradeOptions, 'request' | 'client' | 'head'>
}

/** What the first bytes of a tunnel are. */
export type TunnelStart = Extract<Sniffed, { kind: 'hello' }> | { kind: 'http' } | { kind: 'other' }

/** The client's side of a CONNECT, made by a door. */
export interface TunnelSide {
  /** Answers 200: from here on the bytes are the tunnel's. */
  establish(): void
  /** Waits for the first bytes and says what they are; they stay unread. @throws EgressError head-timeout, client-gone */
  sniff(): Promise<TunnelStart>
  /** Ends TLS here and serves the requests inside until the connection is over; resolves with how it ended. */
  serveTls(scope: TunnelScope, refusal: Reason | undefined): Promise<Reason>
  /** Serves cleartext requests until the connection is over. */
  serveCleartext(scope: TunnelScope, refusal: Reason | undefined): Promise<Reason>
  /** Gives the socket away, with what was read of it. */
  detach(): { readonly client: Duplex; readonly head: Uint8Array }
  /** Before `establish`: answers. After it: a TLS alert where TLS began, else the connection is closed. */
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
    const admitted = await admit(call, head, scope, parts)
    const prepared = await prepare(admitted.call, parts)
    const { request } = prepared
    if (request.expectsContinue) client.sendContinue()
    const response = await sendRequest(prepared, {
      pool: parts.pool,
      limits: parts.limits,
      permit: admitted.permit,
      request,
      body: guardBody(prepared, client, parts),
      onInformational: (status, headers) => client.sendInformational(status, headers),
    })
    call.noteResponse(response)
    await client.sendResponse(response)
  } catch (error) {
    fail(call, error, parts)
    if (isSent(call.reason)) client.sendRefusal(call.reason, call)
  } finally {
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
    const admitted = await admit(call, head, scope, parts)
    const prepared = await prepare(admitted.call, parts)
    call.reason = await relayUpgrade(prepared, {
      ...client.detach(),
      upstream: await dial(call, admitted.permit, parts),
      responseTimeoutMs: parts.limits.responseTimeoutMs,
      onStatus: (status) => {
        call.response = { status }
      },
    })
  } catch (error) {
    fail(call, error, parts)
    if (isSent(call.reason)) client.sendRefusal(call.reason, call)
  } finally {
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
    const endpoint = readConnect(head, parts.limits.headerCountMax)
    call.tunnel = endpoint
    const identity = parts.identifier.identify(call.arrival.client, head.headers)
    call.identify(identity)
    screen(call, { endpoint, headers: head.headers, path: '', query: undefined }, parts)
    const startedAtMs = performance.now()
    const decision = decideConnect(identity.policy, endpoint)
    call.decide(decision, makeUlid(Date.now()), (performance.now() - startedAtMs) * 1000)
    call.tunnelMode = decision.mode
    if (decision.verdict === 'deny') await refuseTunnel(call, endpoint, decision, side, parts)
    else if (decision.mode === 'inspect') await openInspected(call, endpoint, side, parts)
    else await openOpaque(call, endpoint, decision, side, parts)
  } catch (error) {
    fail(call, error, parts)
    if (isSent(call.reason)) side.sendRefusal(call.reason, call)
  } finally {
    parts.recorder.recordEnd(call)
  }
}

// received .. cleared, the same for every HTTP call. No inspector is needed by the rules of this version, so `understood`
// adds nothing between screening and deciding.
async function admit(
  call: Call,
  head: RequestHead,
  scope: CallScope,
  parts: Parts,
): Promise<{ call: Call & Received & Cleared; permit: CallPermit }> {
  const request = readRequest(head, scope.tunnel, parts.limits.headerCountMax)
  call.receive(request)
  const identity = parts.identifier.identify(call.arrival.client, request.headers)
  call.identify(identity)
  if (scope.refusal) throw new EgressError(scope.refusal)
  screen(
    call,
    { endpoint: request.endpoint, headers: request.headers, path: request.path.raw, query: request.query },
    parts,
  )
  const startedAtMs = performance.now()
  const decision = decide(identity.policy, request)
  call.decide(decision, makeUlid(Date.now()), (performance.now() - startedAtMs) * 1000)
  if (decision.verdict === 'deny') throw new EgressError(decision.reason)
  const permit = await clearCall(call, request.endpoint, request.scheme === 'https', parts.recorder)
  call.clear()
  return { call, permit }
}

async function prepare<C extends Call & Received & Cleared>(call: C, parts: Parts): Promise<C & Prepared> {
  const { request, decision } = call
  const { credential: name } = decision.obligations
  const definition = name === undefined ? undefined : parts.credentials.definition(name)
  if (name !== undefined && definition === undefined)
    throw new EgressError('credential-unavailable', { credential: name })
  const head = prepareHead({
    method: request.method,
    headers: request.headers,
    path: request.path.raw,
    query: request.query,
    endpoint: request.endpoint,
    scheme: request.scheme,
    obligations: decision.obligations,
    brokered: parts.credentials.definitionsFor(request.endpoint),
    ...(definition && { credential: { definition, secret: await parts.credentials.secret(definition.name) } }),
    upgrade: request.upgrade,
  })
  if (head.used) call.credential = head.used
  call.prepare({ headers: head.headers, path: head.path })
  return call
}

// I2: a tunnel without inspection is judged by its name, and for `tls` by what the ClientHello says, before anything is dialed.
async function openOpaque(
  call: Call & Decided,
  endpoint: Endpoint,
  decision: ConnectDecision,
  side: TunnelSide,
  parts: Parts,
): Promise<void> {
  if (decision.mode === 'tls') {
    side.establish()
    const start = await side.sniff()
    if (start.kind !== 'hello') throw new EgressError('protocol-not-allowed', { begins: start.kind })
    checkServerName(call, start, endpoint, 'required')
    if (start.ech) throw new EgressError('protocol-not-allowed', { begins: 'ech' })
  }
  const permit = await clearCall(call, endpoint, false, parts.recorder)
  call.clear()
  const upstream = await dial(call, permit, parts)
  if (decision.mode === 'tcp') side.establish()
  const { client, head } = side.detach()
  call.reason = await relayTunnel(call, client, upstream, head)
}

async function openInspected(
  call: Call & Decided,
  endpoint: Endpoint,
  side: TunnelSide,
  parts: Parts,
): Promise<void> {
  await parts.recorder.recordStart(call)
  call.clear()
  side.establish()
  call.reason = await serveInside(call, endpoint, side, undefined)
}

async function refuseTunnel(
  call: Call & Decided,
  endpoint: Endpoint,
  decision: ConnectDecision,
  side: TunnelSide,
  parts: Parts,
): Promise<void> {
  if (parts.refuseConnect === 'early') throw new EgressError(decision.reason)
  side.establish()
  call.reason = decision.reason
  await serveInside(call, endpoint, side, decision.reason)
}

async function serveInside(
  call: Call,
  endpoint: Endpoint,
  side: TunnelSide,
  refusal: Reason | undefined,
): Promise<Reason> {
  const start = await side.sniff()
  if (start.kind === 'other') throw new EgressError('protocol-not-allowed', { begins: 'other' })
  if (start.kind === 'http') return side.serveCleartext({ endpoint, tls: false }, refusal)
  checkServerName(call, start, endpoint, 'optional')
  return side.serveTls({ endpoint, tls: true }, refusal)
}

function checkServerName(
  call: Call,
  hello: Extract<Sniffed, { kind: 'hello' }>,
  endpoint: Endpoint,
  presence: 'required' | 'optional',
): void {
  const { serverName } = hello
  if (serverName !== undefined) call.clientTls = { serverName }
  const agrees =
    serverName === undefined
      ? presence === 'optional' || endpoint.kind !== 'name'
      : normalizeHost(serverName).host === endpoint.host
  if (!agrees) throw new EgressError('authority-mismatch', { part: 'sni' })
}

function screen(
  call: Call & Identified,
  head: Pick<Parameters<typeof screenPlaceholders>[0], 'endpoint' | 'headers' | 'path' | 'query'>,
  parts: Parts,
): void {
  const placeholders = parts.credentials.placeholders(call.identity.task.id)
  if (placeholders.size > 0) screenPlaceholders({ ...head, placeholders })
}

// The body as the obligations let it leave: bounded, and watched for placeholders.
function guardBody(call: Call & Decided, client: ClientSide, parts: Parts): Body {
  const { bodyBytesMax, placeholderInBody } = call.decision.obligations
  if (client.body.length === 0) return client.body
  const bounded = bodyBytesMax === undefined ? client.body : limitBody(client.body, bodyBytesMax)
  const placeholders = parts.credentials.placeholders(call.identity.task.id)
  if (placeholders.size === 0) return bounded
  return watchBody(bounded, placeholders, (credential) => {
    parts.recorder.recordPlaceholderInBody(call, credential)
    if (placeholderInBody === 'refuse') throw new EgressError('placeholder-misused', { place: 'body' })
  })
}

async function dial(call: Call, permit: CallPermit, parts: Parts): Promise<Socket> {
  const abort = new AbortController()
  call.onCut(() => abort.abort())
  const { socket, address, port, tlsVersion } = await parts.dialer.dial(permit, {
    tls: permit.tls,
    signal: abort.signal,
  })
  call.upstream = tlsVersion === undefined ? { address, port } : { address, port, tlsVersion }
  return socket
}

function fail(call: Call, error: unknown, parts: Parts): void {
  if (call.cutReason !== undefined) call.reason = call.cutReason
  else if (error instanceof EgressError) {
    call.reason = error.reason
    call.detail = error.detail
  } else {
    call.reason = 'internal'
    parts.onUnexpected(error, call)
  }
}

// Terminal reasons are for the record: there is nobody left to tell, or the answer had begun.
function isSent(reason: Reason): boolean {
  return REASONS[reason].status !== 0
}
