// The grammar of a credential's `inject`: one place each. Pure; called by `credential-schema.ts`.

import { z } from 'zod'

import type { Injection } from '../../credentials/definition.ts'
import { exactlyOne, flag } from './scalars.ts'
import { sigv4Schema, toSigv4 } from './sigv4-schema.ts'

const headerName = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, { error: 'expected the name of a header field' })
  .refine((name) => !isFramingName(name.toLowerCase()), {
    error: 'this field routes or frames the message and cannot carry a credential',
  })

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
  sigv4: sigv4Schema.optional(),
})

/** Where a credential stands in a request. */
export const injectSchema: z.ZodType<Injection> = exactlyOne(
  written,
  `expected one place: ${Object.keys(written.shape).join(', ')}`,
).transform(toInjection)

function toInjection({ basic, header, query, sigv4 }: z.output<typeof written>): Injection {
  if (basic) return { kind: 'basic', user: basic.user }
  if (header) return { kind: 'header', name: header.name, format: header.format }
  if (query) return { kind: 'query', name: query.name }
  if (sigv4) return toSigv4(sigv4)
  return { kind: 'bearer' }
}

function isFramingName(lowerName: string): boolean {
  return /^(?:host|connection|content-length|transfer-encoding|te|trailer|upgrade|keep-alive|expect|proxy-.*|content-type|http2-settings)$/.test(
    lowerName,
  )
}
