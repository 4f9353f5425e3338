// The grammar of a credential's `inject`: one place each. Pure; called by `credential-schema.ts`.

import { z } from 'zod'

import type { Injection } from '../../credentials/definition.ts'
import { formatText, headerName } from './head-scalars.ts'
import { exactlyOne, flag } from './scalars.ts'
import { signSchema } from './sign-schema.ts'
import { sigv4Schema, toSigv4 } from './sigv4-schema.ts'

const SEGMENT_MAX = 64
const POINTER_TOKENS_MAX = 16

const written = z.strictObject({
  bearer: flag.optional().describe('Authorization: Bearer VALUE'),
  basic: z
    .strictObject({
      user: z
        .string()
        .regex(/^[^:\p{Cc}]{0,256}$/u, { error: 'expected a user name without a colon' }),
    })
    .optional()
    .describe('Authorization: Basic, with the value as the password'),
  header: z.strictObject({ name: headerName, format: formatText }).optional(),
  query: z
    .strictObject({
      name: z
        .string()
        .regex(/^[\w.~-]{1,128}$/, { error: 'expected the name of a query parameter' }),
    })
    .optional(),
  cookie: z
    .strictObject({
      name: z
        .string()
        .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, { error: 'expected the name of a cookie' }),
    })
    .optional(),
  path: z
    .strictObject({
      segment: z.int().min(1).max(SEGMENT_MAX).describe('Counted from 1'),
      format: z
        .string()
        .regex(/^[\w.~!$&'()*+,=:@-]*\{\}[\w.~!$&'()*+,=:@-]*$/, {
          error: 'expected text of a path segment with {} once, where the value goes',
        })
        .default('{}'),
    })
    .optional(),
  form: z
    .strictObject({
      field: z.string().regex(/^[\w.~-]{1,128}$/, { error: 'expected the name of a field' }),
    })
    .optional()
    .describe('A field of an application/x-www-form-urlencoded body'),
  json: z
    .strictObject({
      pointer: z
        .string()
        .regex(/^(?:\/(?:[^/~\p{Cc}]|~[01])*)+$/u, {
          error: 'expected a JSON pointer, such as /auth/token',
        })
        .refine((pointer) => tokensOf(pointer).length <= POINTER_TOKENS_MAX, {
          error: `expected at most ${POINTER_TOKENS_MAX} names`,
        }),
    })
    .optional()
    .describe('A member of a JSON body'),
  mtls: flag.optional().describe('A certificate and its key, shown by TLS'),
  sign: signSchema.optional(),
  sigv4: sigv4Schema.optional(),
})

/** Where a credential stands in a request. */
export const injectSchema: z.ZodType<Injection> = exactlyOne(
  written,
  `expected one place: ${Object.keys(written.shape).join(', ')}`,
).transform(toInjection)

function toInjection(given: z.output<typeof written>): Injection {
  const { basic, header, query, cookie, path, form, json, mtls, sigv4, sign } = given
  if (basic) return { kind: 'basic', user: basic.user }
  if (header) return { kind: 'header', name: header.name, format: header.format }
  if (query) return { kind: 'query', name: query.name }
  if (cookie) return { kind: 'cookie', name: cookie.name }
  if (path) return { kind: 'path', segment: path.segment, format: path.format }
  if (form) return { kind: 'form', field: form.field }
  if (json) return { kind: 'json', pointer: tokensOf(json.pointer) }
  if (sigv4) return toSigv4(sigv4)
  if (mtls) return { kind: 'mtls' }
  return sign ?? { kind: 'bearer' }
}

// RFC 6901 section 4.
function tokensOf(pointer: string): string[] {
  return pointer
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
}
