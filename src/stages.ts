// The steps of a call that `pipeline.ts` puts in order: each takes what it needs, returns what it adds, and knows no other.
// Called by `pipeline.ts` and `judge.ts`; `understand/` and `listen/` use the types, and `isSent` for what they have answered.

import type { Socket } from 'node:net'

import type {
  Call,
  Cleared,
  ClientSide,
  Decided,
  Identified,
  Prepared,
  Received,
  UpstreamResponse,
} from './call.ts'
import type { CredentialStore } from './credentials/store.ts'
import { EgressError, REASONS, type Reason } from './errors.ts'
import { boundInformational } from './forward/informational.ts'
import type { UpstreamPool } from './forward/pool.ts'
import { TaskRefusal, type Identifier } from './identify/identify.ts'
import { screenPlaceholders } from './inject/screen.ts'
import { meetObligations } from './ledger/clear.ts'
import type { Holds } from './ledger/holds/holds.ts'
import type { FlowMarks } from './ledger/flow-marks.ts'
import type { TaskShares } from './ledger/task-shares.ts'
import type { OpenRequests } from './ledger/open-requests.ts'
import type { Quotas } from './ledger/quotas.ts'
import type { ToolPins } from './ledger/tool-pins.ts'
import type { Redactor } from './inspect/redactor.ts'
import type { Limits } from './limits.ts'
import type { Dialer } from './net/dial.ts'
import { upstreamOf } from './net/dialed.ts'
import type { CallPermit } from './net/permit.ts'
import type { ContentModes } from './policy/subject.ts'
import type { CallRecorder } from './record/recorder.ts'
import type { TaskStanding } from './tasks/task.ts'
import { normalizeHost, type Endpoint } from './wire/authority.ts'
import type { RawHeaders } from './wire/body.ts'
import type { Sniffed } from './wire/client-hello.ts'
import type { DirectScope, TunnelScope } from './wire/receive.ts'

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
  /** What trees of tasks have read. */
  readonly flow: FlowMarks
  /** Answers what is asked of the proxy itself. */
  readonly envelope: OwnAnswers
  /** What tasks have seen of the tools they use, asked of them, and used of limits. */
  readonly tools: {
    readonly pins: ToolPins
    readonly requests: OpenRequests
    readonly quotas: Pick<Quotas, 'take'>
  }
  /** The calls that wait for a person. */
  readonly holds: Pick<Holds, 'join'>
  /** What records keep of prompts and tool calls where no rule says. */
  readonly record: ContentModes
  /** Names of request header fields, in lower case, whose values records keep. */
  readonly recordedHeaders: readonly string[]
  /** Takes secrets out of what records keep. */
  readonly redactor: Redactor
  /** The name that a synthetic address was given for to a task, by our DNS. */
  readonly nameGiven: (taskId: string, address: string) => string | undefined
  /** Told of a credential that is about to be used for a task. */
  readonly onCredential: (task: TaskStanding, name: string) => void
  /** `inside`: a refused CONNECT is accepted and each request in it answered with the refusal; nothing is dialed. */
  readonly refuseConnect: 'early' | 'inside'
  /** Told of every error that no table foresees: a programmer's mistake, which fails the call closed. */
  readonly onUnexpected: (error: unknown, call: Pick<Call, 'id'>) => void
}

/** What the proxy's own name answers. */
interface OwnAnswers {
  /** @throws EgressError where it is not asked as it may be */
  answer(call: Call & Received & Identified, client: ClientSide): Promise<UpstreamResponse>
}

/** What operators switched off, as calls ask. */
interface CallSwitches {
  /** @throws EgressError killed */
  checkCall(host: string, credential: string | undefined): void
  isToolKilled(host: string, tool: string): boolean
}

/** Where an HTTP call came out of. */
export interface CallScope {
  readonly tunnel?: TunnelScope
  /** Set where the client knows of no proxy. */
  readonly direct?: DirectScope
  /** Set where the tunnel around it was refused and each request is to say so. */
  readonly refusal?: Reason
}

/** The stage cleared: its start is on record. @throws flow-violation, body-too-large, quota-exceeded, audit-unavailable */
export async function clear(
  call: Call & Received & Decided,
  parts: Parts,
): Promise<Call & Received & Cleared> {
  // In the turn in which it was decided: from here on whatever its task reads cuts it.
  parts.flow.checkSend(call)
  const started = meetObligations(call, parts.recorder, parts.tools.quotas)
  const { inspection } = call
  // Asked for in one go, so that the start stands before what was said, in one write.
  if (inspection === undefined) await started
  else await Promise.all([started, inspection.recordRequest()])
  parts.flow.checkSend(call)
  call.clear()
  return call
}

/** What is done with what an upstream says before its answer: within its bound, the client is told what may go on of it. */
export function passInformational(
  call: Call & Received & Prepared,
  client: ClientSide,
  parts: Parts,
  take: (call: Call & Prepared, headers: RawHeaders, parts: Parts) => RawHeaders,
): (status: number, headers: RawHeaders) => void {
  return boundInformational(parts.limits.responseHeadBytesMax, (status, headers) => {
    // It carries the upstream's bytes as any answer does.
    if (parts.flow.noteReadOrCut(call)) client.sendInformational(status, take(call, headers, parts))
  })
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

/** Dials for a call that speaks no plain request and response; cutting the call ends the attempt. */
export async function dial(call: Call, permit: CallPermit, parts: Parts): Promise<Socket> {
  const abort = new AbortController()
  call.onCut(() => abort.abort())
  const dialed = await parts.dialer.dial(permit, { tls: permit.tls, signal: abort.signal })
  call.upstream = upstreamOf(dialed)
  return dialed.socket
}

/** Lets what read a call that is over say what it found, gives back what the call held, and says how what its client dialed compares with where it went. */
export function letGo(call: Call, parts: Parts): void {
  call.inspection?.finish()
  parts.flow.letGo(call)
  call.charge?.close(call.cleared === true)
  const { dialed } = call.arrival.client
  if (dialed !== undefined) call.dialedMatch = matchDialed(call, dialed.address, parts)
}

// For the record alone: the address is the client's word, and nothing is decided by it.
function matchDialed(call: Call, address: string, parts: Parts): Call['dialedMatch'] {
  const endpoint = call.request?.endpoint ?? call.tunnel
  if (call.upstream?.address === address || endpoint?.host === address) return 'upstream'
  if (endpoint === undefined || call.identity === undefined) return undefined
  const name = parts.nameGiven(call.identity.task.id, address)
  if (name !== undefined) return name === endpoint.host ? 'synthetic' : 'other'
  const known = parts.dialer.knownAddresses(endpoint.host, call.identity.task.id)
  if (known.includes(address)) return 'resolved'
  return known.length > 0 || call.upstream ? 'other' : undefined
}

/** Gives a failed call its reason; whatever no row foresees is a programmer's mistake and fails the call closed. */
export function fail(call: Call, error: unknown, parts: Parts): void {
  // What was wrong with the call itself says more than that its client left while it was refused.
  const refused = error instanceof EgressError && call.cleared !== true && isSent(error.reason)
  if (call.cutReason !== undefined && !refused) call.reason = call.cutReason
  else if (error instanceof EgressError) {
    call.reason = error.reason
    call.detail = error.detail
    call.wait = error.wait
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
