// Everything that is no call as OCSF events: messages and changes by the control API as API Activity, alerts as Detection
// Findings, the life of tasks, owners, credentials and rules as Entity Management, the rest as the sidecar's own life. Pure.
// Called by `ocsf.ts`.

import { compact, textAt, textsAt, timeOf, valueAt, type JsonObject } from './members.ts'
import {
  actorOf,
  destinationOf,
  namedActor,
  productOf,
  requestOf,
  sourceOf,
  traceOf,
} from './ocsf-objects.ts'
import { CLASSES, confidentialityWords, type Activity, type OcsfPart } from './ocsf-words.ts'
import type { Origin } from './format.ts'
import { summaryOf } from './summary.ts'

/** A message inside a call, or what was asked of the control API. */
export function messagePart(record: unknown, action: string): OcsfPart {
  return action.startsWith('message-') ? toolPart(record, action) : controlPart(record, action)
}

// Methods that only read; what a call of a tool does, only the tool knows.
const READS =
  /^(?:(?:tools|resources|resources\/templates|prompts)\/list|resources\/read|prompts\/get|ping)$/

function toolPart(record: unknown, action: string): OcsfPart {
  const method = textAt(record, 'mcp', 'method', 'name') ?? action
  const host = textAt(record, 'destination', 'domain') ?? textAt(record, 'destination', 'ip')
  const service = host === undefined ? undefined : { name: host }
  const code = Number(textAt(record, 'rpc', 'response', 'status_code') ?? Number.NaN)
  return {
    of: CLASSES.api,
    activity: READS.test(method) ? 2 : method,
    members: {
      actor: actorOf(record) ?? { app_name: 'unknown' },
      api: {
        operation: method,
        ...compact({
          service,
          version: textAt(record, 'mcp', 'protocol', 'version'),
          request: compact({ uid: textAt(record, 'jsonrpc', 'request', 'id') }),
          response: compact({
            code: Number.isSafeInteger(code) ? code : undefined,
            error: textAt(record, 'error', 'type'),
          }),
        }),
      },
      src_endpoint: sourceOf(record),
      dst_endpoint: destinationOf(record),
      http_request: requestOf(record),
      resources: resourcesOf(record),
      trace: traceOf(record),
      message_context:
        service === undefined
          ? undefined
          : compact({
              ai_role_id: 3,
              ai_role: 'Tool',
              service,
              uid: textAt(record, 'mcp', 'session', 'id'),
            }),
    },
  }
}

function resourcesOf(record: unknown): readonly JsonObject[] | undefined {
  const found = (
    [
      ['tool', textAt(record, 'gen_ai', 'tool', 'name')],
      ['prompt', textAt(record, 'gen_ai', 'prompt', 'name')],
      ['resource', textAt(record, 'mcp', 'resource', 'uri')],
    ] as const
  ).flatMap(([type, name]) => (name === undefined ? [] : [{ name, type, ...classified(record) }]))
  return found.length === 0 ? undefined : found
}

function classified(record: unknown): JsonObject {
  const words = confidentialityWords(textAt(record, 'sallyport', 'decision', 'data') ?? '')
  if (words === undefined) return {}
  const [id, name] = words
  return { data_classifications: [{ confidentiality_id: id, confidentiality: name }] }
}

function controlPart(record: unknown, action: string): OcsfPart {
  const detail = valueAt(record, 'sallyport', 'detail')
  const operation = textAt(detail, 'operation') ?? action
  const principal = textAt(detail, 'principal') ?? textAt(detail, 'actor')
  const task = textAt(record, 'sallyport', 'task', 'id') ?? textAt(detail, 'task')
  return {
    of: CLASSES.api,
    activity: 3,
    members: {
      actor: namedActor(principal),
      api: {
        operation,
        service: { name: 'sallyport control' },
        ...compact({ response: compact({ error: textAt(detail, 'reason') }) }),
      },
      src_endpoint: { name: principal ?? 'unknown' },
      resources: task === undefined ? undefined : [{ uid: task, type: 'task' }],
    },
    ...(action === 'control-refused' && { status: [2, 'Failure'] as const }),
  }
}

const CHANGES: Readonly<Record<string, Activity>> = {
  'task-created': 1,
  'task-renewed': 10,
  'task-activated': 10,
  'task-suspended': 12,
  'task-resumed': 13,
  'task-extended': 3,
  'task-widened': 3,
  'task-revoked': 11,
  'task-ended': 4,
  'owner-disabled': 9,
  'owner-enabled': 8,
  'kill-switch-thrown': 9,
  'kill-switch-lifted': 8,
  'credential-leased': 1,
  'credential-refreshed': 3,
  'credential-revoked': 4,
  'rules-loaded': 3,
  'rules-refused': 3,
}

