// Reads members of a record that may be absent or of another type than today's: journals are kept for years, and their
// lines are only bytes. Deliberately knows no form. Pure, never throws. Called by every projection beside it.

/** An object of JSON. */
export type JsonObject = Readonly<Record<string, unknown>>

/** Tells whether a value is an object of JSON and no list. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The value at a path of own members; undefined where the path breaks off. */
export function valueAt(value: unknown, ...path: readonly string[]): unknown {
  return follow(value, path)
}

// Apart from the others, as handing on a list of arguments is most of what asking costs.
function follow(value: unknown, path: readonly string[]): unknown {
  let found = value
  for (const name of path) {
    if (!isObject(found) || !Object.hasOwn(found, name)) return undefined
    found = found[name]
  }
  return found
}

/** The text at a path, without lone surrogates: not every reader takes those. Undefined where there is none or an empty one. */
export function textAt(value: unknown, ...path: readonly string[]): string | undefined {
  const found = follow(value, path)
  return typeof found === 'string' && found !== '' ? found.toWellFormed() : undefined
}

/** The whole number at a path, if it is not negative and exact in JSON. */
export function countAt(value: unknown, ...path: readonly string[]): number | undefined {
  const found = follow(value, path)
  return typeof found === 'number' && Number.isSafeInteger(found) && found >= 0 ? found : undefined
}

/** The port at a path: a whole number from 0 to 65535. */
export function portAt(value: unknown, ...path: readonly string[]): number | undefined {
  const found = countAt(value, ...path)
  return found !== undefined && found <= 65_535 ? found : undefined
}

/** The texts of the list at a path; what is no text is left out. */
export function textsAt(value: unknown, ...path: readonly string[]): readonly string[] {
  const found = follow(value, path)
  if (!Array.isArray(found)) return []
  return found
    .filter((item): item is string => typeof item === 'string' && item !== '')
    .map((item) => item.toWellFormed())
}

/** The time of a record in epoch milliseconds; undefined where it has none that can be read. */
export function timeOf(record: unknown): number | undefined {
  const text = textAt(record, '@timestamp')
  if (text === undefined) return undefined
  const time = Date.parse(text)
  return Number.isFinite(time) && time >= 0 ? time : undefined
}

/** An object without its undefined members; undefined where none is left. */
export function compact(members: JsonObject): JsonObject | undefined {
  let kept: Record<string, unknown> | undefined
  for (const name of Object.keys(members)) {
    const value = members[name]
    if (value !== undefined) (kept ??= {})[name] = value
  }
  return kept
}
