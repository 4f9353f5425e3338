// Turns what is known of a call, or of an event beside the calls, into a record in ECS field names. Pure.
// Deliberately writes nothing and knows no chain: `journal.ts` does. A record is one object literal with every member in
// place (one hidden class); JSON leaves the undefined ones out. Called by `recorder.ts` and by all who record events; the
// two records of most calls are made past it, of the same pieces, by `call-text.ts`.

import type { Reason } from '../errors.ts'
import type { Task } from '../tasks/task.ts'
import type { Endpoint } from '../wire/authority.ts'
import { makeUlid } from '../wire/ulid.ts'
import { tlsVersion, upstreamMember } from './upstream-member.ts'
import { usualOf } from './usual.ts'
import type { RecordBody, RecordTask } from './body.ts'
import type { CallAction, CallFacts } from './facts.ts'
import { urlOf } from './url.ts'

/** The version of ECS. */
export const ECS = { version: '9.1.0' } as const
const WEB = ['network', 'web'] as const
const NETWORK = ['network'] as const

const CALL_TYPES: Readonly<Record<CallAction, readonly string[]>> = {
  'call-started': ['allowed', 'start'],
  'call-progress': ['allowed', 'info'],
  'call-ended': ['allowed', 'end'],
  'call-denied': ['denied'],
}

/** Longest `User-Agent` that a record keeps, in characters; ECS stores ignore longer ones. */
const USER_AGENT_CHARACTERS_MAX = 1024

/** Builds the record of one stage of a call. */
export function callRecord(facts: CallFacts, action: CallAction, now: number): RecordBody {
  const { target, decision, request, response, credential, clientTls, upstream } = facts
  const { inspected, trace, tunnelled } = facts
  return {
    '@timestamp': isoTime(now),
    ecs: ECS,
    message: undefined,
    event: callEvent(makeUlid(now), facts, action),
    rule: decision?.rule,
    source:
      facts.client.address === undefined
        ? undefined
        : {
            ip: facts.client.address,
            port: facts.client.port,
            bytes: tunnelled?.bytesOut,
          },
    destination:
      target === undefined
        ? undefined
        : destinationOf(target.endpoint, upstream, tunnelled?.bytesIn),
    url: target === undefined ? undefined : urlOf(target),
    http: request === undefined ? undefined : httpOf(facts.id, request, response),
    tls: clientTls === undefined ? undefined : tlsOf(clientTls),
    user_agent: request?.userAgent === undefined ? undefined : agentOf(request.userAgent),
    gen_ai: inspected?.gen_ai,
    mcp: inspected?.mcp,
    jsonrpc: inspected?.jsonrpc,
    rpc: inspected?.rpc,
    error: inspected?.error,
    trace: trace === undefined ? undefined : { id: trace.traceId },
    span: trace === undefined ? undefined : { id: trace.parentId },
    sallyport: {
      schema: 1,
      mode: facts.mode,
      call: { id: facts.id, kind: facts.kind, parent: facts.parent, door: facts.client.door },
      message: facts.message,
      task: facts.task === undefined ? undefined : taskOf(facts.task),
      decision:
        decision === undefined
          ? undefined
          : {
              id: decision.id,
              verdict: decision.verdict,
              reason: decision.reason,
              policy: decision.policy,
              us: decision.us,
              would_deny: decision.wouldDeny,
              data: decision.data,
              regulation: decision.regulation,
              category: decision.category,
              read: decision.read,
            },
      credential,
      inspection: facts.inspection,
      hold: facts.hold,
      headers: facts.headers,
      content: inspected?.content,
      dialed: facts.dialed,
      upstream: upstream && upstreamMember(upstream),
      detail: facts.detail,
    },
  }
}

/** The member `event` of a call's record. */
export function callEvent(
  id: string,
  facts: Pick<CallFacts, 'kind' | 'reason' | 'durationNs'>,
  action: CallAction,
): RecordBody['event'] {
  return {
    id,
    kind: 'event',
    category: facts.kind === 'tunnel' ? NETWORK : WEB,
    action,
    type: CALL_TYPES[action],
    outcome: outcomeOf(action, facts.reason),
    reason: facts.reason,
    duration: action === 'call-started' ? undefined : facts.durationNs,
  }
}

/** What an event beside the calls says; members left out take the action's usual value. */
export interface EventFields {
  readonly category?: readonly string[]
  readonly type?: readonly string[]
  readonly kind?: 'event' | 'alert'
  readonly outcome?: 'success' | 'failure' | 'unknown'
  readonly reason?: Reason | undefined
  readonly task?: Task | undefined
  /** The call it belongs to. */
  readonly callId?: string | undefined
  readonly endpoint?: Endpoint | undefined
  /** Name of a credential, never its value. */
  readonly credential?: string
  readonly message?: string
  /** Further facts, never secrets. */
  readonly detail?: Readonly<Record<string, unknown>> | undefined
  /** Epoch milliseconds. */
  readonly now: number
}

