// The usual ECS words of events beside the calls, by their action, and which actions are refusals. Pure; called by `ecs.ts`
// and by what filters and shows records.

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

const USUAL: Readonly<Record<string, Usual>> = {
  'task-created': usual(['session'], ['start']),
  'task-renewed': usual(['session'], ['start']),
  'task-activated': usual(['session'], ['start']),
  'task-suspended': usual(['session'], ['change']),
  'task-resumed': usual(['session'], ['change']),
  'task-extended': usual(['session'], ['change']),
  'task-widened': usual(['configuration', 'session'], ['change']),
  'task-revoked': usual(['session'], ['end']),
  'task-ended': usual(['session'], ['end']),
  'task-receipt': usual(['session'], ['info']),
  'teardown-unconfirmed': usual(['session'], ['error'], 'failure', 'alert'),
  'identity-shared': usual(['intrusion_detection'], ['denied'], 'failure', 'alert'),
  'attestation-failed': usual(['intrusion_detection'], ['denied'], 'failure', 'alert'),
  'kill-switch-thrown': usual(['configuration'], ['change'], 'success', 'alert'),
  'kill-switch-lifted': usual(['configuration'], ['change'], 'success', 'alert'),
  'owner-disabled': usual(['iam'], ['change']),
  'owner-enabled': usual(['iam'], ['change']),
  'rules-loaded': usual(['configuration'], ['change']),
  'rules-refused': usual(['configuration'], ['denied'], 'failure'),
  'placeholder-misused': usual(['intrusion_detection'], ['denied'], 'failure', 'alert'),
  'client-rejected-certificate': usual(['network'], ['error'], 'failure'),
  'call-denied-repeated': usual(['network', 'web'], ['denied'], 'failure'),
  'message-denied-repeated': usual(['web', 'api'], ['denied'], 'failure'),
  'message-allowed-repeated': usual(['web', 'api'], ['allowed', 'info'], 'unknown'),
  'tool-definition-changed-repeated': usual(
    ['intrusion_detection'],
    ['denied'],
    'failure',
    'alert',
  ),
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

/** Whether an action tells of a refusal: of a call or a message, or of many. */
export function isDenial(action: string): boolean {
  return action.startsWith('call-denied') || action.startsWith('message-denied')
}
