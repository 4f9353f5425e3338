// The steps of a call that `pipeline.ts` puts in order: each takes what it needs, returns what it adds, and knows no other.
// The steps are called by `pipeline.ts` alone; `listen/` uses the types, and `isSent` for what it answers by itself.

import type { Socket } from 'node:net'

import type { Call, Cleared, ClientSide, Decided, Identified, Prepared, Received } from './call.ts'
import type { CredentialStore } from './credentials/store.ts'
import { EgressError, REASONS, type Reason } from './errors.ts'
import type { UpstreamPool } from './forward/pool.ts'
import { TaskRefusal, type Identifier } from './identify/identify.ts'
import { prepareHead } from './inject/prepare.ts'
import { screenPlaceholders } from './inject/screen.ts'
import { watchBody } from './inject/watch-body.ts'
import { limitBody, meetObligations } from './ledger/clear.ts'
import type { Limits } from './limits.ts'
import type { Dialer } from './net/dial.ts'
import type { CallPermit } from './net/permit.ts'
import { decideTogether, type PolicyChain } from './policy/conjunction.ts'
import type { Decision } from './policy/decision.ts'
import type { CallRecorder } from './record/recorder.ts'
import type { Task, TaskStanding } from './tasks/task.ts'
import { normalizeHost, type Endpoint } from './wire/authority.ts'
import type { Body } from './wire/body.ts'
import type { Sniffed } from './wire/client-hello.ts'
import {
  readRequest,
  type CanonicalRequest,
  type RequestHead,
  type TunnelScope,
} from './wire/receive.ts'
import { makeUlid } from './wire/ulid.ts'

// What can be wrong with a request whose end is beyond doubt all the same.
const FRAMED_REASONS: ReadonlySet<Reason> = new Set<Reason>([
  'missing-host',
  'duplicate-host',
  'authority-mismatch',
  'malformed-target',
  'malformed-port',
  'malformed-path',
  'scoped-ip',
  'method-not-allowed',
])
const METHOD_OVERRIDES: ReadonlySet<string> = new Set([
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
])
const OVERRIDE_LENGTHS: ReadonlySet<number> = new Set(
  [...METHOD_OVERRIDES].map(({ length }) => length),
)

/** What the stages work with: made once in `sidecar.ts`. */
export interface Parts {
  readonly limits: Limits
  readonly identifier: Identifier
  readonly credentials: CredentialStore
  readonly dialer: Dialer
  readonly pool: UpstreamPool
  readonly recorder: CallRecorder
  readonly switches: CallSwitches
  readonly shares: TaskShares
  /** Told of a credential that is about to be used for a task. */
  readonly onCredential: (task: TaskStanding, name: string) => void
  /** `inside`: a refused CONNECT is accepted and each request in it answered with the refusal; nothing is dialed. */
  readonly refuseConnect: 'early' | 'inside'
  /** Told of every error that no table foresees: a programmer's mistake, which fails the call closed. */
  readonly onUnexpected: (error: unknown, call: Call) => void
}

/** What each task may have open, so that none keeps the others out. */
interface TaskShares {
  /** @throws busy */
  claim(call: Call): void
}

/** What operators switched off, as calls ask. */
interface CallSwitches {
  /** @throws EgressError killed */
  checkCall(host: string, credential: string | undefined): void
}

/** Where an HTTP call came out of. */
export interface CallScope {
  readonly tunnel?: TunnelScope
  /** Set where the tunnel around it was refused and each request is to say so. */
  readonly refusal?: Reason
}

/** The stage received of an HTTP call. @throws EgressError of that stage */
export function receive(
  call: Call,
  head: RequestHead,
  scope: CallScope,
  parts: Parts,
): Call & Received {
  call.receive(readHead(call, head, scope, parts))
  return call
}

/**
 * The stages identified to decided, the same for every HTTP call. No inspector is needed by the rules of this version, so
 * `understood` adds nothing between screening and deciding.
 * @throws EgressError of those stages
 */
export function judgeRequest(
  call: Call & Received,
  scope: CallScope,
  parts: Parts,
): Call & Received & Decided {
  const { request } = call
  const identity = parts.identifier.identify(call.arrival, request.headers)
  call.identify(identity)
  parts.shares.claim(call)
  if (scope.refusal) throw new EgressError(scope.refusal)
  screen(
    call,
    {
      endpoint: request.endpoint,
      headers: request.headers,
      path: request.path.raw,
      query: request.query,
    },
    parts,
  )
  const startedAtMs = performance.now()
  const { decision, override } = judge(identity.policies, request)
  call.decide(decision, makeUlid(Date.now()), (performance.now() - startedAtMs) * 1000)
  if (decision.verdict === 'deny')
    throw new EgressError(decision.reason, {
      ...(override !== undefined && { override }),
      ...ancestorOf(identity.task, decision),
    })
  parts.switches.checkCall(request.endpoint.host, decision.obligations.credential)
  return call
}

/** The stage cleared of an HTTP call: its start is on record. @throws body-too-large, audit-unavailable */
export async function clear(
  call: Call & Received & Decided,
  parts: Parts,
): Promise<Call & Received & Cleared> {
  await meetObligations(call, parts.recorder)
  call.clear()
  return call
}

