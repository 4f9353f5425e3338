// What a schema expected, in our words where the schema says none of its own. Pure; called by `config/` for files and by
// `control/` for bodies.

import type { z } from 'zod'

const KINDS: Readonly<Record<string, string>> = {
  record: 'a mapping',
  object: 'a mapping',
  array: 'a list',
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
}
const UNITS: Readonly<Record<string, string>> = { string: ' characters', array: ' items' }

/** Says what was expected where an issue is: the message of the schema, where it has one. */
export function expectedOf(issue: z.core.$ZodIssue): string {
  const { message } = issue
  // The library's own begin so.
  if (!/^(?:Invalid (?:input|option)|Too (?:big|small))\b/.test(message)) return message
  if (issue.code === 'invalid_value') return `expected ${eitherOf(issue.values.map(String))}`
  if (issue.code === 'invalid_type') return `expected ${KINDS[issue.expected] ?? issue.expected}`
  if (issue.code === 'too_big')
    return `expected at most ${issue.maximum}${UNITS[issue.origin] ?? ''}`
  if (issue.code === 'too_small')
    return `expected at least ${issue.minimum}${UNITS[issue.origin] ?? ''}`
  return 'expected something else here'
}

function eitherOf(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}