/** The life of a task, an owner, a credential, the rules or the kill switch. */
export function changePart(record: unknown, action: string): OcsfPart {
  const detail = valueAt(record, 'sallyport', 'detail')
  const who = namedActor(textAt(detail, 'actor') ?? textAt(detail, 'principal'))
  const session = compact({ uid: textAt(record, 'sallyport', 'task', 'id') })
  return {
    of: CLASSES.entity,
    activity: (Object.hasOwn(CHANGES, action) ? CHANGES[action] : undefined) ?? action,
    members: {
      actor: compact({ ...who, session }),
      entity: entityOf(record, action, detail),
      comment: textAt(detail, 'reason'),
    },
  }
}

function entityOf(record: unknown, action: string, detail: unknown): JsonObject {
  if (action.startsWith('rules-')) {
    const uid = textAt(detail, 'policy') ?? textAt(detail, 'digest')
    const policy = { name: 'rules', ...compact({ uid }) }
    return { ...policy, type_id: 5, type: 'Policy', policy }
  }
  const owner = textAt(detail, 'owner')
  if (action.startsWith('owner-') && owner !== undefined)
    return { name: owner, type_id: 2, type: 'User', user: { name: owner } }
  if (action.startsWith('kill-switch-'))
    return {
      name: textAt(detail, 'value') ?? 'everything',
      type: `Kill switch: ${textAt(detail, 'scope') ?? 'all'}`,
    }
  const credential = textAt(record, 'sallyport', 'credential', 'name')
  if (action.startsWith('credential-') && credential !== undefined)
    return { name: credential, type: 'Credential' }
  const task = valueAt(record, 'sallyport', 'task')
  const agent = textAt(task, 'agent')
  return { name: agent ?? action, type: 'Task', ...compact({ uid: textAt(task, 'id') }) }
}

/** What somebody has to look at. */
export function alertPart(record: unknown): OcsfPart {
  const action = textAt(record, 'event', 'action') ?? 'unknown'
  const name = textAt(record, 'sallyport', 'detection', 'name') ?? action
  const attacks = attacksOf(record)
  const time = timeOf(record)
  return {
    of: CLASSES.finding,
    activity: 1,
    status: [1, 'New'],
    members: {
      finding_info: compact({
        uid: textAt(record, 'event', 'id') ?? 'unknown',
        title: name,
        desc: summaryOf(record),
        types: [name, ...textsAt(record, 'sallyport', 'detection', 'asi')],
        created_time: time,
        analytic: { name, uid: name, type_id: 1, type: 'Rule' },
        attacks,
        ...relatedOf(record),
      }),
      attacks,
      actor: actorOf(record),
      evidences: [
        compact({
          actor: actorOf(record),
          dst_endpoint: destinationOf(record),
          data: evidenceOf(record),
        }),
      ],
      resources: affectedOf(record),
      is_alert: true,
    },
  }
}

function evidenceOf(record: unknown): JsonObject {
  return {
    action: textAt(record, 'event', 'action') ?? 'unknown',
    detail: valueAt(record, 'sallyport', 'detail') ?? {},
  }
}

function attacksOf(record: unknown): readonly JsonObject[] | undefined {
  const names = textsAt(record, 'threat', 'technique', 'name')
  const found = textsAt(record, 'threat', 'technique', 'id').map((uid, at) => ({
    technique: { uid, ...compact({ name: names[at] }) },
  }))
  return found.length === 0 ? undefined : found
}

function relatedOf(record: unknown): JsonObject {
  const detail = valueAt(record, 'sallyport', 'detail')
  const one = textAt(record, 'sallyport', 'call', 'id') ?? textAt(detail, 'call')
  const many = textsAt(record, 'sallyport', 'detection', 'calls')
  const calls = many.length > 0 || one === undefined ? many : [one]
  if (calls.length === 0) return {}
  return { related_events: calls.map((uid) => ({ uid, type: 'Sallyport call' })) }
}

function affectedOf(record: unknown): readonly JsonObject[] | undefined {
  const task = valueAt(record, 'sallyport', 'task')
  const uid = textAt(task, 'id')
  return uid === undefined
    ? undefined
    : [{ uid, type: 'task', ...compact({ name: textAt(task, 'agent') }) }]
}

/** The sidecar's own life: its journal, its sinks, its checks. */
export function sidecarPart(action: string, origin: Origin): OcsfPart {
  return {
    of: CLASSES.application,
    activity: action === '' ? 'unknown' : action,
    members: { app: productOf(origin) },
  }
}
