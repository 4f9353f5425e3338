// Values of a body as headers repeat them: plain, or in Base64 between `=?base64?` and `?=`. Pure text; called by
// `headers.ts` and `parameters.ts`.

import { Buffer } from 'node:buffer'

const PREFIX = '=?base64?'
const SUFFIX = '?='
// What a plain value may hold (RFC 9110 section 5.5, without what is not ASCII); no space at its ends.
const PLAIN = /^(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?$/
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The value that a header repeats; undefined where it cannot be one, or could be read in two ways. */
export function decodeMirrored(header: string): string | undefined {
  if (!header.startsWith(PREFIX) || !header.endsWith(SUFFIX))
    return PLAIN.test(header) ? header : undefined
  const encoded = header.slice(PREFIX.length, -SUFFIX.length)
  const bytes = Buffer.from(encoded, 'base64')
  // Padding and the bits behind the end are compared too.
  if (bytes.toString('base64') !== encoded) return undefined
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}
