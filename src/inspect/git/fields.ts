// What the record says of a request of git. Pure; called where a call of `recogniseGit` is recorded.

import type { GitCommand, GitSubject } from '../../policy/subject.ts'
import type { InspectedFields } from '../fields.ts'

const COMMANDS_MAX = 50
const REF_LENGTH_MAX = 256

/** A subject as members of a record; of many commands the first ones and how many more there were. */
export function describeGit({ repo, service, commands }: GitSubject): InspectedFields {
  const described = commands.slice(0, COMMANDS_MAX).map(describeCommand)
  const more = commands.length - described.length
  if (more > 0) described.push(`… and ${more} more`)
  return { content: { git: { repo, service, commands: described } } }
}

function describeCommand({ ref, change, update }: GitCommand): string {
  const name = ref.length > REF_LENGTH_MAX ? `${ref.slice(0, REF_LENGTH_MAX)}…` : ref
  return update === undefined ? `${change} ${name}` : `${change} ${name} ${update}`
}
