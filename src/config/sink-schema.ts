// The grammar of one entry of `sinks:`. Pure; called by `schema.ts`.

import { z } from 'zod'

import type { SinkFilter } from '../record/sinks/filter.ts'

/** What may be said of any sink. */
interface SinkSelectionSection {
  readonly all: boolean
  readonly filter: { readonly [Name in keyof SinkFilter]: SinkFilter[Name] | undefined }
}

/** One entry of `sinks:` as it is written: exactly one of the two. */
export interface SinkSection {
  readonly stdout?: SinkSelectionSection | undefined
  readonly http?:
    | (SinkSelectionSection & { readonly url: string; readonly headers: Record<string, string> })
    | undefined
}

const headerName = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, { error: 'expected the name of a header field' })
const headerValue = z
  .string({ error: 'expected a text' })
  .regex(/^[\t\x20-\x7e]*$/, { error: 'expected printable ASCII' })
const selection = {
  all: z
    .boolean({ error: 'expected true or false' })
    .default(false)
    .describe("Also call-started and call-progress; else each call's last record and every event."),
  filter: z
    .strictObject({
      verdict: z.enum(['allow', 'deny']).optional(),
      reason: z
        .string()
        .regex(/^[a-z0-9-]{1,32}$/, { error: 'expected a reason' })
        .optional(),
      task: z
        .string()
        .regex(/^t_[0-9a-z]{26}$/, { error: 'expected the id of a task' })
        .optional(),
    })
    .prefault({}),
}
const stdoutSink = z.strictObject(selection)
const httpSink = z.strictObject({
  url: z
    .string({ error: 'expected an http:// or https:// URL' })
    .regex(/^https?:\/\/[^\s/@#][^\s@#]*$/, {
      error: 'expected an http:// or https:// URL without user and fragment',
    })
    .refine((written) => URL.canParse(written), { error: 'expected a URL' }),
  format: z.literal('ndjson', { error: 'only ndjson is served by this version' }).default('ndjson'),
  headers: z.record(headerName, headerValue).default({}),
  ...selection,
  onBacklogFull: z
    .literal('deny', { error: 'only deny is served by this version' })
    .default('deny')
    .describe('What happens once the journal may not grow any more: calls are refused.'),
})

/** One sink as it is written. */
export const sinkSchema: z.ZodType<SinkSection> = z
  .strictObject({ http: httpSink.optional(), stdout: stdoutSink.optional() })
  .refine((sink) => (sink.http === undefined) !== (sink.stdout === undefined), {
    error: 'expected one sink: http or stdout',
  })
  .meta({ minProperties: 1, maxProperties: 1 })