/** Builds the record of something that is no call: `task-created`, `rules-loaded`, `placeholder-misused`, …. */
export function eventRecord(action: string, fields: EventFields): RecordBody {
  const usual = usualOf(action)
  const { endpoint, task } = fields
  return {
    '@timestamp': isoTime(fields.now),
    ecs: ECS,
    message: fields.message,
    event: {
      id: makeUlid(fields.now),
      kind: fields.kind ?? usual.kind,
      category: fields.category ?? usual.category,
      action,
      type: fields.type ?? usual.type,
      outcome: fields.outcome ?? usual.outcome,
      reason: fields.reason,
      duration: undefined,
    },
    rule: undefined,
    source: undefined,
    destination: endpoint === undefined ? undefined : destinationOf(endpoint, undefined),
    url: undefined,
    http: undefined,
    tls: undefined,
    user_agent: undefined,
    sallyport: {
      schema: 1,
      mode: undefined,
      call:
        fields.callId === undefined
          ? undefined
          : { id: fields.callId, kind: undefined, parent: undefined, door: undefined },
      task: task === undefined ? undefined : taskOf(task),
      decision: undefined,
      credential:
        fields.credential === undefined
          ? undefined
          : { name: fields.credential, action: undefined },
      inspection: undefined,
      upstream: undefined,
      detail: fields.detail,
    },
  }
}

/** Builds the terminal record of a call that was open when the sidecar died, from its `call-started` as it was read back. */
export function crashedCallRecord(started: RecordBody, now: number): RecordBody {
  const { chain: _, ...own } = started.sallyport
  return {
    ...started,
    '@timestamp': isoTime(now),
    event: {
      ...started.event,
      id: makeUlid(now),
      action: 'call-ended',
      type: CALL_TYPES['call-ended'],
      // Whether the upstream got and did what was asked, nobody knows.
      outcome: 'unknown',
      reason: 'sidecar-crashed' satisfies Reason,
    },
    sallyport: own,
  }
}

function outcomeOf(action: CallAction, reason: Reason): 'success' | 'failure' | 'unknown' {
  if (action === 'call-denied') return 'failure'
  if (action !== 'call-ended') return 'unknown'
  return reason === 'allowed' ? 'success' : 'failure'
}

function httpOf(
  id: string,
  request: NonNullable<CallFacts['request']>,
  response: CallFacts['response'],
): RecordBody['http'] {
  return {
    version: request.version,
    request: { id, method: request.method, bytes: request.bytes },
    response:
      response === undefined
        ? undefined
        : { status_code: response.status, bytes: response.bytes, mime_type: response.mimeType },
  }
}

/** The member `user_agent`. */
export function agentOf(userAgent: string): NonNullable<RecordBody['user_agent']> {
  return { original: userAgent.slice(0, USER_AGENT_CHARACTERS_MAX) }
}

/** The member `tls`. */
function tlsOf(client: NonNullable<CallFacts['clientTls']>): RecordBody['tls'] {
  return {
    established: true,
    version: tlsVersion(client.version),
    client: { server_name: client.serverName },
  }
}

const tasks = new WeakMap<Task, RecordTask>()

/** The member `task` of `sallyport`, one object a task: its text is written once. */
export function taskOf(task: Task): RecordTask {
  let record = tasks.get(task)
  if (record === undefined) {
    record = makeTask(task)
    tasks.set(task, record)
  }
  return record
}

function makeTask(task: Task): RecordTask {
  return {
    id: task.id,
    path: task.path,
    agent: task.agent.account,
    instance: task.agent.instance,
    owner: task.owner.name,
    owner_source: task.owner.source,
    team: task.owner.team,
    sandbox: task.sandbox.id,
    intent: task.intentDigest,
    principal: task.principal,
    autonomous: task.principal === undefined && task.delegation === undefined,
    delegation: task.delegation,
    posture: {
      proofs: task.proofs ?? [],
      evidence: task.evidence,
      image: task.sandbox.image,
      environment: task.environment,
      ceiling: task.ceiling,
    },
  }
}

function destinationOf(
  endpoint: Endpoint,
  upstream: CallFacts['upstream'],
  bytes?: number,
): RecordBody['destination'] {
  const isName = endpoint.kind === 'name'
  return {
    domain: isName ? endpoint.host : undefined,
    ip: upstream?.address ?? (isName ? undefined : endpoint.host),
    port: endpoint.port,
    bytes,
  }
}

let lastTime = -1
let lastIsoTime = ''

/** A time as records have it. The same millisecond is asked for many times under load. */
export function isoTime(now: number): string {
  if (now !== lastTime) {
    lastIsoTime = new Date(now).toISOString()
    lastTime = now
  }
  return lastIsoTime
}
