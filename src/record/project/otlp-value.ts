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

function keyValues(entries: readonly (readonly [string, unknown])[], depth: number): KeyValue[] {
  const list = new AttributeList()
  for (const [name, item] of entries) list.add(name.toWellFormed(), anyValue(item, depth))
  return list.found
}

/** Attributes of their names and values. */
export function attributes(entries: readonly (readonly [string, unknown])[]): readonly KeyValue[] {
  return keyValues(entries, 0)
}

/** Attributes as they are found: undefined values are left out, and of two of one name the first counts. */
export class AttributeList {
  readonly found: KeyValue[] = []
  readonly #names = new Set<string>()

  /** Adds a value as it is in OTLP. */
  add(key: string, value: AnyValue | undefined): void {
    if (value === undefined || key === '' || this.#names.has(key)) return
    this.#names.add(key)
    this.found.push({ key, value })
  }

  /** Adds a text that is well formed. */
  text(key: string, value: string | undefined): void {
    if (value !== undefined) this.add(key, { stringValue: value })
  }

  /** Adds a whole number. */
  count(key: string, value: number | undefined): void {
    if (value !== undefined) this.add(key, { intValue: String(value) })
  }

  /** Adds a value of JSON with all that is in it. */
  whole(key: string, value: unknown): void {
    this.add(key, anyValue(value))
  }

  /** Adds the members of an object under names with dots, objects within it opened, lists left whole. */
  opened(prefix: string, value: unknown, depth = 0): void {
    if (!isObject(value) || depth >= DEPTH_MAX) {
      this.add(prefix, anyValue(value))
      return
    }
    for (const name of Object.keys(value))
      this.opened(`${prefix}.${name.toWellFormed()}`, value[name], depth + 1)
  }
}
