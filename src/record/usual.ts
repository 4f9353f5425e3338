// The usual ECS words of events beside the calls, by their action. Pure; called by `ecs.ts`.

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
  'task-ended': usual(['session'], ['end']),
  'rules-loaded': usual(['configuration'], ['change']),
  'rules-refused': usual(['configuration'], ['denied'], 'failure'),
  'placeholder-misused': usual(['intrusion_detection'], ['denied'], 'failure', 'alert'),
  'client-rejected-certificate': usual(['network'], ['error'], 'failure'),
  'call-denied-repeated': usual(['network', 'web'], ['denied'], 'failure'),
  'journal-recovered': usual(['process'], ['info']),
}
const USUAL_ELSE = usual(['configuration'], ['info'])

/** The usual value of an action's members; one for actions that are not listed. */
export function usualOf(action: string): Usual {
  return (Object.hasOwn(USUAL, action) && USUAL[action]) || USUAL_ELSE
}
