// Looks for placeholders in a request's head: each may stand only at the exact place its credential's `inject` names, in a
// request to one of its own hosts. Anywhere else, in any of the usual encodings, the call is refused. Called by `stages.ts`
// for every call, so a head without placeholders costs a microsecond or two.

import type { CredentialDefinition } from '../credentials/definition.ts'
import type { HeldPlaceholder } from '../credentials/placeholder.ts'
import { EgressError } from '../errors.ts'
import type { Endpoint } from '../wire/authority.ts'
import type { RawHeaders } from '../wire/body.ts'
import { decodePercent } from '../wire/percent.ts'
import { TextFinder, tracesOf } from '../wire/text-finder.ts'
import { isRightAwsHeader, isRightAwsParameter } from './aws-places.ts'
import { splitCookies } from './cookies.ts'
import { isOwnSegment } from './path-segment.ts'
import { isOwnHost, placeHeader, placeText } from './places.ts'
import { splitQuery, type QueryPart } from './query.ts'

/** A head and the placeholders of its task. */
export interface ScreenInput {
  readonly endpoint: Pick<Endpoint, 'host' | 'port'>
  readonly headers: RawHeaders
  /** As sent, without the query. */
  readonly path: string
  readonly query: string | undefined
  /** By their text, as the credential store gives them: the same map for the same task. */
  readonly placeholders: ReadonlyMap<string, HeldPlaceholder>
}

/** What is looked for in place of a placeholder, and all that is known of it. */
interface Held {
  readonly placeholder: string
  readonly definition: CredentialDefinition
  /** The part of the credential that it stands for; undefined: its value. */
  readonly part: string | undefined
}

// What a single placeholder of a signing key stands for.
const AWS_FIRST_PART = 'accessKeyId'

/** Names of credentials by the placeholders that were found. */
type Found = Map<string, string>

// Twice decoded is what an upstream may do; the rest is against one more layer each of proxy and framework.
const DECODINGS_MAX = 4

const finders = new WeakMap<ReadonlyMap<string, HeldPlaceholder>, TextFinder<Held>>()

/**
 * Finds the placeholders that stand rightly.
 * @returns the names of their credentials
 * @throws placeholder-misused
 */
export function screenPlaceholders(input: ScreenInput): readonly string[] {
  const { endpoint, headers, path, query, placeholders } = input
  if (placeholders.size === 0) return []
  const finder = finderOf(placeholders)
  const found: Found = new Map()
  const inHost = findIn(finder, endpoint.host)
  if (inHost) throw misused(inHost, 'target')
  const inPath = findIn(finder, path)
  if (inPath) screenPath(finder, inPath, path, found, endpoint)
  if (query !== undefined && findIn(finder, query))
    for (const part of splitQuery(query)) {
      const held = findIn(finder, part.text)
      if (held) take(held, isRightParameter(held, part), 'query', found, endpoint)
    }
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!
    const value = headers[at + 1]!
    const inName = findIn(finder, name)
    if (inName) throw misused(inName, 'header name')
    const held = findIn(finder, value)
    if (held && name.toLowerCase() === 'cookie') screenCookies(finder, held, value, found, endpoint)
    else if (held) take(held, isRightHeader(held, name, value), 'header', found, endpoint)
  }
  return [...new Set(found.values())]
}

// In one segment alone, exactly as it is written there; what lies across segments is in none.
function screenPath(
  finder: TextFinder<Held>,
  inPath: Held,
  path: string,
  found: Found,
  endpoint: ScreenInput['endpoint'],
): void {
  let isFound = false
  for (const [number, text] of path.split('/').entries()) {
    const held = findIn(finder, text)
    if (held === undefined) continue
    const { inject } = held.definition
    const isOwn = inject.kind === 'path' && isOwnSegment(inject, number, text, held.placeholder)
    take(held, isOwn, 'target', found, endpoint)
    isFound = true
  }
  if (!isFound) throw misused(inPath, 'target')
}

// One cookie each may hold its own.
function screenCookies(
  finder: TextFinder<Held>,
  inField: Held,
  field: string,
  found: Found,
  endpoint: ScreenInput['endpoint'],
): void {
  let isFound = false
  for (const { text, name, value } of splitCookies(field)) {
    const held = findIn(finder, text)
    if (held === undefined) continue
    const { definition, placeholder } = held
    const { inject } = definition
    const isOwn = inject.kind === 'cookie' && name === inject.name && value === placeholder
    take(held, isOwn, 'header', found, endpoint)
    isFound = true
  }
  if (!isFound) throw misused(inField, 'header')
}

function findIn(finder: TextFinder<Held>, text: string): Held | undefined {
  let held = finder.find(text)
  let encoded = text
  for (let times = 0; held === undefined && times < DECODINGS_MAX; times += 1) {
    const decoded = decodePercent(encoded)
    if (decoded === encoded) break
    held = finder.find(decoded)
    encoded = decoded
  }
  return held
}

function take(
  held: Held,
  rightly: boolean,
  place: string,
  found: Found,
  endpoint: Pick<Endpoint, 'host' | 'port'>,
): void {
  const { definition, placeholder } = held
  if (!rightly || !isOwnHost(definition, endpoint) || found.has(placeholder))
    throw misused(held, place)
  found.set(placeholder, definition.name)
}

function isRightParameter(held: Held, part: QueryPart): boolean {
  const { definition, placeholder } = held
  const { inject } = definition
  if (inject.kind === 'sigv4')
    return isRightAwsParameter(held.part ?? AWS_FIRST_PART, placeholder, part)
  return inject.kind === 'query' && part.name === inject.name && part.value === placeholder
}

function isRightHeader(held: Held, name: string, value: string): boolean {
  const { definition, placeholder } = held
  const { inject } = definition
  if (inject.kind === 'sigv4')
    return isRightAwsHeader(held.part ?? AWS_FIRST_PART, placeholder, name, value)
  if (name.toLowerCase() !== placeHeader(inject)?.toLowerCase()) return false
  const expected = placeText(inject, placeholder)
  if (inject.kind === 'header') return value === expected
  // The scheme's word is case-insensitive (RFC 9110 section 11.1), what follows is not.
  const space = expected.indexOf(' ')
  return (
    value.slice(0, space).toLowerCase() === expected.slice(0, space).toLowerCase() &&
    value.slice(space) === expected.slice(space)
  )
}

function misused({ definition }: Held, place: string): EgressError {
  return new EgressError('placeholder-misused', { credential: definition.name, place })
}

function finderOf(placeholders: ReadonlyMap<string, HeldPlaceholder>): TextFinder<Held> {
  let finder = finders.get(placeholders)
  if (finder === undefined) {
    const texts: [string, Held][] = []
    for (const [placeholder, { definition, part, pieces }] of placeholders)
      for (const trace of pieces.flatMap(tracesOf))
        texts.push([trace, { placeholder, definition, part }])
    finder = new TextFinder(texts)
    finders.set(placeholders, finder)
  }
  return finder
}
