// A YAML text with the place of everything in it, so that each problem can say line and column. Aliases, tags, merge keys
// and repeated keys are refused: a rule file says each thing once, where it stands. Pure; called by `parse.ts`.

import {
  isMap,
  isNode,
  isPair,
  isScalar,
  LineCounter,
  parseDocument,
  visit,
  type Document,
} from 'yaml'

import type { Problem } from './problem.ts'
import { offsetInFile } from './scalar-place.ts'

/** A place in a text; lines and columns count from 1. */
export interface Place {
  readonly line: number
  readonly column: number
}

/** A path into a document: keys and indexes. */
export type KeyPath = readonly PropertyKey[]

/** A mapping, its values unread. */
export type RawMapping = Readonly<Record<string, unknown>>

/** Whether a value is a mapping. */
export function isMapping(value: unknown): value is RawMapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The value at a path, undefined where there is none. */
export function valueAt(value: unknown, path: KeyPath): unknown {
  let at = value
  for (const key of path) {
    if (Array.isArray(at)) at = at[Number(key)] as unknown
    else if (isMapping(at)) at = at[String(key)]
    else return undefined
  }
  return at
}

/** A YAML text as a value. */
export interface YamlText {
  /** `null` for an empty text; undefined where the text is no YAML. */
  readonly value: unknown
  /** What is wrong with the text as YAML. */
  readonly problems: readonly Problem[]
  /** Where the value at a path, or its key, or else its nearest parent stands. */
  place(path: KeyPath, what: 'key' | 'value'): Place
  /** Where a character of the text at a path stands. @param offset in the value */
  placeWithin(path: KeyPath, offset: number): Place
}

/** Reads a text as YAML 1.2, core schema. */
export function readYamlText(text: string, file: string): YamlText {
  const lines = new LineCounter()
  const problems: Problem[] = []
  const report = (offset: number, message: string, code: string, hint?: string): void => {
    problems.push({
      file,
      ...placeAt(lines, offset),
      severity: 'error',
      message,
      ...(hint !== undefined && { hint }),
      code,
    })
  }
  let document: Document.Parsed
  try {
    document = parseDocument(text, {
      lineCounter: lines,
      strict: true,
      uniqueKeys: true,
      stringKeys: true,
      version: '1.2',
      schema: 'core',
      merge: false,
      prettyErrors: false,
    })
    reportSyntax(document, report)
  } catch (error) {
    // The parser is recursive: a text nested thousands deep overflows the stack.
    if (!(error instanceof RangeError)) throw error
    report(0, 'nested too deeply', 'yaml-syntax')
    const nowhere = { line: 1, column: 1 }
    return { value: undefined, problems, place: () => nowhere, placeWithin: () => nowhere }
  }
  const value: unknown = problems.length === 0 ? document.toJS({ maxAliasCount: 0 }) : undefined
  return {
    value,
    problems,
    place: (path, what) => findPlace(document, lines, path, what),
    placeWithin: (path, offset) =>
      findPlaceWithin(document, path, text, offset, lines) ??
      findPlace(document, lines, path, 'value'),
  }
}

function reportSyntax(
  document: Document.Parsed,
  report: (offset: number, message: string, code: string, hint?: string) => void,
): void {
  for (const error of [...document.errors, ...document.warnings]) {
    const repeated = error.code === 'DUPLICATE_KEY'
    const message = repeated ? 'this key is written twice' : lowerFirst(error.message)
    report(error.pos[0], message, repeated ? 'duplicate-key' : 'yaml-syntax')
  }
  visit(document, {
    Alias: (_, node) =>
      report(node.range?.[0] ?? 0, 'aliases are not read', 'yaml-alias', 'write the value out'),
    Pair: (_, pair) => {
      if (!isScalar(pair.key)) return
      const offset = pair.key.range?.[0] ?? 0
      if (pair.key.value === '<<')
        report(offset, 'merge keys are not read', 'yaml-merge', 'write the keys out')
      // As the key of an object it would vanish instead of being judged.
      if (pair.key.value === '__proto__') report(offset, 'unknown key `__proto__`', 'unknown-key')
    },
  })
}

function findPlace(
  document: Document,
  lines: LineCounter,
  path: KeyPath,
  what: 'key' | 'value',
): Place {
  for (let length = path.length; length >= 0; length -= 1) {
    const offset = findOffset(document, path.slice(0, length), length < path.length ? 'key' : what)
    if (offset !== undefined) return placeAt(lines, offset)
  }
  return { line: 1, column: 1 }
}

function findPlaceWithin(
  document: Document,
  path: KeyPath,
  text: string,
  offset: number,
  lines: LineCounter,
): Place | undefined {
  const node = document.getIn(path, true)
  if (!isScalar(node) || typeof node.value !== 'string' || !node.range) return undefined
  const [start, end] = node.range
  const scalar = { text, start, end, style: node.type, value: node.value }
  return placeAt(lines, offsetInFile(scalar, offset))
}

function findOffset(document: Document, path: KeyPath, what: 'key' | 'value'): number | undefined {
  const last = path.at(-1)
  if (what === 'key' && typeof last === 'string') {
    const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)
    if (!isMap(parent)) return undefined
    const pair = parent.items.find(
      (item) => isPair(item) && isScalar(item.key) && item.key.value === last,
    )
    return isScalar(pair?.key) ? pair.key.range?.[0] : undefined
  }
  const node = path.length === 0 ? document.contents : document.getIn(path, true)
  return isNode(node) ? node.range?.[0] : undefined
}

function placeAt(lines: LineCounter, offset: number): Place {
  const { line, col } = lines.linePos(offset)
  return { line: Math.max(line, 1), column: Math.max(col, 1) }
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}
