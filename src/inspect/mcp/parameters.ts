// Holds `Mcp-Param-*` headers to a tool call's arguments, by the tool's own annotations where they are known. Deliberately no
// validator of schemas. Called by `headers.ts`.

import type { JsonValue } from '../fields.ts'
import { decodeMirrored } from './mirrored.ts'
import { isList, isObject, type JsonObject, own } from '../json-values.ts'

/** What is wrong with which header. */
export interface ParameterFault {
  /** Without `mcp-param-`, in lower case. */
  readonly name: string
  readonly why: 'missing' | 'encoding' | 'value'
}

type Path = readonly string[]

const ANNOTATION = 'x-mcp-header'
// Of other types an annotation makes the definition invalid: clients do not offer the tool.
const TYPES: ReadonlySet<JsonValue | undefined> = new Set(['string', 'integer', 'boolean'])
const PATH_LENGTH_MAX = 16
const DECIMAL = /^-?\d{1,17}(?:\.\d{1,17})?$/

/**
 * Looks for a header that says other than the arguments.
 * @param headers by their names in lower case without `mcp-param-`
 * @param definition the tool's entry in its server's list; undefined where it was not seen
 * @param isRequired whether an annotated argument must have its header
 */
export function checkParameters(
  headers: ReadonlyMap<string, string>,
  given: JsonValue,
  definition: JsonValue | undefined,
  isRequired: boolean,
): ParameterFault | undefined {
  const paths = findAnnotations(definition)
  let texts: ReadonlySet<string> | undefined
  for (const [name, header] of headers) {
    const text = decodeMirrored(header)
    if (text === undefined) return { name, why: 'encoding' }
    const path = paths.get(name)
    // A header that no annotation asks for may still be read by somebody: it must at least repeat some argument.
    const isSame = path
      ? textOf(valueAt(given, path)) === text || isSameNumber(text, valueAt(given, path))
      : (texts ??= textsOf(given)).has(DECIMAL.test(text) ? String(Number(text)) : text)
    if (!isSame) return { name, why: 'value' }
  }
  if (!isRequired) return undefined
  for (const [name, path] of paths)
    if (!headers.has(name) && textOf(valueAt(given, path)) !== undefined)
      return { name, why: 'missing' }
  return undefined
}

// The annotated properties of a tool's input by header; where two have the same header the first counts.
function findAnnotations(definition: JsonValue | undefined): ReadonlyMap<string, Path> {
  const found = new Map<string, Path>()
  const schema = isObject(definition) ? own(definition, 'inputSchema') : undefined
  const open: (readonly [JsonValue | undefined, Path])[] = [[schema, []]]
  // It grows while it is gone through.
  for (const [node, path] of open) {
    if (!isObject(node)) continue
    const header = own(node, ANNOTATION)
    if (typeof header === 'string' && path.length > 0 && TYPES.has(own(node, 'type'))) {
      const name = header.toLowerCase()
      if (!found.has(name)) found.set(name, path)
    }
    const properties = own(node, 'properties')
    if (!isObject(properties) || path.length >= PATH_LENGTH_MAX) continue
    for (const key of Object.keys(properties)) open.push([properties[key], [...path, key]])
  }
  return found
}

function valueAt(given: JsonValue, path: Path): JsonValue | undefined {
  let value: JsonValue | undefined = given
  for (const key of path) value = isObject(value) ? own(value, key) : undefined
  return value
}

// The text of a scalar as headers have it.
function textOf(value: JsonValue | undefined): string | undefined {
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}

function isSameNumber(text: string, value: JsonValue | undefined): boolean {
  return typeof value === 'number' && DECIMAL.test(text) && Number(text) === value
}

// Every scalar of the arguments; decimals as the shortest text of their number.
function textsOf(given: JsonValue): ReadonlySet<string> {
  const texts = new Set<string>()
  const open: (JsonValue | JsonObject)[] = [given]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const text = textOf(next)
    if (text !== undefined) texts.add(DECIMAL.test(text) ? String(Number(text)) : text)
    if (isList(next)) for (const member of next) open.push(member)
    else if (isObject(next)) for (const key of Object.keys(next)) open.push(next[key]!)
  }
  return texts
}
