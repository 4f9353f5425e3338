// `when` as a value of a rule file: read, or refused with all that is wrong with it. Pure; called by `grammar.ts`.

import { z } from 'zod'

import { readCondition, type Condition } from './condition.ts'

const EXPECTED = 'expected a condition in CEL such as task.environment == "prod"'

/** A condition; what is wrong with one is told by where it stands in the text. */
export const condition: z.ZodType<Condition, string> = z
  .string({ error: 'expected a condition in CEL: put it in quotes' })
  .transform((written, context) => {
    if (written.trim() === '') {
      context.addIssue({ code: 'custom', message: EXPECTED })
      return z.NEVER
    }
    const read = readCondition(written)
    if ('condition' in read) return read.condition
    for (const { message, ...params } of read.faults)
      context.addIssue({ code: 'custom', message, params })
    return z.NEVER
  })
