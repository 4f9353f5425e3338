// The scalars of a rule file as schemas: each says in its message what was expected. Pure; called by `grammar.ts`.

import { z } from 'zod'

import { parseCidr, type Cidr } from '../wire/address.ts'
import { parseDate, parseMoment } from '../wire/time.ts'
import { parsePathPattern, type PathPattern, type PatternFault } from './path-pattern.ts'
import { compileRe2 } from './re2.ts'
import { parseTemplate, type Part } from './template.ts'

/** Values of one key of `query` or `headers`, read. */
export type Alternatives = readonly (readonly Part[])[]

const SIZE_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
}
const SIZE_EXPECTED = 'expected a size such as 512KiB or 64MiB'
const ID = /^[A-Za-z0-9][\w.-]{0,127}$/
const METHOD = /^[A-Z][A-Z0-9!#$%&'*+.^_`|~-]{0,31}$/
const TEXT_MAX = 4096
const LABEL_MAX = 256
const ENVIRONMENTS_MAX = 16
const ENVIRONMENT_EXPECTED = 'expected an environment such as prod: put it in quotes'

const REGULATION = /^[a-z0-9][a-z0-9-]{0,31}$/
const REGULATIONS_MAX = 16
const REGULATION_EXPECTED = 'expected short names in lower case such as gdpr, hipaa or pci-dss'

/** Reads a value by a function that says what is wrong with it. */
export function readBy<Value, Input>(
  source: z.ZodType<Input, Input>,
  read: (written: Input) => Value | PatternFault,
): z.ZodType<Value, Input> {
  return source.transform((written, context) => {
    const value = read(written)
    if (!isFault(value)) return value
    const { fault, hint } = value
    context.addIssue({
      code: 'custom',
      message: fault,
      ...(hint !== undefined && { params: { hint } }),
    })
    return z.NEVER
  })
}

function isFault(value: unknown): value is PatternFault {
  return typeof value === 'object' && value !== null && 'fault' in value
}

/**
 * A list that is not empty: an empty one would look like any and mean none.
 * @param instead what to write instead of an empty one
 */
export function list<Value, Input>(
  item: z.ZodType<Value, Input>,
  what: string,
  instead = `leave the key out where any of the ${what} will do`,
): z.ZodType<Value[], Input[]> {
  return z
    .array(item, { error: `expected a list of ${what}` })
    .min(1, { error: `expected at least one: ${instead}` })
}

/** One value, or a list of them. */
export function oneOrMore<Value, Input>(
  item: z.ZodType<Value, Input>,
  error: string,
  what: string,
): z.ZodType<Value[], Input | Input[]> {
  return z.union([item.transform((single) => [single]), list(item, what)], { error })
}

/** A text that is not empty. */
export function text(expected: string): z.ZodType<string, string> {
  return z
    .string({ error: `expected ${expected}: put it in quotes` })
    .min(1, { error: `expected ${expected}` })
    .max(TEXT_MAX, { error: `expected at most ${TEXT_MAX} characters` })
}

/** A name of ours. */
export function identifier(what: string): z.ZodType<string, string> {
  return z
    .string({ error: `expected ${what}: put it in quotes` })
    .regex(ID, { error: `expected ${what}: letters, digits, \`.\`, \`_\` and \`-\`` })
}

/** One of a few words. */
export function oneOf<const Word extends string>(
  words: readonly [Word, ...Word[]],
): z.ZodType<Word, Word> {
  return z.enum(words, { error: `expected ${words.slice(0, -1).join(', ')} or ${words.at(-1)}` })
}

/** An RE2 that compiles. */
export const re2: z.ZodType<string, string> = readBy<string, string>(
  text('a regular expression'),
  (written) => {
    const compiled = compileRe2(written)
    if (!('fault' in compiled)) return written
    return { fault: `not an RE2: ${compiled.fault}`, hint: 'the whole value has to match' }
  },
)

/** Bytes, with a unit or as a bare number. */
export const size: z.ZodType<number, string | number> = z.union(
  [
    z.int().positive(),
    readBy(z.string(), (written): number | PatternFault => {
      const match = /^([1-9]\d{0,12})(|B|KiB|MiB|GiB)$/.exec(written)
      if (!match) return { fault: SIZE_EXPECTED }
      const bytes = Number(match[1]) * (SIZE_BYTES[match[2] ?? ''] ?? Number.NaN)
      return Number.isSafeInteger(bytes) ? bytes : { fault: SIZE_EXPECTED }
    }),
  ],
  { error: SIZE_EXPECTED },
)

/** A port. */
export const port: z.ZodType<number, number> = z
  .int({ error: 'expected a port from 1 to 65535' })
  .min(1, { error: 'expected a port from 1 to 65535' })
  .max(65_535, { error: 'expected a port from 1 to 65535' })

/** A range of addresses. */
export const cidr: z.ZodType<Cidr, string> = readBy<Cidr, string>(
  text('a range such as 10.1.2.0/24'),
  (written) =>
    parseCidr(written) ?? {
      fault: `\`${written}\` is no range of addresses`,
      hint: 'write such as 10.1.2.0/24, without bits set behind the prefix',
    },
)

/** A method, in upper case as it is on the wire. */
export const method: z.ZodType<string, string> = readBy<string, string>(
  text('a method'),
  (written) => {
    if (written === 'CONNECT')
      return {
        fault: 'CONNECT is no call',
        hint: 'leave it out: a tunnel opens where a rule covers it',
      }
    if (METHOD.test(written)) return written
    const upper = written.toUpperCase()
    return {
      fault: `\`${written}\` is no method`,
      ...(METHOD.test(upper) && { hint: `write ${upper}` }),
    }
  },
)

/** A path pattern. */
export const path: z.ZodType<PathPattern, string> = readBy(text('a path'), parsePathPattern)

/** A value of `query` or `headers`: one pattern or a list. */
export const alternatives: z.ZodType<Alternatives, string | string[]> = oneOrMore(
  readBy(z.string(), (written): readonly Part[] | PatternFault => {
    const parts = parseTemplate(written)
    return typeof parts === 'string' ? { fault: parts } : parts
  }),
  'expected a text or a list of texts: put numbers and words such as true in quotes',
  'values',
)

/** The name of an environment, as tasks have it. */
export const environmentLabel: z.ZodType<string, string> = z
  .string({ error: ENVIRONMENT_EXPECTED })
  .min(1, { error: ENVIRONMENT_EXPECTED })
  .max(LABEL_MAX, { error: `expected at most ${LABEL_MAX} characters` })

/** One environment, or a list of them. */
export const environments: z.ZodType<string[], string | string[]> = z.union(
  [
    environmentLabel.transform((single) => [single]),
    z
      .array(environmentLabel)
      .min(1, { error: 'expected at least one: leave the key out where any environment will do' })
      .max(ENVIRONMENTS_MAX, { error: `expected at most ${ENVIRONMENTS_MAX} environments` }),
  ],
  { error: 'expected an environment or a list of them, such as prod' },
)

const name = z.string({ error: REGULATION_EXPECTED }).regex(REGULATION, {
  error: REGULATION_EXPECTED,
})

/** Names such as those of laws, standards and kinds of data: one or a list. */
export const names: z.ZodType<string[], string | string[]> = z.union(
  [
    name.transform((single) => [single]),
    z
      .array(name)
      .min(1, { error: 'expected at least one: leave the key out where there is none' })
      .max(REGULATIONS_MAX, { error: `expected at most ${REGULATIONS_MAX} names` }),
  ],
  { error: REGULATION_EXPECTED },
)

const INSTANT_EXPECTED =
  'expected a date such as 2027-06-30, or a time such as 2027-06-30T18:00:00Z'

/** A point in time, in epoch milliseconds: a date is the beginning of that day in UTC. */
export const instant: z.ZodType<number, string> = readBy<number, string>(
  z.string({ error: INSTANT_EXPECTED }),
  (written) => parseDate(written) ?? parseMoment(written) ?? { fault: INSTANT_EXPECTED },
)

/** Who may approve: the name of a principal, or `team:` and that of a team. */
export const reviewer: z.ZodType<string, string> = z
  .string({ error: 'expected the name of a principal, or team:NAME' })
  .regex(/^(?:team:)?[^\s:][^:]{0,255}$/, {
    error: 'expected the name of a principal, or team:NAME',
  })
