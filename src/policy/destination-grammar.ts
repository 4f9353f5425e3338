// What a verdict and the groups of a file are written with: destinations, one or a list. Called by `grammar.ts` and `groups.ts`.

import { z } from 'zod'

import { parseDestination, parseRange } from './destination.ts'
import type { PatternFault } from './path-pattern.ts'
import type { Destination, GroupReference, Verdict } from './rule-set.ts'
import { identifier, oneOrMore, port, readBy, text } from './scalars.ts'

/** A range of addresses or the name of a group, as a mapping: so that no name is ever taken for a URL, a host or a scheme. */
function mappedDestination(verdict: Verdict): z.ZodType<Destination | GroupReference> {
  const read = ({ group, ...range }: Mapped): Destination | GroupReference | PatternFault => {
    const { cidr: written } = range
    if (group === undefined)
      return written === undefined
        ? { fault: 'expected `cidr` or `group`' }
        : parseRange({ ...range, cidr: written }, verdict)
    const isAlone = Object.values(range).every((each) => each === undefined)
    return isAlone
      ? { group }
      : { fault: 'a group stands alone', hint: `write { group: ${group} }` }
  }
  return readBy(
    z.strictObject({
      scheme: text('a scheme').optional(),
      cidr: text('a range such as 10.1.2.0/24').optional(),
      port: port.optional(),
      group: identifier("a group's name").optional().describe('One under `hosts:` of any file.'),
    }),
    read,
  )
}

interface Mapped {
  readonly scheme?: string | undefined
  readonly cidr?: string | undefined
  readonly port?: number | undefined
  readonly group?: string | undefined
}

const DESTINATION_EXPECTED =
  'expected scheme://host[:port], { scheme, cidr, port } or { group }, one or a list'

/** The value of a verdict. */
export function destinations(verdict: Verdict): z.ZodType<(Destination | GroupReference)[]> {
  const url = readBy(text('scheme://host[:port]'), (written) => parseDestination(written, verdict))
  const error = DESTINATION_EXPECTED
  return oneOrMore(z.union([url, mappedDestination(verdict)], { error }), error, 'destinations')
}

const groupUrl = readBy(text('scheme://host[:port]'), (written): Destination | PatternFault => {
  const read = parseDestination(written, 'allow')
  if ('fault' in read) return read
  if (read.path)
    return { fault: 'a group names no paths', hint: 'write `paths:` in the rules that use it' }
  if (read.host.kind === 'param')
    return { fault: 'a group has no parameters', hint: 'write the destination in the rule itself' }
  return read
})

const groupRange = readBy(
  z.strictObject({
    scheme: text('a scheme').optional(),
    cidr: text('a range such as 10.1.2.0/24'),
    port: port.optional(),
  }),
  (written) => parseRange(written, 'allow'),
)

const GROUPED_EXPECTED = 'expected scheme://host[:port] or { scheme, cidr, port }, one or a list'

/** `hosts:` of a file: destinations as on an allow, without paths, parameters or other groups, by the names of groups. */
export const groups: z.ZodType<Readonly<Record<string, readonly Destination[]>>> = z.record(
  identifier("a group's name"),
  oneOrMore(
    z.union([groupUrl, groupRange], { error: GROUPED_EXPECTED }),
    GROUPED_EXPECTED,
    'destinations',
  ),
  { error: 'expected a mapping of names to destinations' },
)
