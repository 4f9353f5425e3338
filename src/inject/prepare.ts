// The outgoing head: written anew from the judged call. One Host, this hop's fields gone, what the sandbox sends to
// authenticate to a brokered destination gone, the credential in its place; the rest in order and spelling, path and query
// byte for byte. Deliberately no framing: that is the engine's. Called by `stages.ts`.

import assert from 'node:assert'

import { reveal } from '../credentials/reveal.ts'
import type { Secret } from '../credentials/secret.ts'
import type { CredentialDefinition } from '../credentials/definition.ts'
import type { EgressError } from '../errors.ts'
import type { AddressPolicy, Obligations } from '../policy/decision.ts'
import { formatAuthority, type Endpoint } from '../wire/authority.ts'
import type { RawHeaders } from '../wire/body.ts'
import { stripHopByHop } from '../wire/hop-by-hop.ts'
import {
  clientAuthOf,
  matchParameter,
  NO_CLIENT_AUTH,
  withParameter,
  type ClientAuth,
} from './client-auth.ts'
import { isCookie, isCookieValue, splitCookies } from './cookies.ts'
import { readHeaderName } from './header-name.ts'
import { replaceSegment } from './path-segment.ts'
import { isAddedLast, isOwnHost, placeHeader, placeText } from './places.ts'
import { splitQuery } from './query.ts'
import { isSelfNaming } from './self-naming.ts'
import { unavailable } from './unavailable.ts'

// RFC 9110 section 5.5, without the tab and beyond-ASCII.
const HEAD_TEXT = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/

/** A judged call, and what is added to it. */
export interface PrepareInput {
  readonly headers: RawHeaders
  readonly path: string
  readonly query: string | undefined
  readonly endpoint: Endpoint
  readonly scheme: 'http' | 'https'
  readonly obligations: Pick<Obligations, 'clientAuth'>
  /** Of the decision: without `allowed` addresses nothing is sent in plaintext. */
  readonly addresses: Pick<AddressPolicy, 'allowed' | 'also'>
  /** Every credential that is for this host, as the store gives them: with one, the destination is brokered. */
  readonly brokered: readonly CredentialDefinition[]
  /** The one the matched rule names. */
  readonly credential?: {
    readonly definition: CredentialDefinition
    readonly secret: Secret
    /** What stands for it in the task's sandbox. */
    readonly placeholder: string
  }
}

/** A head that may leave. */
export interface PreparedHead {
  readonly headers: string[]
  /** Path and query. */
  readonly path: string
  /** What was done with a credential, for the record; `replaced` where the client had something at its place. */
  readonly used?: { readonly name: string; readonly action: 'injected' | 'replaced' | 'dropped' }
  /** What the client sent and does not leave: names only, each once, lower case, a parameter's after `?`. */
  readonly dropped: readonly string[]
}

/** What goes where; nothing of it where the credential is added last. */
interface Place {
  readonly header?: string | undefined
  readonly parameter?: string
  readonly cookie?: string
  /** The path with the credential in it. */
  readonly path?: string
  readonly text: string
}

/** What came of the client's fields. */
interface Outcome {
  /** Whether something of the client's stood at the credential's place. */
  stood: boolean
  readonly dropped: Set<string>
}

const SUBPROTOCOL = 'sec-websocket-protocol'
const TOKEN_PROTOCOL = /api-?key|bearer|authoriz|token|secret|jwt/i

/** Writes the outgoing head. @throws credential-unavailable where the credential is not for this destination */
export function prepareHead(input: PrepareInput): PreparedHead {
  const { credential, brokered, obligations } = input
  const place = credential && choosePlace(credential, input)
  const unwanted = obligations.clientAuth === 'pass' ? NO_CLIENT_AUTH : clientAuthOf(brokered)
  const outcome: Outcome = { stood: false, dropped: new Set() }
  const headers = writeHeaders(input, unwanted, place, outcome)
  const query = writeQuery(input.query, unwanted, place, outcome)
  const dropped = [...outcome.dropped]
  const { path = input.path } = place ?? {}
  if (place?.path !== undefined) outcome.stood = true
  const head = {
    headers,
    path: query === undefined ? path : `${path}?${query}`,
    dropped,
  }
  if (credential)
    return {
      ...head,
      used: {
        name: credential.definition.name,
        action: outcome.stood ? 'replaced' : 'injected',
      },
    }
  const name = brokered[0]?.name
  if (name === undefined || dropped.length === 0) return head
  return { ...head, used: { name, action: 'dropped' } }
}

// I3: only to its hosts, only over verified TLS unless definition and rule both say otherwise.
function choosePlace(
  credential: NonNullable<PrepareInput['credential']>,
  { endpoint, scheme, addresses, path }: PrepareInput,
): Place {
  const { definition, secret } = credential
  const { name, inject, insecurePlaintext } = definition
  assert(secret.name === name, 'the secret of this credential')
  const refuse = (why: string): EgressError => unavailable(name, why)
  if (!isOwnHost(definition, endpoint)) throw refuse('it is not for this host and port')
  if (scheme === 'http') {
    if (!insecurePlaintext) throw refuse('it is not sent in plaintext')
    if ([addresses, ...(addresses.also ?? [])].some(({ allowed }) => allowed.length === 0))
      throw refuse('it is sent in plaintext only where the rule lists addresses')
  }
  return isAddedLast(inject) ? { text: '' } : placeValue(credential, path)
}

