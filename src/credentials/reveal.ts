// The only door to a secret's value (I3): the layer test allows it to `inject/`, `net/` and this room. Who comes through it
// sends the value to its hosts and keeps it nowhere.

import type { Secret } from './secret.ts'
import { partsOf, valueOf } from './vault.ts'

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
