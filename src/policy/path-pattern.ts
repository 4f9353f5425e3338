// Path patterns of contract section 3: `*` is one non-empty segment and may be part of one, `**` zero or more segments,
// `{param}` the task's value, split on `/` into literal segments. Patterns are held against decoded segments.
// Pure; called by `grammar.ts` (read), `compile.ts` (filled), `match.ts` (matched).

import {
  bindTemplate,
  foldCase,
  foldGlob,
  matchGlob,
  parseTemplate,
  type Glob,
  type ParamValues,
  type Part,
} from './template.ts'

/** A pattern as it is written. */
export interface PathPattern {
  readonly text: string
  /** `deep` is `**`. `/` has no segments, `/a/` has two of which the last is empty. */
  readonly segments: readonly (readonly Part[] | 'deep')[]
}

/** A pattern with a task's values in it. */
export interface BoundPath {
  /** Undefined is `**`. */
  readonly segments: readonly (Glob | undefined)[]
  /** The same without case. */
  readonly folded: readonly (Glob | undefined)[]
  /** The first segment where it is one text: most patterns of a host are told apart by it. */
  readonly head: string | undefined
  readonly lengthMin: number
  readonly lengthMax: number
}

/** What a text is not a path pattern for. */
export interface PatternFault {
  readonly fault: string
  readonly hint?: string
}

// No request with one of these in its path gets as far as the rules, so a pattern with one matches nothing.
// oxlint-disable-next-line no-control-regex
const NEVER_IN_PATHS = /[\x00-\x1f\x7f-\x9f\\]/

/** Reads a path pattern. */
export function parsePathPattern(text: string): PathPattern | PatternFault {
  if (!text.startsWith('/')) return { fault: 'a path begins with `/`' }
  if (NEVER_IN_PATHS.test(text)) return { fault: 'no path has backslashes or control characters' }
  if (text.includes('%'))
    return {
      fault: 'patterns are held against decoded paths',
      hint: 'write the character itself instead of its escape',
    }
  if (/[?#]/.test(text))
    return { fault: 'a path ends before `?`', hint: 'write `query:` beside it' }
  if (text === '/') return { text, segments: [] }
  const segments: (readonly Part[] | 'deep')[] = []
  const written = text.slice(1).split('/')
  for (const [at, segment] of written.entries()) {
    if (segment === '' && at < written.length - 1)
      return { fault: 'empty segments are read as if they were not there', hint: 'write one `/`' }
    if (segment === '.' || segment === '..') return { fault: 'no path has dot segments' }
    const parts = segment === '**' ? 'deep' : parseTemplate(segment)
    if (typeof parts === 'string' && parts !== 'deep') return { fault: parts }
    segments.push(parts)
  }
  return { text, segments }
}

/**
 * Why a value cannot stand in a path: its segments must not be empty, `.` or `..`, nor hold what no path has.
 * @returns undefined where it can
 */
export function findPathValueFault(value: string): string | undefined {
  if (NEVER_IN_PATHS.test(value)) return 'has a backslash or a control character'
  for (const segment of value.split('/')) {
    if (segment === '') return 'has an empty path segment'
    if (segment === '.' || segment === '..') return 'has a dot segment'
  }
  return undefined
}

/** Fills the parameters of a pattern; a `/` in a value begins a new segment. */
export function bindPath(pattern: PathPattern, values: ParamValues): BoundPath {
  const segments: (Glob | undefined)[] = []
  for (const segment of pattern.segments) {
    if (segment === 'deep') segments.push(undefined)
    else for (const parts of splitAtSlashes(segment, values)) segments.push(bindTemplate(parts, {}))
  }
  const deep = segments.filter((segment) => segment === undefined).length
  const lengthMin = segments.length - deep
  return {
    segments,
    folded: segments.map((segment) => (segment === undefined ? undefined : foldGlob(segment))),
    head: typeof segments[0] === 'string' ? segments[0] : undefined,
    lengthMin,
    lengthMax: deep > 0 ? Number.POSITIVE_INFINITY : lengthMin,
  }
}

function splitAtSlashes(parts: readonly Part[], values: ParamValues): Part[][] {
  const segments: Part[][] = [[]]
  for (const part of parts) {
    if (part.kind !== 'param') {
      segments.at(-1)!.push(part)
      continue
    }
    for (const [at, text] of (values[part.name] ?? '').split('/').entries()) {
      if (at > 0) segments.push([])
      segments.at(-1)!.push({ kind: 'text', text })
    }
  }
  return segments
}

/** Whether one reading of a path matches exactly. */
export function matchPath(bound: BoundPath, reading: readonly string[]): boolean {
  if (bound.head !== undefined && bound.head !== reading[0]) return false
  return matchSegments(bound, bound.segments, reading)
}

/** Whether one reading matches a pattern when neither has case. @param folded the reading by `foldReading` */
export function matchPathFolded(bound: BoundPath, folded: readonly string[]): boolean {
  if (bound.head !== undefined && bound.folded[0] !== folded[0]) return false
  return matchSegments(bound, bound.folded, folded)
}

/** A reading without case. */
export function foldReading(reading: readonly string[]): readonly string[] {
  return reading.map(foldCase)
}

// The usual matching of a pattern with stars, a segment where that has a character: after a `**` only the last one needs
// another try, so the work is bounded by the product of the lengths.
function matchSegments(
  { lengthMin, lengthMax }: BoundPath,
  pattern: readonly (Glob | undefined)[],
  reading: readonly string[],
): boolean {
  if (reading.length < lengthMin || reading.length > lengthMax) return false
  let at = 0
  let of = 0
  let retryAt = -1
  let retryOf = -1
  while (at < reading.length) {
    const glob = pattern[of]
    if (of < pattern.length && glob === undefined) {
      retryOf = of
      retryAt = at
      of += 1
    } else if (glob !== undefined && matchSegment(glob, reading[at]!)) {
      at += 1
      of += 1
    } else if (retryOf >= 0) {
      of = retryOf + 1
      retryAt += 1
      at = retryAt
    } else return false
  }
  while (of < pattern.length && pattern[of] === undefined) of += 1
  return of === pattern.length
}

function matchSegment(glob: Glob, segment: string): boolean {
  if (typeof glob === 'string') return glob === segment
  return segment !== '' && matchGlob(glob, segment)
}
