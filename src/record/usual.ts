// The usual ECS words of events beside the calls, by their action, and which actions are refusals. Pure; called by `ecs.ts`
// and by what filters and shows records.

import type { RecordBody } from './body.ts'

/** What an action's record says unless it is told otherwise. */
export interface Usual {
  readonly kind: 'event' | 'alert'
  readonly category: readonly string[]
  readonly type: readonly string[]
  readonly outcome: 'success' | 'failure' | 'unknown'
}

const usual = (
  category: readonly string[],
  type: readonly string[],
  outcome: Usual['outcome'] = 'success',
  kind: Usual['kind'] = 'event',
): Usual => ({ kind, category, type, outcome })

const INTRUSION = ['intrusion_detection'] as const
/** Of the detection that something was refused, and that something went through. */
const REFUSED = usual(INTRUSION, ['denied'], 'failure', 'alert')
const SEEN = usual(INTRUSION, ['info'], 'unknown', 'alert')

const USUAL: Readonly<Record<string, Usual>> = {
  'task-created': usual(['session'], ['start']),
  'task-renewed': usual(['session'], ['start']),
  'task-activated': usual(['session'], ['start']),
  'task-suspended': usual(['configuration', 'session'], ['change']),
  'task-resumed': usual(['configuration', 'session'], ['change']),
  'task-extended': usual(['configuration', 'session'], ['change']),
  'task-intent-extended': usual(['configuration', 'session'], ['change']),
  'task-observing': usual(['configuration', 'session'], ['start', 'allowed'], 'success', 'alert'),
  'request-opened': usual(['session'], ['info'], 'unknown'),
  'request-closed': usual(['session'], ['info']),
  'task-widened': usual(['configuration', 'session'], ['change']),
  'flow-raised': usual(['session'], ['info']),
  'flow-reset': usual(['configuration', 'session'], ['change']),
  'task-revoked': usual(['session'], ['end']),
  'task-ended': usual(['session'], ['end']),
  'task-receipt': usual(['session'], ['info']),
  'teardown-unconfirmed': usual(['session'], ['info'], 'failure', 'alert'),
  'attestation-failed': usual(['intrusion_detection'], ['denied'], 'failure', 'alert'),
  'kill-switch-thrown': usual(['configuration'], ['change'], 'success', 'alert'),
  'kill-switch-lifted': usual(['configuration'], ['change'], 'success', 'alert'),
  'owner-disabled': usual(['iam'], ['change']),
  'owner-enabled': usual(['iam'], ['change']),
  'rules-loaded': usual(['configuration'], ['change']),
  'rules-refused': usual(['configuration'], ['change'], 'failure'),
  'client-rejected-certificate': usual(['network'], ['denied'], 'failure'),
  'call-denied-repeated': usual(['network', 'web'], ['denied'], 'failure'),
  'message-denied-repeated': usual(['web', 'api'], ['denied'], 'failure'),
  'dns-denied': usual(['network'], ['denied', 'protocol'], 'failure'),
  'dns-denied-repeated': usual(['network'], ['denied', 'protocol'], 'failure'),
  'message-allowed-repeated': usual(['web', 'api'], ['allowed', 'info'], 'unknown'),
  'identity-shared': REFUSED,
  'identity-shared-repeated': REFUSED,
  'placeholder-misused': REFUSED,
  'placeholder-misused-repeated': REFUSED,
  'tool-definition-changed': REFUSED,
  'tool-definition-changed-repeated': REFUSED,
  'denial-storm': REFUSED,
  'denial-storm-repeated': REFUSED,
  'denial-storm-ended': usual(INTRUSION, ['denied', 'info'], 'failure'),
  'first-seen-destination': SEEN,
  'first-seen-destination-repeated': SEEN,
  'bytes-out-spike': SEEN,
  'bytes-out-spike-repeated': SEEN,
  'credential-echoed': SEEN,
  'credential-echoed-repeated': SEEN,
  'alerts-repeated': usual(INTRUSION, ['info'], 'unknown', 'alert'),
  'self-check': usual(['configuration'], ['info']),
  'hold-opened': usual(['network', 'web'], ['info'], 'unknown'),
  'hold-approved': usual(['network', 'web'], ['allowed', 'info']),
  'hold-denied': usual(['network', 'web'], ['denied'], 'failure'),
  'hold-timed-out': usual(['network', 'web'], ['denied'], 'failure'),
  'hold-used': usual(['network', 'web'], ['allowed', 'info']),
  'hold-withdrawn': usual(['network', 'web'], ['denied'], 'failure'),
  'credential-leased': usual(['iam'], ['info']),
  'credential-refreshed': usual(['iam'], ['info']),
  'credential-unavailable': usual(['iam'], ['info'], 'failure'),
  'override-made': usual(['configuration'], ['change']),
  'override-reviewed': usual(['configuration'], ['info']),
  'sink-gap': usual(['process'], ['info'], 'failure', 'alert'),
  'sink-records-refused': usual(['process'], ['info'], 'failure', 'alert'),
  'journal-recovered': usual(['process'], ['info']),
  'journal-segments-deleted': usual(['configuration'], ['deletion']),
  'checkpoint-key': usual(['configuration'], ['change']),
  'task-sealed': usual(['session'], ['info']),
}
const USUAL_ELSE = usual(['configuration'], ['info'])

/** The usual value of an action's members; one for actions that are not listed. */
export function usualOf(action: string): Usual {
  return (Object.hasOwn(USUAL, action) && USUAL[action]) || USUAL_ELSE
}

/** Whether an action tells of a refusal: of a call, a message or a DNS query, or of many. */
export function isDenial(action: string): boolean {
  return /^(?:call|message|dns)-denied/.test(action)
}

/**
 * Whether a record is of a verdict: `hold` where a rule asked a person, whatever came of it; else what came of it. Counts of
 * refusals have no decision.
 */
export function isOfVerdict(
  { event, sallyport }: RecordBody,
  verdict: 'allow' | 'deny' | 'hold',
): boolean {
  const decided = sallyport.decision?.verdict
  if (verdict === 'hold') return decided === 'hold'
  if (isDenial(event.action)) return verdict === 'deny'
  return (decided === 'hold' ? 'allow' : decided) === verdict
}

/** What a call moved each way, of a request and its response or of an opaque tunnel. */
export function bytesOf({ http, source, destination }: RecordBody): {
  readonly bytesOut: number | undefined
  readonly bytesIn: number | undefined
} {
  return {
    bytesOut: http?.request.bytes ?? source?.bytes,
    bytesIn: http === undefined ? destination?.bytes : http.response?.bytes,
  }
}
