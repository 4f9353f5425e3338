// What several kinds of sinks say in the same words: name, selection, bound of the backlog, secrets, URLs, header fields.
// Pure; called by `sink-schema.ts`.

import { createHash } from 'node:crypto'

import { z } from 'zod'

import type { SinkFilter } from '../record/sinks/filter.ts'
import { boundedText, readBy, size } from '../tasks/scalars.ts'
import { normalizeHost, type Endpoint } from '../wire/authority.ts'

import type { OnBacklogFull, SinkCompression, SinkSecret } from './sink-definition.ts'

/** What may be written of any sink. */
export interface SinkCommonSection {
  readonly name?: string | undefined
  readonly all: boolean
  readonly filter: SinkFilter
  readonly onBacklogFull: OnBacklogFull
  readonly backlogBytes?: number | undefined
}

type Shape<Section> = { readonly [Key in keyof Section]-?: z.ZodType<Section[Key]> }

const NAME_HASH_DIGITS = 12

/** The name of a sink that was given none: the same as long as what tells it from others is. */
export function derivedSinkName(kind: string, ...identity: readonly string[]): string {
  const digest = createHash('sha256').update(identity.join('\n')).digest('hex')
  return `${kind}-${digest.slice(0, NAME_HASH_DIGITS)}`
}

/** One value or a list of them, as a list. */
function listOf(item: z.ZodType<string, string>): z.ZodType<readonly string[]> {
  return z.union([
    item.transform((written) => [written]),
    z.array(item).min(1, { error: 'expected at least one' }).max(1000),
  ])
}

const FILTER_NAMES_EXPECTED = 'expected a name without spaces'
const filter: z.ZodType<SinkFilter> = z.strictObject({
  verdict: z.enum(['allow', 'deny', 'hold']).optional(),
  reason: listOf(z.string().regex(/^[a-z0-9-]{1,32}$/, { error: 'expected a reason' })).optional(),
  task: listOf(z.string().regex(/^t_[0-9a-z]{26}$/, { error: 'expected the id of a task' }))
    .optional()
    .describe('Its own records and those of the tasks below it.'),
  host: listOf(
    z
      .string()
      .regex(/^(?:\*\.)?[^\s*/]{1,253}$/, { error: 'expected a host, or *.NAME for those below' })
      .transform((written) => written.toLowerCase()),
  ).optional(),
  tool: listOf(boundedText(256)).optional().describe('`*` stands for any characters.'),
  rule: listOf(z.string().regex(/^\S{1,256}$/, { error: FILTER_NAMES_EXPECTED }))
    .optional()
    .describe('The id of a rule, or SET/ID.'),
  action: listOf(
    z.string().regex(/^[a-z-]{1,64}$/, { error: 'expected an event.action' }),
  ).optional(),
  kind: z.enum(['event', 'alert']).optional(),
  regulated: z
    .boolean({ error: 'expected true or false' })
    .optional()
    .describe(
      'Whether data of the class confidential or restricted, or under a regulation, came back.',
    ),
})

/** The keys that any sink has. */
export const sinkCommon: Shape<SinkCommonSection> = {
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, { error: 'expected lower-case letters, digits and - only' })
    .optional()
    .describe('Under it the cursor is kept, and metrics and /readyz speak of the sink.'),
  all: z
    .boolean({ error: 'expected true or false' })
    .default(false)
    .describe("Also call-started and call-progress; else each call's last record and every event."),
  filter: filter.prefault({}).describe('Only records that meet every key of it.'),
  onBacklogFull: z
    .enum(['deny', 'drop-with-gap-record'])
    .default('deny')
    .describe(
      'At the bound of the backlog: deny refuses calls until it has drained; drop-with-gap-record goes on without the oldest records and says exactly what was left out, but never leaves out regulated data.',
    ),
  backlogBytes: size
    .optional()
    .describe(
      'Bytes of the journal that this sink may be behind; default: limits.sinkBacklogBytesMax.',
    ),
}

const variableName = z
  .string()
  .regex(/^[A-Za-z_]\w{0,127}$/, { error: 'expected the name of an environment variable' })

function secretOf(text: z.ZodType<string, string>): z.ZodType<SinkSecret> {
  return z.union(
    [
      text.transform((written) => ({ text: written })),
      z.strictObject({ env: variableName }),
      z.strictObject({ file: boundedText(4096) }),
    ],
    { error: 'expected printable ASCII, { env: NAME } or { file: PATH }' },
  )
}

const PRINTABLE_ASCII = /^[\t\x20-\x7e]*$/

/** A secret of a sink. */
export const sinkSecret: z.ZodType<SinkSecret> = secretOf(
  z.string().regex(/^[\x20-\x7e]{1,65536}$/, { error: 'expected printable ASCII' }),
)

/** Header fields that are sent with every request. */
export const sinkHeaders: z.ZodType<Record<string, SinkSecret>> = z
  .record(
    z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, {
      error: 'expected the name of a header field',
    }),
    secretOf(z.string().regex(PRINTABLE_ASCII, { error: 'expected printable ASCII' })),
  )
  .default({})

/** A URL that records are posted to. */
export const sinkUrl: z.ZodType<string, string> = z
  .string({ error: 'expected an http:// or https:// URL' })
  .regex(/^https?:\/\/[^\s/@#][^\s@#]*$/, {
    error: 'expected an http:// or https:// URL without user and fragment',
  })
  .refine((written) => URL.canParse(written), { error: 'expected a URL' })

/** How bodies are compressed. */
export function sinkCompression(usual: SinkCompression): z.ZodType<SinkCompression> {
  return z.enum(['none', 'gzip']).default(usual)
}

const ADDRESS_EXPECTED = 'expected HOST:PORT'

/** A host and port; both are written. */
export const sinkAddress: z.ZodType<Endpoint, string> = readBy(
  z.string({ error: ADDRESS_EXPECTED }),
  (written) => {
    const match = /^(\[[^\]]+\]|[^:[\]/\s]+):([1-9]\d{0,4})$/.exec(written)
    const port = Number(match?.[2])
    return match === null || port > 65_535 ? undefined : { ...normalizeHost(match[1] ?? ''), port }
  },
  ADDRESS_EXPECTED,
)