/** Which task above refused, where one did; small facts for the record. */
export function ancestorOf(
  task: Task,
  { ancestor }: Pick<Decision, 'ancestor'>,
): EgressError['detail'] {
  const id = ancestor === undefined ? undefined : task.path.at(-1 - ancestor)
  return id === undefined ? {} : { refusedFor: id }
}

// Upstreams that heed an overriding method do not do what the request line says: the rules must allow that one too, and
// where they do not, that is the decision.
function judge(
  policies: PolicyChain,
  request: CanonicalRequest,
): { decision: Decision; override?: string } {
  const decision = decideTogether(policies, request)
  if (decision.verdict === 'deny') return { decision }
  for (let at = 0; at < request.headers.length; at += 2) {
    const name = request.headers[at]!
    if (!OVERRIDE_LENGTHS.has(name.length) || !METHOD_OVERRIDES.has(name.toLowerCase())) continue
    const method = request.headers[at + 1]!.trim().toUpperCase()
    const overridden = decideTogether(policies, { ...request, method })
    if (overridden.verdict === 'deny') return { decision: overridden, override: name.toLowerCase() }
  }
  return { decision }
}

// Where the framing is in doubt nobody can say where the next request begins: the door is told before anything is awaited.
function readHead(call: Call, head: RequestHead, scope: CallScope, parts: Parts): CanonicalRequest {
  try {
    return readRequest(head, scope.tunnel, parts.limits.headerCountMax)
  } catch (error) {
    call.framingInDoubt = !(error instanceof EgressError && FRAMED_REASONS.has(error.reason))
    throw error
  }
}

/** The stage prepared: the outgoing head, the credential in its place. @throws credential-unavailable */
export async function prepare<C extends Call & Received & Cleared>(
  call: C,
  parts: Parts,
): Promise<C & Prepared> {
  const { request, decision } = call
  const { credential: name } = decision.obligations
  const definition = name === undefined ? undefined : parts.credentials.definition(name)
  if (name !== undefined && definition === undefined)
    throw new EgressError('credential-unavailable', { credential: name })
  if (definition !== undefined) parts.onCredential(call.identity.standing, definition.name)
  const added = definition && {
    definition,
    secret: await parts.credentials.secret(definition.name),
  }
  const head = prepareHead({
    headers: request.headers,
    path: request.path.raw,
    query: request.query,
    endpoint: request.endpoint,
    scheme: request.scheme,
    obligations: decision.obligations,
    addresses: decision.addresses,
    brokered: parts.credentials.definitionsFor(request.endpoint),
    ...(added && { credential: added }),
  })
  if (head.used) call.credential = head.used
  call.prepare({ headers: head.headers, path: head.path })
  return call
}

/** Compares what the ClientHello names with where the tunnel goes. @throws authority-mismatch */
export function checkServerName(
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

/** The stage screened: from the head alone. @throws placeholder-misused */
export function screen(
  call: Call & Identified,
  head: Pick<Parameters<typeof screenPlaceholders>[0], 'endpoint' | 'headers' | 'path' | 'query'>,
  parts: Parts,
): void {
  const placeholders = parts.credentials.placeholders(call.identity.task.id)
  if (placeholders.size > 0) screenPlaceholders({ ...head, placeholders })
}

/** The body as the obligations let it leave: bounded, and watched for placeholders. */
export function guardBody(call: Call & Decided, client: ClientSide, parts: Parts): Body {
  const { bodyBytesMax, placeholderInBody } = call.decision.obligations
  if (client.body.length === 0) return client.body
  const bounded = bodyBytesMax === undefined ? client.body : limitBody(client.body, bodyBytesMax)
  const placeholders = parts.credentials.placeholders(call.identity.task.id)
  if (placeholders.size === 0) return bounded
  return watchBody(bounded, placeholders, (credential) => {
    parts.recorder.recordPlaceholderInBody(call, credential)
    if (placeholderInBody === 'refuse')
      throw new EgressError('placeholder-misused', { place: 'body' })
  })
}

/** Dials for a call that speaks no plain request and response; cutting the call ends the attempt. */
export async function dial(call: Call, permit: CallPermit, parts: Parts): Promise<Socket> {
  const abort = new AbortController()
  call.onCut(() => abort.abort())
  const { socket, address, port, tlsVersion } = await parts.dialer.dial(permit, {
    tls: permit.tls,
    signal: abort.signal,
  })
  call.upstream = tlsVersion === undefined ? { address, port } : { address, port, tlsVersion }
  return socket
}

/** Gives a failed call its reason; whatever no row foresees is a programmer's mistake and fails the call closed. */
export function fail(call: Call, error: unknown, parts: Parts): void {
  // What was wrong with the call itself says more than that its client left while it was refused.
  const refused = error instanceof EgressError && call.cleared !== true && isSent(error.reason)
  if (call.cutReason !== undefined && !refused) call.reason = call.cutReason
  else if (error instanceof EgressError) {
    call.reason = error.reason
    call.detail = error.detail
    if (error instanceof TaskRefusal) call.task = error.task
  } else {
    call.reason = 'internal'
    parts.onUnexpected(error, call)
  }
}

/** Whether a reason is told to the client: terminal ones are for the record, nobody is left or an answer had begun. */
export function isSent(reason: Reason): boolean {
  return REASONS[reason].status !== 0
}
