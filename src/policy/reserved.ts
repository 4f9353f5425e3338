// Keys that rules have or will have and this version does not serve: refused by name, never ignored, so that nobody
// believes in a control that is not there. Data only; asked by `parse.ts`.

/** Which mapping of a rule file a key stands in. */
export type Section = 'file' | 'allow' | 'deny' | 'limit' | 'test' | 'for' | 'param' | 'range'

// prettier-ignore
const RULE_KEYS = [
  'hold', 'when', 'between', 'tools', 'resources', 'prompts', 'graphql', 'git', 'environment', 'accepts', 'record',
  'expires', 'ticket', 'category', 'regulation', 'profile', 'static', 'separate', 'reviewers', 'models', 'maxTokens',
  'serverTools', 'pin',
]

/** Keys of the grammar that a later version gives a meaning. */
export const NOT_SERVED: Readonly<Record<Section, readonly string[]>> = {
  file: ['hosts'],
  allow: RULE_KEYS,
  deny: RULE_KEYS,
  limit: ['callsPerMinute', 'callsPerHour', 'callsPerDay'],
  test: ['at', 'task', 'body', 'tool', 'args', 'after'],
  for: [],
  param: [],
  range: [],
}
