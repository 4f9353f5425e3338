// Keys that rules have or will have and this version does not serve: refused by name, never ignored, so that nobody
// believes in a control that is not there. Data only; asked by `parse.ts`.

/** Which mapping of a rule file a key stands in. */
export type Section =
  | 'file'
  | 'allow'
  | 'deny'
  | 'hold'
  | 'limit'
  | 'test'
  | 'task'
  | 'after'
  | 'owner'
  | 'agent'
  | 'between'
  | 'for'
  | 'param'
  | 'range'
  | 'graphql'
  | 'git'
  | 'record'

// Of a task's definition: a test of a rule file says none of it.
const TASK_KEYS = ['identity', 'sandbox', 'rules', 'params', 'expires', 'parent']

/** Keys of the grammar that a later version gives a meaning. */
export const NOT_SERVED: Readonly<Record<Section, readonly string[]>> = {
  file: [],
  allow: [],
  deny: [],
  hold: [],
  limit: [],
  test: [],
  task: TASK_KEYS,
  after: [],
  owner: [],
  agent: [],
  between: [],
  for: [],
  param: [],
  range: [],
  graphql: [],
  git: [],
  record: [],
}