function placeValue(credential: NonNullable<PrepareInput['credential']>, path: string): Place {
  const { definition, secret } = credential
  const { name, inject } = definition
  const value = reveal(secret, 'inject')
  // Anything else would break the head, or be changed on the way.
  if (!HEAD_TEXT.test(value)) throw unavailable(name, 'the value is no text for a head')
  const text = placeText(inject, value)
  if (inject.kind === 'query') return { parameter: inject.name, text }
  if (inject.kind === 'cookie') {
    if (!isCookieValue(value))
      throw unavailable(name, 'the value has characters no cookie may have')
    return { cookie: inject.name, text }
  }
  if (inject.kind !== 'path') return { header: placeHeader(inject), text }
  const placed = replaceSegment(inject, path, credential.placeholder, value)
  if (placed === undefined) throw unavailable(name, 'its place in the path is not there')
  return { path: placed, text }
}

function writeHeaders(
  { headers, endpoint, scheme }: PrepareInput,
  unwanted: ClientAuth,
  place: Place | undefined,
  outcome: Outcome,
): string[] {
  const stripped = stripHopByHop(headers)
  const written = ['Host', formatAuthority(endpoint, scheme === 'https' ? 443 : 80)]
  const placed = place?.header === undefined ? undefined : readHeaderName(place.header)
  for (let at = 0; at < stripped.length; at += 2) {
    const name = stripped[at]!
    const read = readHeaderName(name)
    if (read === 'host' || read === 'content-length') continue
    if (read === 'cookie' && place?.cookie !== undefined) {
      const field = writeCookies(stripped[at + 1]!, place, unwanted, outcome)
      if (field !== '') written.push(name, field)
    } else if (placed === read && place && !outcome.stood && hasName(name, place.header)) {
      // In the client's spelling, where it stood.
      written.push(name, place.text)
      outcome.stood = true
    } else if (placed === read || unwanted.headers.has(read)) outcome.dropped.add(read)
    else if (read === SUBPROTOCOL && unwanted !== NO_CLIENT_AUTH) {
      const offered = writeProtocols(stripped[at + 1]!, outcome)
      if (offered !== '') written.push(name, offered)
    } else if (!isSelfNaming(read)) written.push(name, stripped[at + 1]!)
  }
  if (outcome.stood || place === undefined) return written
  if (place.header !== undefined) written.push(place.header, place.text)
  if (place.cookie !== undefined) written.push('Cookie', `${place.cookie}=${place.text}`)
  return written
}

// The first of the name is ours, where it stood; of the others what the client may say itself.
function writeCookies(
  field: string,
  { cookie = '', text }: Place,
  unwanted: ClientAuth,
  outcome: Outcome,
): string {
  const kept: string[] = []
  for (const pair of splitCookies(field))
    if (pair.name === cookie && !outcome.stood) {
      kept.push(`${cookie}=${text}`)
      outcome.stood = true
    } else if (unwanted.headers.has('cookie') || isCookie(pair, cookie))
      outcome.dropped.add('cookie')
    else kept.push(pair.text)
  return kept.join('; ')
}

// Browsers can say a token nowhere else, so some servers take one from a name of a subprotocol.
function writeProtocols(field: string, { dropped }: Outcome): string {
  const offered = field.split(',')
  const kept = offered.filter((one) => !TOKEN_PROTOCOL.test(one))
  if (kept.length < offered.length) dropped.add(SUBPROTOCOL)
  return kept.join(',').trim()
}

function hasName(name: string, other: string | undefined): boolean {
  return name.toLowerCase() === other?.toLowerCase()
}

function writeQuery(
  query: string | undefined,
  unwanted: ClientAuth,
  place: Place | undefined,
  outcome: Outcome,
): string | undefined {
  const parameter = place?.parameter
  const names = parameter === undefined ? unwanted.query : withParameter(unwanted.query, parameter)
  const injected =
    place && parameter !== undefined
      ? `${encodeURIComponent(parameter)}=${encodeURIComponent(place.text)}`
      : undefined
  if (query === undefined || names.size === 0) return query ?? injected
  const kept: string[] = []
  let changed = false
  for (const part of splitQuery(query)) {
    const match = matchParameter(part.name, names)
    if (injected !== undefined && !outcome.stood && part.name === parameter) {
      kept.push(injected)
      outcome.stood = true
      changed = true
      continue
    }
    const text = match === undefined ? dropWithin(part.text, names, outcome) : undefined
    if (match !== undefined) outcome.dropped.add(`?${match}`)
    if (text !== undefined) kept.push(text)
    if (text !== part.text) changed = true
  }
  if (injected !== undefined && !outcome.stood) {
    // `?` with nothing behind it is one empty part.
    if (query === '') return injected
    kept.push(injected)
    changed = true
  }
  // Nothing changed: the bytes that were judged, a lone `?` included.
  if (!changed) return query
  return kept.length === 0 ? undefined : kept.join('&')
}

// Some upstreams part at semicolons too: what is a parameter to them does not hide in another's value.
function dropWithin(
  text: string,
  names: ReadonlySet<string>,
  { dropped }: Outcome,
): string | undefined {
  if (!text.includes(';')) return text
  const parts = splitQuery(text, ';')
  const kept = parts.filter((part) => {
    const match = matchParameter(part.name, names)
    if (match !== undefined) dropped.add(`?${match}`)
    return match === undefined
  })
  if (kept.length === parts.length) return text
  return kept.length === 0 ? undefined : kept.map((part) => part.text).join(';')
}
