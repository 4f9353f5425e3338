// The only door to a secret's value (I3): the layer test allows it to `inject/`, `net/` and this room. Who comes through it
// sends the value to its hosts and keeps it nowhere.

import type { Secret } from './secret.ts'
import { partsOf, valueOf } from './vault.ts'

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g
// What others are told anyway, and what upstreams name in their answers.
const PUBLIC_PARTS: ReadonlySet<string> = new Set(['user', 'accessKeyId', 'certificate'])
const KEY = /-----BEGIN ((?:[A-Z]+ )?PRIVATE KEY)-----[^-]+-----END \1-----/

/**
 * Reveals the value of a secret; empty where it has only parts.
 * @param _use what for, in a word: makes every call site say so
 */
export function reveal(secret: Secret, _use: string): string {
  return valueOf(secret, 'value') ?? ''
}

/** Reveals a part of a secret by its name; undefined where it has none such. */
export function revealPart(secret: Secret, part: string, _use: string): string | undefined {
  return valueOf(secret, part)
}

/** Reveals all texts of a secret, its value first where it has one, for whoever looks for them. */
export function revealAll(secret: Secret, _use: string): readonly string[] {
  const { value = '', ...parts } = partsOf(secret)
  return [value, ...Object.values(parts)].filter((text) => text !== '')
}

/** Reveals the texts of a secret that nobody else may know: not a user's name or a certificate. */
export function revealPrivate(secret: Secret, _use: string): readonly string[] {
  return Object.entries(partsOf(secret))
    .filter(([part, text]) => !PUBLIC_PARTS.has(part) && text !== '')
    .map(([, text]) => text)
}

/**
 * Reveals a certificate, the leaf first, and its key, in PEM: two parts of a secret, or both in one text as files of many programs
 * have them; undefined where it has not both.
 * @param use what for, in a word
 */
export function revealCertificate(
  secret: Secret,
  use: string,
): { readonly certPem: string; readonly keyPem: string } | undefined {
  const text = reveal(secret, use)
  const certPem = revealPart(secret, 'certificate', use) ?? text.match(CERTIFICATES)?.join('\n')
  const keyPem = revealPart(secret, 'key', use) ?? KEY.exec(text)?.[0]
  return certPem === undefined || keyPem === undefined ? undefined : { certPem, keyPem }
}
