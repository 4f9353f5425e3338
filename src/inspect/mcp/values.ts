// Which texts and keys are what they seem: what is one line to everybody, which key is another one in disguise. Deliberately
// ignorant of MCP. Called by the readers of this folder.

import type { JsonValue } from '../fields.ts'
import { isList, isObject, type JsonObject } from '../json-values.ts'

// Control characters, and what some readers end a line at.
// oxlint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/

/** Whether a text is one line to everybody. */
export function isPrintable(text: string): boolean {
  return !UNPRINTABLE.test(text)
}

/** Keys that somebody acts on. */
export interface KnownKeys {
  readonly exact: ReadonlySet<string>
  readonly folded: ReadonlySet<string>
  readonly lengthMax: number
}

/** Makes the set of keys that `findTwin` protects. */
export function knowKeys(...keys: readonly string[]): KnownKeys {
  return {
    exact: new Set(keys),
    folded: new Set(keys.map(foldCase)),
    lengthMax: Math.max(...keys.map((key) => key.length)),
  }
}

/** A key that is none of the known ones but is taken for one by who reads keys without case. */
export function findTwin(object: JsonObject, known: KnownKeys): string | undefined {
  return Object.keys(object).find(
    (key) =>
      key.length <= known.lengthMax && !known.exact.has(key) && known.folded.has(foldCase(key)),
  )
}

/** Whether an object anywhere inside a value has two keys that are one without case. */
export function hasTwinKeys(value: JsonValue): boolean {
  // Nesting is a list, not recursion.
  const open: JsonValue[] = [value]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (isList(next)) {
      for (const member of next) open.push(member)
      continue
    }
    if (!isObject(next)) continue
    const keys = Object.keys(next)
    if (keys.length > 1 && new Set(keys.map(foldCase)).size < keys.length) return true
    for (const key of keys) open.push(next[key]!)
  }
  return false
}

/** A text without case, as decoders that ignore case see it: the long s is an s, the Kelvin sign a k. */
function foldCase(text: string): string {
  return text.toUpperCase().toLowerCase()
}
