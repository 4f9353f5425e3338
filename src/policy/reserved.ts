// Keys that rules have or will have and this version does not serve: refused by name, never ignored, so that nobody
// believes in a control that is not there. Data only; asked by `parse.ts`.

/** Which mapping of a rule file a key stands in. */
export type Section =
  | 'file'
  | 'allow'
  | 'deny'
  | 'limit'
  | 'test'
  | 'task'
  | 'for'
  | 'param'
  | 'range'
  | 'graphql'
  | 'git'
  | 'record'

// prettier-ignore
const RULE_KEYS = [
  'hold', 'when', 'between', 'accepts', 'expires', 'ticket', 'category', 'profile', 'static', 'separate', 'reviewers',
]

// What a task is besides its environment: a test of a rule file says none of it.
// prettier-ignore
const TASK_KEYS = [
  'intent', 'owner', 'agent', 'identity', 'sandbox', 'rules', 'params', 'ceiling', 'expires', 'parent', 'capabilities',
  'labels',
]

/** Keys of the grammar that a later version gives a meaning. */
export const NOT_SERVED: Readonly<Record<Section, readonly string[]>> = {
  file: ['hosts'],
  allow: RULE_KEYS,
  deny: RULE_KEYS,
  limit: ['callsPerMinute', 'callsPerHour', 'callsPerDay'],
  test: ['at', 'after'],
  task: TASK_KEYS,
  for: [],
  param: [],
  range: [],
  graphql: [],
  git: [],
  record: [],
}
