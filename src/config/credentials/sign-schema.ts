// The grammar of `inject: { sign: … }`: what signs requests. Pure; called by `inject-schema.ts`.

import { z } from 'zod'

import type {
  HmacInjection,
  HttpSignatureInjection,
  SignedField,
  SignedPiece,
} from '../../credentials/signing.ts'
import { duration } from '../../tasks/scalars.ts'
import { exactlyOne } from './scalars.ts'
import { formatText, headerName } from './head-scalars.ts'

const FIELDS: readonly string[] = [
  'method',
  'host',
  'path',
  'query',
  'timestamp',
  'nonce',
  'body',
  'body.sha256',
]
const DERIVED: readonly string[] = [
  '@method',
  '@target-uri',
  '@authority',
  '@scheme',
  '@request-target',
  '@path',
  '@query',
]
const PIECE = /\{([^{}]*)\}|([^{}]+)/g
const HEADER_FIELD = /^header:[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/
const COMPONENT_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]{1,128}$/
// Written after signing, or another way on the way: a cookie is cut into crumbs by HTTP/2.
const UNSIGNED =
  /^(?:header:)?(?:host|content-length|transfer-encoding|connection|te|trailer|upgrade|keep-alive|expect|cookie|signature|signature-input)$/i

const keyName = z
  .string()
  .regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/, { error: 'expected the name of a key' })

const signedText = z
  .string()
  .regex(/^(?:\{[^{}]*\}|[^{}\\])*$/, {
    error: 'expected text and fields in braces; a new line is \\n in double quotes',
  })
  .min(1)
  .max(4096)
  .refine((text) => fieldsOf(text).every(isField), {
    error: `expected fields of ${FIELDS.map((name) => `{${name}}`).join(' ')} {header:NAME}`,
  })

const hmac = z
  .strictObject({
    algorithm: z.enum(['sha256', 'sha384', 'sha512']).default('sha256'),
    text: signedText.describe('What is signed: text, and fields in braces'),
    encoding: z.enum(['hex', 'base64']).default('hex'),
    header: headerName,
    format: formatText,
    timestamp: z
      .strictObject({ header: headerName, format: z.enum(['unix', 'iso']).default('unix') })
      .optional(),
    nonce: z.strictObject({ header: headerName }).optional(),
    keyId: z.strictObject({ header: headerName, value: keyName }).optional(),
  })
  .refine(({ text, timestamp }) => timestamp !== undefined || !hasField(text, 'timestamp'), {
    error: 'expected a header for {timestamp}',
    path: ['timestamp'],
  })
  .refine(({ text, nonce }) => nonce !== undefined || !hasField(text, 'nonce'), {
    error: 'expected a header for {nonce}',
    path: ['nonce'],
  })
  .refine((written) => areDistinct(headersOf(written)), { error: 'expected different headers' })

const component = z.string().refine(isComponent, {
  error: `expected a header field in lower case or one of ${DERIVED.join(' ')}`,
})

const message = z.strictObject({
  algorithm: z.enum(['hmac-sha256', 'ed25519', 'ecdsa-p256-sha256']),
  keyId: keyName,
  components: z
    .array(component)
    .min(1)
    .max(32)
    .refine(areDistinct, { error: 'expected each component once' }),
  expires: duration.optional(),
  nonce: z.boolean().default(false),
})

const written = z.strictObject({
  hmac: hmac.optional().describe('A keyed hash of a text that is made of the request'),
  message: message.optional().describe('HTTP Message Signatures (RFC 9421)'),
})

/** What signs requests. */
export const signSchema: z.ZodType<HmacInjection | HttpSignatureInjection> = exactlyOne(
  written,
  `expected one of ${Object.keys(written.shape).join(', ')}`,
).transform(toInjection)

function toInjection(given: z.output<typeof written>): HmacInjection | HttpSignatureInjection {
  if (given.hmac) return { kind: 'hmac', ...given.hmac, text: piecesOf(given.hmac.text) }
  const { algorithm, keyId, components, expires, nonce } = given.message!
  return { kind: 'http-signature', algorithm, keyId, components, expiresMs: expires, nonce }
}

function piecesOf(text: string): SignedPiece[] {
  return [...text.matchAll(PIECE)].map(([, field, plain]) =>
    isField(field) ? { field } : { text: plain ?? '' },
  )
}

function fieldsOf(text: string): string[] {
  return [...text.matchAll(PIECE)].flatMap(([, field]) => (field === undefined ? [] : [field]))
}

function hasField(text: string, name: string): boolean {
  return fieldsOf(text).includes(name)
}

function isField(field: string | undefined): field is SignedField {
  if (field === undefined) return false
  return FIELDS.includes(field) || (HEADER_FIELD.test(field) && !UNSIGNED.test(field))
}

function isComponent(name: string): boolean {
  if (name.startsWith('@')) return DERIVED.includes(name)
  return COMPONENT_NAME.test(name) && !UNSIGNED.test(name)
}

function headersOf({
  header,
  timestamp,
  nonce,
  keyId,
}: Pick<HmacInjection, 'header' | 'timestamp' | 'nonce' | 'keyId'>): string[] {
  return [header, timestamp?.header, nonce?.header, keyId?.header]
    .filter((name) => name !== undefined)
    .map((name) => name.toLowerCase().replaceAll('_', '-'))
}

function areDistinct(names: readonly string[]): boolean {
  return new Set(names).size === names.length
}
