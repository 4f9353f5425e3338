// Values in the one form in which they are digested. Pure. Called wherever a definition, an intent or evidence is told from
// another by its digest.

import { createHash } from 'node:crypto'

/** JSON with the members of every object in order, so that the order in a file does not count. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  )
}

/** Hex SHA-256 of a text. */
export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
