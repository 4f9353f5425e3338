// The grammar of one entry of `credentials:` and the definition that it makes. Deliberately reads no secret: a source is
// named here and opened by the credentials room. Called by `schema.ts`.

import { z } from 'zod'

import type { CredentialDefinition, Injection } from '../credentials/sources.ts'
import { boundedText, positiveInteger } from '../tasks/scalars.ts'
import { hostPort } from './scalars.ts'

/** Everything of a definition but its name; a file source is as written. */
export type CredentialSection = Omit<CredentialDefinition, 'name' | 'placeholder'> & {
  readonly placeholder: {
    readonly env?: string | undefined
    readonly prefix?: string | undefined
    readonly length?: number | undefined
  }
}

/** Letters and digits that a placeholder has beyond its prefix, at the least: fewer could be met by accident. */
const PLACEHOLDER_DERIVED_MIN = 16
const PLACEHOLDER_DERIVED_DEFAULT = 32

const variableName = z
  .string()
  .regex(/^[A-Za-z_]\w{0,127}$/, { error: 'expected the name of an environment variable' })

const headerName = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, { error: 'expected the name of a header field' })
  .refine((name) => !isFramingName(name.toLowerCase()), {
    error: 'this field routes or frames the message and cannot carry a credential',
  })

const flag = z.literal(true, { error: 'expected true' })

// Both sides are checked for "exactly one" so that `{}` and two kinds at once are refused with words of their own.
const source = exactlyOne(
  z.strictObject({ env: variableName.optional(), file: boundedText(4096).optional() }),
  'expected one source: env or file',
)
const inject = exactlyOne(
  z.strictObject({
    bearer: flag.optional().describe('Authorization: Bearer VALUE'),
    basic: z
      .strictObject({
        user: z
          .string()
          .regex(/^[^:\p{Cc}]{0,256}$/u, { error: 'expected a user name without a colon' }),
      })
      .optional()
      .describe('Authorization: Basic, with the value as the password'),
    header: z
      .strictObject({
        name: headerName,
        format: z
          .string()
          .regex(/^[\x20-\x7e]*$/, { error: 'expected printable ASCII' })
          .refine((format) => format.split('{}').length === 2, {
            error: 'expected {} once, where the value goes',
          })
          .default('{}'),
      })
      .optional(),
    query: z
      .strictObject({
        name: z
          .string()
          .regex(/^[\w.~-]{1,128}$/, { error: 'expected the name of a query parameter' }),
      })
      .optional(),
  }),
  'expected one place: bearer, basic, header or query',
)

/** One credential as it is written. */
export const credentialSchema: z.ZodType<CredentialSection> = z
  .strictObject({
    source: source.transform(({ env, file }) =>
      env === undefined ? { file: file ?? '' } : { env },
    ),
    inject: inject.transform(toInjection),
    hosts: z.array(hostPort).min(1, { error: 'expected at least one host' }),
    placeholder: z
      .strictObject({
        env: variableName.optional(),
        prefix: z
          .string()
          .regex(/^[\w.-]{1,64}$/, { error: 'expected letters, digits, _ . and - only' })
          .optional(),
        length: positiveInteger
          .refine((length) => length <= 512, { error: 'expected at most 512' })
          .optional(),
      })
      .prefault({}),
    insecurePlaintext: z
      .boolean()
      .default(false)
      .describe('Send it without TLS too, where the rule lists the addresses.'),
  })
  .refine(({ placeholder: { prefix, length } }) => isLongEnough(prefix, length), {
    error: `expected at least ${PLACEHOLDER_DERIVED_MIN} characters beyond the prefix`,
    path: ['placeholder', 'length'],
  })

/** Completes what a placeholder has by default: a name and a prefix made from the credential's. */
export function completePlaceholder(
  name: string,
  written: CredentialSection['placeholder'],
): CredentialDefinition['placeholder'] {
  const prefix = written.prefix ?? `sallyport_${name}_`
  return {
    env:
      written.env ??
      `${name
        .toUpperCase()
        .replaceAll(/[^A-Z0-9]/g, '_')
        .replace(/^(?=\d)/, '_')}_TOKEN`,
    prefix,
    length: written.length ?? prefix.length + PLACEHOLDER_DERIVED_DEFAULT,
  }
}

function isLongEnough(prefix: string | undefined, length: number | undefined): boolean {
  return length === undefined || length >= (prefix?.length ?? 0) + PLACEHOLDER_DERIVED_MIN
}

function exactlyOne<Shape extends z.ZodType<object>>(schema: Shape, expected: string): Shape {
  return schema
    .refine((value) => Object.values(value).filter((item) => item !== undefined).length === 1, {
      error: expected,
    })
    .meta({ minProperties: 1, maxProperties: 1 })
}

function toInjection(written: z.output<typeof inject>): Injection {
  if (written.basic) return { kind: 'basic', user: written.basic.user }
  if (written.header)
    return { kind: 'header', name: written.header.name, format: written.header.format }
  if (written.query) return { kind: 'query', name: written.query.name }
  return { kind: 'bearer' }
}

function isFramingName(lowerName: string): boolean {
  return /^(?:host|connection|content-length|transfer-encoding|te|trailer|upgrade|keep-alive|expect|proxy-.*|content-type|http2-settings)$/.test(
    lowerName,
  )
}
