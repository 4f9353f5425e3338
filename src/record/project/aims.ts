// The seven fields that the draft on identity for AI agents (AIMS, section 11) asks of every audit record, read off ours. Pure.
// Called by `evidence/derive.ts`, and by the tests that hold every record to them.

import { compact, isObject, textAt, textsAt, valueAt, type JsonObject } from './members.ts'
import { subjectOf } from './summary.ts'

/** The seven; what a record cannot know is said in words, so that no field is ever absent. */
export interface AimsFields {
  /** The agent's identifier, `unidentified` where nobody proved one. */
  readonly agent: string
  /** On whose behalf: a person; the task above; `autonomous`; `unknown` where nobody proved a task. */
  readonly subject: string
  /** The resource or the tool. */
  readonly resource: string
  readonly action: string
  readonly decision: 'allow' | 'deny' | 'hold' | 'none'
  readonly time: string
  /** The record, its call and its task. */
  readonly correlation: JsonObject
  /** What proved the task and its sandbox, `unproven` where nothing did. */
  readonly posture: JsonObject | 'unproven'
  /** What took authority back, and why; `none` where nothing did. */
  readonly remediation: JsonObject | 'none'
}

/** The seven fields of a record. */
export function aimsFields(record: unknown): AimsFields {
  const task = valueAt(record, 'sallyport', 'task')
  const posture = valueAt(task, 'posture')
  return {
    agent: textAt(task, 'instance') ?? textAt(task, 'agent') ?? 'unidentified',
    subject: delegatedSubject(task),
    resource: resourceOf(record),
    action: actionOf(record),
    decision: decisionOf(record),
    time: textAt(record, '@timestamp') ?? 'unknown',
    correlation:
      compact({
        record: textAt(record, 'event', 'id'),
        call: callOf(record),
        task: textAt(task, 'id'),
      }) ?? {},
    posture: isObject(posture) ? posture : 'unproven',
    remediation: remediationOf(record),
  }
}

function delegatedSubject(task: unknown): string {
  const principal = textAt(task, 'principal')
  if (principal !== undefined) return principal
  if (valueAt(task, 'autonomous') === true) return 'autonomous'
  const delegation = valueAt(task, 'delegation')
  const above: unknown = Array.isArray(delegation) ? delegation.at(-1) : undefined
  return textAt(above, 'instance') ?? textAt(above, 'task') ?? 'unknown'
}

function resourceOf(record: unknown): string {
  const detail = valueAt(record, 'sallyport', 'detail')
  return (
    textAt(record, 'gen_ai', 'tool', 'name') ??
    textAt(detail, 'tool') ??
    textAt(record, 'url', 'full') ??
    subjectOf(record) ??
    textAt(detail, 'host') ??
    textAt(record, 'sallyport', 'credential', 'name') ??
    textAt(detail, 'credential') ??
    textAt(record, 'sallyport', 'task', 'id') ??
    'sidecar'
  )
}

function actionOf(record: unknown): string {
  const action = textAt(record, 'event', 'action') ?? 'unknown'
  const asked =
    textAt(record, 'mcp', 'method', 'name') ?? textAt(record, 'http', 'request', 'method')
  return asked === undefined ? action : `${action} ${asked}`
}

function decisionOf(record: unknown): AimsFields['decision'] {
  // What rules allowed may be refused all the same: its address, its credential, its size.
  if (textsAt(record, 'event', 'type').includes('denied'))
    return textAt(record, 'event', 'reason') === 'approval-pending' ? 'hold' : 'deny'
  const verdict = textAt(record, 'sallyport', 'decision', 'verdict')
  // Somebody let it through.
  if (verdict === 'hold') return 'allow'
  return verdict === 'allow' || verdict === 'deny' ? verdict : 'none'
}

function callOf(record: unknown): string | undefined {
  const calls = textsAt(record, 'sallyport', 'detection', 'calls')
  return (
    textAt(record, 'sallyport', 'call', 'id') ??
    textAt(record, 'sallyport', 'detail', 'call') ??
    calls[0]
  )
}

const TAKEN_BACK =
  /^(?:task-(?:suspended|revoked|ended|receipt)|credential-revoked|kill-switch-thrown|owner-disabled|teardown-unconfirmed)$/
const CUT = /^(?:killed|task-ended|task-ended-midway|task-not-active|tool-definition-changed)$/

function remediationOf(record: unknown): JsonObject | 'none' {
  const action = textAt(record, 'event', 'action') ?? ''
  const reason = textAt(record, 'event', 'reason') ?? ''
  if (!TAKEN_BACK.test(action) && !CUT.test(reason)) return 'none'
  const detail = valueAt(record, 'sallyport', 'detail')
  const cause =
    textAt(detail, 'cause') ??
    textAt(detail, 'receipt', 'cause') ??
    textAt(detail, 'why') ??
    (reason === '' ? action : reason)
  return {
    action,
    cause,
    ...compact({ by: textAt(detail, 'actor'), reason: textAt(detail, 'reason') }),
  }
}
