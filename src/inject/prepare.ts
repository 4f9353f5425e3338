// The outgoing head: written anew from the judged call. One Host, this hop's fields gone, what the sandbox sends to
// authenticate to a brokered destination gone, the credential in its place; the rest in order and spelling, path and query
// byte for byte. Deliberately no framing: that is the engine's. Called by `stages.ts`.

import assert from 'node:assert'

import { reveal } from '../credentials/reveal.ts'
import type { Secret } from '../credentials/secret.ts'
import type { CredentialDefinition } from '../credentials/definition.ts'
import { EgressError } from '../errors.ts'
import type { AddressPolicy, Obligations } from '../policy/decision.ts'
import { formatAuthority, type Endpoint } from '../wire/authority.ts'
import type { RawHeaders } from '../wire/body.ts'
import { stripHopByHop } from '../wire/headers.ts'
import {
  clientAuthOf,
  matchParameter,
  NO_CLIENT_AUTH,
  readHeaderName,
  type ClientAuth,
} from './client-auth.ts'
import { finisherOf } from './finish.ts'
import { isOwnHost, placeHeader, placeText } from './places.ts'
import { splitQuery } from './query.ts'
import { isSelfNaming } from './self-naming.ts'

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
  readonly credential?: { readonly definition: CredentialDefinition; readonly secret: Secret }
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

/** What goes where. */
interface Place {
  readonly header: string | undefined
  readonly parameter: string | undefined
  readonly text: string
}

/** What came of the client's fields. */
interface Outcome {
  /** Whether something of the client's stood at the credential's place. */
  stood: boolean
  readonly dropped: Set<string>
}

/** Writes the outgoing head. @throws credential-unavailable where the credential is not for this destination */
export function prepareHead(input: PrepareInput): PreparedHead {
  const { credential, brokered, obligations } = input
  const place = credential && choosePlace(credential, input)
  const unwanted = obligations.clientAuth === 'pass' ? NO_CLIENT_AUTH : clientAuthOf(brokered)
  const outcome: Outcome = { stood: false, dropped: new Set() }
  const headers = writeHeaders(input, unwanted, place, outcome)
  const query = writeQuery(input.query, unwanted, place, outcome)
  const dropped = [...outcome.dropped]
  const head = {
    headers,
    path: query === undefined ? input.path : `${input.path}?${query}`,
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
  { definition, secret }: NonNullable<PrepareInput['credential']>,
  { endpoint, scheme, addresses }: PrepareInput,
): Place | undefined {
  const { name, inject, insecurePlaintext } = definition
  assert(secret.name === name, 'the secret of this credential')
  const refuse = (why: string): EgressError =>
    new EgressError('credential-unavailable', { credential: name, why })
  if (!isOwnHost(definition, endpoint)) throw refuse('it is not for this host and port')
  if (scheme === 'http') {
    if (!insecurePlaintext) throw refuse('it is not sent in plaintext')
    if ([addresses, ...(addresses.also ?? [])].some(({ allowed }) => allowed.length === 0))
      throw refuse('it is sent in plaintext only where the rule lists addresses')
  }
  if (finisherOf(inject)) return undefined
  return {
    header: placeHeader(inject),
    parameter: inject.kind === 'query' ? inject.name : undefined,
    text: placeText(inject, reveal(secret, 'inject')),
  }
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
    if (placed === read && place && !outcome.stood && hasName(name, place.header)) {
      // In the client's spelling, where it stood.
      written.push(name, place.text)
      outcome.stood = true
    } else if (placed === read || unwanted.headers.has(read)) outcome.dropped.add(read)
    else if (!isSelfNaming(read)) written.push(name, stripped[at + 1]!)
  }
  if (place?.header !== undefined && !outcome.stood) written.push(place.header, place.text)
  return written
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
  const names =
    parameter === undefined ? unwanted.query : new Set([...unwanted.query, parameter.toLowerCase()])
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
