// Values and attributes as OTLP writes them in JSON (protobuf's JSON mapping: 64-bit integers are texts). Pure, bounded in
// depth. Called by `otlp.ts`.

import { isObject } from './members.ts'

/** An `AnyValue`. */
export type AnyValue =
  | { readonly stringValue: string }
  | { readonly boolValue: boolean }
  | { readonly intValue: string }
  | { readonly doubleValue: number }
  | { readonly arrayValue: { readonly values: readonly AnyValue[] } }
  | { readonly kvlistValue: { readonly values: readonly KeyValue[] } }

/** A `KeyValue`: an attribute. */
export interface KeyValue {
  readonly key: string
  readonly value: AnyValue
}

/** Deeper than this a value is cut: receivers' own readers have bounds, and so has our stack. */
const DEPTH_MAX = 32

/** A value of JSON as an `AnyValue`; undefined for null and for what JSON has no word for. */
export function anyValue(value: unknown, depth = 0): AnyValue | undefined {
  if (typeof value === 'string') return { stringValue: value.toWellFormed() }
  if (typeof value === 'boolean') return { boolValue: value }
  if (typeof value === 'number') return numberValue(value)
  if (typeof value !== 'object' || value === null) return undefined
  if (depth >= DEPTH_MAX) return { stringValue: '…' }
  if (Array.isArray(value)) {
    // A null keeps its place: the others would move up.
    const values = value.map((item) => anyValue(item, depth + 1) ?? { stringValue: '' })
    return { arrayValue: { values } }
  }
  return { kvlistValue: { values: keyValues(Object.entries(value), depth + 1) } }
}

function numberValue(value: number): AnyValue | undefined {
  if (Number.isSafeInteger(value)) return { intValue: String(value) }
  return Number.isFinite(value) ? { doubleValue: value } : undefined
}

function keyValues(entries: Iterable<readonly [string, unknown]>, depth: number): KeyValue[] {
  const found = new Map<string, AnyValue>()
  for (const [name, item] of entries) {
    const key = name.toWellFormed()
    const value = anyValue(item, depth)
    if (key !== '' && value !== undefined && !found.has(key)) found.set(key, value)
  }
  return Array.from(found, ([key, value]) => ({ key, value }))
}

/** Attributes of their names and values; undefined values are left out, and of two of one name the first counts. */
export function attributes(entries: Iterable<readonly [string, unknown]>): readonly KeyValue[] {
  return keyValues(entries, 0)
}

/** Names with dots for the members of an object, objects within it opened, lists left whole. */
export function* flatten(prefix: string, value: unknown, depth = 0): Generator<[string, unknown]> {
  if (!isObject(value) || depth >= DEPTH_MAX) {
    yield [prefix, value]
    return
  }
  for (const [name, item] of Object.entries(value))
    yield* flatten(`${prefix}.${name}`, item, depth + 1)
}
