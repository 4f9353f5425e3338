// The one text of a value of JSON (RFC 8785), for digests: the same words have the same digest whoever wrote them.
// Pure; called by the recognisers of this room.

import type { JsonValue } from './fields.ts'
import { GrowingText } from './growing-text.ts'
import { isList, type JsonObject } from './json-values.ts'

// A container that is being written.
interface Open {
  /** Of an object, sorted. */
  readonly keys: readonly string[] | undefined
  readonly values: readonly JsonValue[]
  next: number
}

/**
 * Writes a value in the form that RFC 8785 gives it: no space, keys sorted by UTF-16 code units, numbers as ECMAScript has
 * them. What `readJson` never yields, numbers that are not finite and lone surrogates, stands as `JSON.stringify` has it.
 * @see RFC 8785 section 3.2
 */
export function canonicalJson(value: JsonValue): string {
  const open: Open[] = []
  const text = new GrowingText()
  let current = value
  // Nesting is a list, not recursion.
  for (;;) {
    if (typeof current === 'object' && current !== null) {
      const container = openContainer(current)
      text.add(container.keys ? '{' : '[')
      open.push(container)
    } else text.add(JSON.stringify(current))
    let top = open.at(-1)
    while (top && top.next === top.values.length) {
      text.add(top.keys ? '}' : ']')
      open.pop()
      top = open.at(-1)
    }
    if (!top) return text.toString()
    if (top.next > 0) text.add(',')
    if (top.keys) text.add(`${JSON.stringify(top.keys[top.next])}:`)
    current = top.values[top.next]!
    top.next += 1
  }
}

function openContainer(container: readonly JsonValue[] | JsonObject): Open {
  if (isList(container)) return { keys: undefined, values: container, next: 0 }
  const keys = Object.keys(container).sort()
  return { keys, values: keys.map((key) => container[key]!), next: 0 }
}
