// The forms in which a value is looked for: as it is, in base64 wherever it lies, in hex. What folding makes equal is written once,
// see `form-finder.ts`; escapes are read where they stand. Called by `sought.ts`.

import { base64TracesOf } from '../../wire/text-finder.ts'
import { FORM_BYTES_MIN, type Form } from './form-finder.ts'

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g

/** Lists the forms of a value, or of what is secret in a PEM; none where it is too short to be told from other text. */
export function formsOf(value: string, owner: string): Form[] {
  return textsOf(value)
    .flatMap(bytesOf)
    .flatMap((bytes) => {
      const traces = base64TracesOf(bytes.toString('latin1'))
      return [bytes, ...[...traces, bytes.toString('hex')].map((form) => Buffer.from(form))].map(
        (form) => ({ bytes: form, owner }),
      )
    })
}

/** The form of what `Basic` sends for a user and a password that is long enough. */
export function basicFormsOf(user: string, password: string, owner: string): Form[] {
  if (!isSought(password)) return []
  const pair = Buffer.from(`${user}:${password}`).toString('base64').replace(/=+$/, '')
  return [{ bytes: Buffer.from(pair), owner }]
}

// A file's bytes are kept as latin1, other texts are what they are: beyond ASCII nobody can say which a value was.
function bytesOf(text: string): Buffer[] {
  const bytes = Buffer.from(text)
  const raw = Buffer.from(text, 'latin1')
  return bytes.equals(raw) || raw.length < FORM_BYTES_MIN || raw.toString('latin1') !== text
    ? [bytes]
    : [bytes, raw]
}

// The lines of a PEM are as telling as the whole, and found however it is joined; its armour is everybody's,
// and so are the certificates beside a key.
function textsOf(value: string): string[] {
  if (!value.includes('-----BEGIN ')) return isSought(value) ? [value] : []
  const secret = value.includes('PRIVATE KEY-----') ? value.replaceAll(CERTIFICATES, '') : value
  const lines = secret.split(/\s+|\\[rn]/)
  return [...new Set(lines)].filter((line) => /^[0-9A-Za-z+/=]+$/.test(line) && isSought(line))
}

function isSought(text: string): boolean {
  return Buffer.byteLength(text) >= FORM_BYTES_MIN
}
