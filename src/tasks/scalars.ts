// The scalars of a task's definition as schemas: texts, durations, sizes, ranges of addresses. Each says in its message what was
// expected. Pure; called by `schema.ts` and by the schemas of the configuration, which hold more of them.

import { z } from 'zod'

import { EgressError } from '../errors.ts'
import { parseCidr } from '../wire/address.ts'
import { MOMENT_EXPECTED, MOMENT_PATTERN, parseMoment } from '../wire/time.ts'
import { DURATION_PATTERN, parseDuration, parseSize, SIZE_PATTERN } from '../wire/units.ts'

// Generated code pays only where one schema reads much: a configuration and its rules are read once. Before any schema is
// made, because each keeps what was set then.
z.config({ jitless: true })

/** Reads a text by a function that returns undefined, or throws an EgressError, where it is not one. */
export function readBy<Value>(
  source: z.ZodType<string, string>,
  read: (text: string) => Value | undefined,
  expected: string,
): z.ZodType<Value, string> {
  return source.transform((written, context) => {
    let value: Value | undefined
    try {
      value = read(written)
    } catch (error) {
      if (!(error instanceof EgressError)) throw error
    }
    if (value !== undefined) return value
    context.addIssue({ code: 'custom', message: expected })
    return z.NEVER
  })
}

/** A text of 1 to `charactersMax` characters without control characters. */
export function boundedText(charactersMax: number): z.ZodType<string, string> {
  return z
    .string({ error: 'expected a text' })
    .min(1, { error: 'expected a text that is not empty' })
    .max(charactersMax, { error: `expected at most ${charactersMax} characters` })
    .refine((written) => !/\p{Cc}/u.test(written.replaceAll(/[\n\t]/g, '')), {
      error: 'control characters are not allowed',
    })
}

/** What a duration is expected to look like, in words. */
export const DURATION_EXPECTED: string = 'expected a duration such as 30s, 15m, 12h or 30d'

/** A duration in milliseconds, written with a unit. */
export const duration: z.ZodType<number, string> = readBy(
  z.string({ error: DURATION_EXPECTED }).regex(DURATION_PATTERN, { error: DURATION_EXPECTED }),
  parseDuration,
  DURATION_EXPECTED,
)

/** A moment in epoch milliseconds, written with its offset from UTC. */
export const moment: z.ZodType<number, string> = readBy(
  z.string({ error: MOMENT_EXPECTED }).regex(MOMENT_PATTERN, { error: MOMENT_EXPECTED }),
  parseMoment,
  MOMENT_EXPECTED,
)

/** A whole number above zero. */
export const positiveInteger: z.ZodType<number, number> = z
  .int({ error: 'expected a whole number' })
  .positive({ error: 'expected a number above zero' })

const SIZE_EXPECTED = 'expected a size such as 512KiB, 64MiB or 4GiB'

/** A size in bytes, written with a unit or as a bare number of bytes. */
export const size: z.ZodType<number, string | number> = z.union(
  [positiveInteger, readBy(z.string().regex(SIZE_PATTERN), parseSize, SIZE_EXPECTED)],
  { error: SIZE_EXPECTED },
)

/** A range of addresses, as written. */
export const cidr: z.ZodType<string, string> = readBy(
  z.string({ error: 'expected a range such as 10.1.2.0/24' }),
  (written) => (parseCidr(written) ? written : undefined),
  'expected a range such as 10.1.2.0/24, without bits set beyond its length',
)
