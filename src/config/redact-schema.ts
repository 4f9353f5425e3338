// The grammar of `redact:`. Pure; called by `schema.ts`.

import { z } from 'zod'

import { compileRe2 } from '../policy/re2.ts'

/** The section as it is written. */
export interface RedactSection {
  /** RE2 expressions; what one finds is in no record. */
  readonly patterns: readonly string[]
  /** Names of URL parameters whose values are in no record, besides the usual ones. */
  readonly query: readonly string[]
  /** Names of request header fields, in lower case, whose values are in records. */
  readonly headers: readonly string[]
}

const PATTERNS_MAX = 64
const PATTERN_LENGTH_MAX = 1024
const NAMES_MAX = 64
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]{1,128}$/
// Fields that prove who asks, whatever they are called: their values are secrets as a whole.
const SECRET_HEADER =
  /^(?:authorization|proxy-.*|cookie2?|set-cookie2?)$|(?:^|[-_])(?:auth|authentication|token|key|secret|password|signature|credentials?|session|jwt)(?:$|[-_])/

const pattern = z
  .string({ error: 'expected an RE2 expression: put it in quotes' })
  .min(1, { error: 'expected an RE2 expression' })
  .max(PATTERN_LENGTH_MAX, { error: `expected at most ${PATTERN_LENGTH_MAX} characters` })
  .check((context) => {
    const fault = faultOf(context.value)
    if (fault !== undefined)
      context.issues.push({ code: 'custom', message: fault, input: context.value })
  })

const queryName = z
  .string({ error: 'expected the name of a URL parameter' })
  .regex(/^[^\s&=;#?]{1,128}$/, { error: 'expected the name of a URL parameter' })

const headerName = z
  .string({ error: 'expected the name of a header field' })
  .toLowerCase()
  .regex(HEADER_NAME, { error: 'expected the name of a header field' })
  .refine((name) => !SECRET_HEADER.test(name), {
    error: 'the value of this field is a secret as a whole: no record has it',
  })

/** What is taken out of records, and which header fields are in them. */
export const redactSchema: z.ZodType<RedactSection> = z
  .strictObject({
    patterns: z
      .array(pattern)
      .max(PATTERNS_MAX, { error: `expected at most ${PATTERNS_MAX} patterns` })
      .default([])
      .describe('RE2 expressions; what one finds is in no record.'),
    query: z
      .array(queryName)
      .max(NAMES_MAX, { error: `expected at most ${NAMES_MAX} names` })
      .default([])
      .describe('Names of URL parameters whose values are in no record, besides the usual ones.'),
    headers: z
      .array(headerName)
      .max(NAMES_MAX, { error: `expected at most ${NAMES_MAX} names` })
      .default([])
      .describe('Names of request header fields whose values are in records, without secrets.'),
  })
  .prefault({})

function faultOf(written: string): string | undefined {
  const compiled = compileRe2(written)
  if ('fault' in compiled) return `not an RE2 expression: ${compiled.fault}`
  // It would find nothing at each place of every text.
  return compiled.matcher('').find()
    ? 'expected an expression that does not match the empty text'
    : undefined
}
