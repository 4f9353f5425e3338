// Patterns for the values of query parameters and header fields: a text stands for itself, `*` for any characters, a list
// for any of its members. Pure; called by `grammar.ts` (read), `compile.ts` (filled), `match.ts` (matched).

import type { RawHeaders } from '../wire/body.ts'
import { valuesOf } from '../wire/headers.ts'
import type { QueryReading } from './query.ts'
import {
  bindTemplate,
  foldCase,
  foldGlob,
  matchGlob,
  type Glob,
  type ParamValues,
  type Part,
} from './template.ts'

/** What is asked of one key, as it is written. */
export interface ValuePattern {
  /** The query parameter as written; the header field in lower case. */
  readonly key: string
  /** One of them has to match. */
  readonly alternatives: readonly (readonly Part[])[]
}

/** What is asked of one key, with a task's values in it. */
export interface BoundValues {
  readonly key: string
  readonly foldedKey: string
  readonly globs: readonly Glob[]
  readonly folded: readonly Glob[]
}

/** Fills the parameters. */
export function bindValues(pattern: ValuePattern, values: ParamValues): BoundValues {
  const globs = pattern.alternatives.map((parts) => bindTemplate(parts, values))
  return { key: pattern.key, foldedKey: foldCase(pattern.key), globs, folded: globs.map(foldGlob) }
}

/** Whether a query meets all patterns of an allow: in every reading each key is there and every value of it matches. */
export function allowsQuery(
  patterns: readonly BoundValues[],
  readings: readonly QueryReading[],
): boolean {
  return patterns.every(({ key, globs }) =>
    readings.every((pairs) => {
      if (pairs === 'unreadable') return false
      const values = pairs.filter(([name]) => name === key).map(([, value]) => value)
      return (
        values.length > 0 && values.every((value) => globs.some((glob) => matchGlob(glob, value)))
      )
    }),
  )
}

/** Whether a query meets all patterns of a deny: in some reading some value of each key matches, exactly or without case. */
export function deniesQuery(
  patterns: readonly BoundValues[],
  readings: readonly QueryReading[],
): boolean {
  return patterns.every((pattern) =>
    readings.some(
      (pairs) =>
        // What cannot be read cannot be shown to be harmless.
        pairs === 'unreadable' ||
        pairs.some(
          ([name, value]) =>
            (name === pattern.key || foldCase(name) === pattern.foldedKey) &&
            matchesEither(pattern, value),
        ),
    ),
  )
}

/** Whether the header fields meet all patterns of an allow: each field is there and every value of it matches. */
export function allowsHeaders(patterns: readonly BoundValues[], headers: RawHeaders): boolean {
  return patterns.every(({ key, globs }) => {
    const values = valuesOf(headers, key)
    return (
      values.length > 0 &&
      values.every((value) => globs.some((glob) => matchGlob(glob, value.trim())))
    )
  })
}

/** Whether the header fields meet all patterns of a deny: some value, or member of a list in one, matches each. */
export function deniesHeaders(patterns: readonly BoundValues[], headers: RawHeaders): boolean {
  return patterns.every((pattern) =>
    valuesOf(headers, pattern.key).some((value) =>
      [value, ...value.split(',')].some((text) => matchesEither(pattern, text.trim())),
    ),
  )
}

function matchesEither({ globs, folded }: BoundValues, value: string): boolean {
  if (globs.some((glob) => matchGlob(glob, value))) return true
  const withoutCase = foldCase(value)
  return folded.some((glob) => matchGlob(glob, withoutCase))
}
