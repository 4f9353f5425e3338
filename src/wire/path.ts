// The readings of a path: every way in which an upstream might understand the same bytes. An allow must hold for all of
// them, a deny for any. What no two servers agree on at all is refused. Pure; called by `target.ts` and `policy/`.

import { EgressError } from '../errors.ts'

/** A path as it was sent and as it may be understood. */
export interface PathReadings {
  /** The bytes as sent, latin1. */
  readonly raw: string
  /** Distinct lists of decoded segments, the plain reading (split, then decode) first; `/` is the empty list. */
  readonly readings: readonly (readonly string[])[]
}

// A path that every server reads in one way: no escape, parameter, empty segment, trailing slash or odd byte.
const CLEAN = /^(?:\/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,=:@-]*)+$/
const ROOT: readonly (readonly string[])[] = [[]]

// A byte order mark is a character of the path like any other: dropped, it would hide what follows it.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Reads a path, which begins with `/`.
 * @throws malformed-path: dot segments also when encoded, backslashes raw or encoded, control characters, broken escapes,
 *   bytes that are not UTF-8
 */
export function readPath(raw: string): PathReadings {
  if (raw === '/') return { raw, readings: ROOT }
  if (CLEAN.test(raw)) return { raw, readings: [raw.slice(1).split('/')] }
  if (!raw.startsWith('/')) throw new EgressError('malformed-path', { why: 'no slash' })
  return { raw, readings: readEveryWay(raw) }
}

function readEveryWay(raw: string): string[][] {
  const text = toText(raw)
  checkText(text)
  const once = decode(text, 'strict')
  const twice = decode(once, 'lenient')
  checkText(once)
  checkText(twice)
  const splitThenDecode = split(text).map((segment) => decode(segment, 'strict'))
  // Collapsing stands twice because removing parameters makes new empty segments: `/a/;x/b` is `/a/b` to some.
  let readings = distinct([splitThenDecode, split(once), split(twice)])
  for (const change of [collapse, stripParameters, collapse, trimSlash])
    readings = distinct([...readings, ...readings.map(change)])
  if (readings.some((segments) => segments.some(isDotSegment)))
    throw new EgressError('malformed-path', { why: 'dot segment' })
  return readings
}

function distinct(readings: readonly string[][]): string[][] {
  const found = new Map<string, string[]>()
  for (const segments of readings) {
    const plain = segments.length === 1 && segments[0] === '' ? [] : segments
    // No segment has a NUL in it: that much is checked.
    const key = plain.join('\0')
    if (!found.has(key)) found.set(key, plain)
  }
  return [...found.values()]
}

// Bytes as the text they are in UTF-8; a percent escape is still an escape.
function toText(raw: string): string {
  return isAscii(raw) ? raw : decodeBytes(Buffer.from(raw, 'latin1'))
}

function isAscii(text: string): boolean {
  // eslint-disable-next-line no-control-regex
  return !/[^\x00-\x7f]/.test(text)
}

function checkText(text: string): void {
  // eslint-disable-next-line no-control-regex
  if (/[\x00-\x1f\x7f-\x9f\\]/.test(text))
    throw new EgressError('malformed-path', { why: 'character' })
}

// `strict`: the escapes of the request itself; `lenient`: a percent sign that is no escape the second time stays one.
function decode(text: string, mode: 'strict' | 'lenient'): string {
  if (!text.includes('%')) return text
  if (mode === 'strict' && /%(?![0-9A-Fa-f]{2})/.test(text))
    throw new EgressError('malformed-path', { why: 'escape' })
  return text.replaceAll(/(?:%[0-9A-Fa-f]{2})+/g, (run) =>
    decodeBytes(Buffer.from(run.replaceAll('%', ''), 'hex')),
  )
}

function decodeBytes(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch (error) {
    throw new EgressError('malformed-path', { why: 'not UTF-8' }, { cause: error })
  }
}

// `/a/b` is a, b; what is in front of the first slash is nothing.
function split(text: string): string[] {
  const segments = text.slice(1).split('/')
  return segments.length === 1 && segments[0] === '' ? [] : segments
}

// The last segment, empty behind a trailing slash, stays when empty ones collapse.
function collapse(segments: string[]): string[] {
  const last = segments.length - 1
  return segments.includes('')
    ? segments.filter((segment, at) => segment !== '' || (at === last && last > 0))
    : segments
}

function stripParameters(segments: string[]): string[] {
  return segments.map((segment) => {
    const at = segment.indexOf(';')
    return at < 0 ? segment : segment.slice(0, at)
  })
}

function trimSlash(segments: string[]): string[] {
  return segments.at(-1) === '' ? segments.slice(0, -1) : segments
}

function isDotSegment(segment: string): boolean {
  return segment === '.' || segment === '..'
}
