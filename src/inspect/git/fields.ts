// What the record says of a request of git. Pure; called where a call of `recogniseGit` is recorded.

import type { GitCommand, GitSubject } from '../../policy/subject.ts'
import type { InspectedFields } from '../fields.ts'

const COMMANDS_MAX = 50
const TEXT_LENGTH_MAX = 256

/**
 * A subject as members of a record: its commands, then the options of the push; of many the first ones and how many more
 * there were.
 */
export function describeGit(
  { repo, service, commands }: GitSubject,
  options: readonly string[] = [],
): InspectedFields {
  const all = [...commands.map(describeCommand), ...options.map((text) => `option ${cut(text)}`)]
  const described = all.slice(0, COMMANDS_MAX)
  if (all.length > described.length) described.push(`… and ${all.length - described.length} more`)
  return { content: { git: { repo, service, commands: described } } }
}

function describeCommand({ ref, change, update }: GitCommand): string {
  return update === undefined ? `${change} ${cut(ref)}` : `${change} ${cut(ref)} ${update}`
}

function cut(text: string): string {
  return text.length > TEXT_LENGTH_MAX ? `${text.slice(0, TEXT_LENGTH_MAX)}…` : text
}
