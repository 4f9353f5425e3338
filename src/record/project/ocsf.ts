// Records as events of OCSF 1.8.0: which class a record becomes, and what every class has. The rest of a record goes to
// `unmapped`, so that nothing of it is lost. Pure. Called by the sinks and by `sallyport export`.

import type { RecordBody } from '../body.ts'
import type { Origin } from './format.ts'
import { compact, countAt, textAt, textsAt, timeOf, valueAt, type JsonObject } from './members.ts'
import { callPart, queryPart } from './ocsf-calls.ts'
import { alertPart, changePart, messagePart, sidecarPart } from './ocsf-events.ts'
import { observablesOf, productOf, ruleMembers } from './ocsf-objects.ts'
import {
  activityOf,
  dispositionWords,
  OCSF_VERSION,
  severityWords,
  statusWords,
  type OcsfPart,
} from './ocsf-words.ts'
import { severityOf } from './severity.ts'
import { summaryOf } from './summary.ts'
import { isDenial } from '../usual.ts'

/** One record as one event. */
export function projectOcsf(record: RecordBody, origin: Origin): JsonObject {
  const part = partOf(record, origin)
  const { of } = part
  const [activityId, activityName] = activityOf(of, part.activity)
  const [severityId, severity] = severityWords(severityOf(record))
  const members = compact({ ...controlMembers(record), ...part.members }) ?? {}
  return {
    activity_id: activityId,
    activity_name: activityName,
    category_uid: of.category[0],
    category_name: of.category[1],
    class_uid: of.uid,
    class_name: of.name,
    type_uid: of.uid * 100 + activityId,
    type_name: `${of.name}: ${activityName}`,
    severity_id: severityId,
    severity,
    time: timeOf(record) ?? 0,
    ...spanOf(record),
    ...statusOf(record, part),
    message: summaryOf(record),
    metadata: metadataOf(record, origin, profilesOf(part, members)),
    ...members,
    ...compact({ observables: observablesOf(members) }),
    unmapped: unmappedOf(record),
  }
}

function partOf(record: RecordBody, origin: Origin): OcsfPart {
  const action = textAt(record, 'event', 'action') ?? ''
  const isChange = /^(?:task|owner|kill-switch|credential|rules|hold)-/.test(action)
  // What an operator did is no detection, however loud it is told.
  const isAlert = textAt(record, 'event', 'kind') === 'alert' && !isChange
  if (isAlert || valueAt(record, 'sallyport', 'detection') !== undefined) return alertPart(record)
  if (action.startsWith('call-')) return callPart(record, action, origin)
  if (action.startsWith('dns-')) return queryPart(record, action, origin)
  if (action.startsWith('message-') || action.startsWith('control-'))
    return messagePart(record, action)
  if (action === 'rules-reload-asked') return messagePart(record, action)
  return isChange ? changePart(record, action) : sidecarPart(action, origin)
}

/** What a rule decided and what became of it; nothing where nothing was decided. */
function controlMembers(record: unknown): JsonObject {
  const verdict = textAt(record, 'sallyport', 'decision', 'verdict')
  const action = textAt(record, 'event', 'action') ?? ''
  const isDenied = verdict === 'deny' || isDenial(action)
  if (verdict === undefined && !isDenied) return {}
  const isObserved = textAt(record, 'sallyport', 'decision', 'would_deny') !== undefined
  const [actionId, actionName] = isDenied
    ? [2, 'Denied']
    : isObserved
      ? [3, 'Observed']
      : [1, 'Allowed']
  const reason = textAt(record, 'event', 'reason') ?? (isDenied ? 'denied' : 'allowed')
  const [dispositionId, disposition] = dispositionWords(reason, isDenied)
  return {
    action_id: actionId,
    action: actionName,
    disposition_id: dispositionId,
    disposition,
    ...ruleMembers(record),
  }
}

// The start and end of what was counted or measured, in milliseconds.
function spanOf(record: unknown): JsonObject {
  const nanoseconds = countAt(record, 'event', 'duration')
  const end = timeOf(record)
  if (nanoseconds !== undefined && end !== undefined) {
    const duration = Math.round(nanoseconds / 1e6)
    return { duration, start_time: Math.max(0, end - duration), end_time: end }
  }
  const count = countAt(record, 'sallyport', 'detail', 'count')
  if (count === undefined || count < 1) return {}
  const from = Date.parse(textAt(record, 'sallyport', 'detail', 'from') ?? '')
  const to = Date.parse(textAt(record, 'sallyport', 'detail', 'to') ?? '')
  return {
    count,
    ...(from >= 0 && { start_time: from }),
    ...(to >= 0 && { end_time: to }),
  }
}

function statusOf(record: unknown, { status }: OcsfPart): JsonObject {
  const [statusId, name] = status ?? statusWords(textAt(record, 'event', 'outcome'))
  return {
    status_id: statusId,
    status: name,
    ...compact({ status_detail: textAt(record, 'event', 'reason') }),
  }
}

function metadataOf(record: unknown, origin: Origin, profiles: readonly string[]): JsonObject {
  return {
    version: OCSF_VERSION,
    product: productOf(origin),
    log_name: origin.journal,
    log_provider: 'sallyport',
    profiles,
    ...compact({
      event_code: textAt(record, 'event', 'action'),
      uid: textAt(record, 'event', 'id'),
      sequence: countAt(record, 'sallyport', 'chain', 'seq'),
      correlation_uid: textAt(record, 'sallyport', 'task', 'id'),
      logged_time: timeOf(record),
      tags: tagsOf(record),
    }),
  }
}

// Classes of the network have no place for what class of data a call brought.
function tagsOf(record: unknown): readonly JsonObject[] | undefined {
  const dataClass = textAt(record, 'sallyport', 'decision', 'data')
  const laws = textsAt(record, 'sallyport', 'decision', 'regulation')
  const tags = [
    ...(dataClass === undefined ? [] : [{ name: 'data_class', value: dataClass }]),
    ...(laws.length === 0 ? [] : [{ name: 'regulation', values: laws }]),
  ]
  return tags.length === 0 ? undefined : tags
}

const NETWORK_CATEGORY = 4
const IDENTITY_CATEGORY = 3
const CONTROL = ['action_id', 'firewall_rule', 'policy', 'attacks']

// A profile is named exactly where the event has what it brings.
function profilesOf({ of }: OcsfPart, members: JsonObject): readonly string[] {
  const category: number = of.category[0]
  const isOwn = category === IDENTITY_CATEGORY || of.uid === 6003
  const profiles = [
    ['ai_operation', 'ai_model' in members || 'message_context' in members],
    ['data_classification', hasClassified(members['resources'])],
    ['host', !isOwn && 'actor' in members],
    ['network_proxy', category === NETWORK_CATEGORY && 'proxy_endpoint' in members],
    ['security_control', CONTROL.some((name) => name in members)],
    ['trace', 'trace' in members],
  ] as const
  return profiles.filter(([, isUsed]) => isUsed).map(([name]) => name)
}

function hasClassified(resources: unknown): boolean {
  return (
    Array.isArray(resources) &&
    resources.some((one) => valueAt(one, 'data_classifications') !== undefined)
  )
}

const MAPPED: ReadonlySet<string> = new Set([
  '@timestamp',
  'http',
  'tls',
  'source',
  'rule',
  'user_agent',
])

function unmappedOf(record: RecordBody): JsonObject {
  return Object.fromEntries(Object.entries(record).filter(([name]) => !MAPPED.has(name)))
}
