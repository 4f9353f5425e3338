// What a sandbox might send to authenticate as somebody else: dropped for destinations that a credential is for. The table
// is in docs/credentials.md, and a test holds the two together. Called by `prepare.ts`.

import type { CredentialDefinition } from '../credentials/definition.ts'
import { readHeaderName } from './header-name.ts'
import { readLoosely } from './loose-name.ts'
import { headersOf, parameterOf } from './places.ts'

/** Header fields, lower case. */
export const CLIENT_AUTH_HEADERS: readonly string[] = [
  'authorization',
  'cookie',
  'x-api-key',
  'api-key',
  'apikey',
  'x-apikey',
  'x-authorization',
  'ocp-apim-subscription-key',
  'x-functions-key',
  'dd-api-key',
  'x-goog-api-key',
  'x-auth-token',
  'x-auth-key',
  'x-access-token',
  'x-amz-security-token',
  'x-amz-s3session-token',
  'x-github-token',
  'private-token',
  'job-token',
  'deploy-token',
  'x-vault-token',
  'x-shopify-access-token',
  'npm-token',
  'token',
]

/** Query parameters, lower case. */
export const CLIENT_AUTH_QUERY: readonly string[] = [
  'access_token',
  'api_key',
  'apikey',
  'api-key',
  'key',
  'token',
  'auth_token',
  'private_token',
  'job_token',
  'x-amz-credential',
  'x-amz-signature',
  'x-amz-security-token',
  'x-goog-credential',
  'x-goog-signature',
  'x-goog-security-token',
  'googleaccessid',
  'subscription-key',
  'oauth_token',
  'awsaccesskeyid',
  'sig',
  'signature',
  'client_secret',
]

/** Names of header fields and of query parameters, lower case. */
export interface ClientAuth {
  readonly headers: ReadonlySet<string>
  readonly query: ReadonlySet<string>
}

/** Nothing: where the client may authenticate itself. */
export const NO_CLIENT_AUTH: ClientAuth = { headers: new Set(), query: new Set() }

const known = new WeakMap<readonly CredentialDefinition[], ClientAuth>()

/**
 * Lists where a client could authenticate to a brokered destination: the tables, and the places of its credentials.
 * @param brokered the same list for the same destination: what is made of it is kept with it
 */
export function clientAuthOf(brokered: readonly CredentialDefinition[]): ClientAuth {
  if (brokered.length === 0) return NO_CLIENT_AUTH
  let places = known.get(brokered)
  if (places === undefined) {
    const headers = new Set(CLIENT_AUTH_HEADERS)
    const query = new Set(CLIENT_AUTH_QUERY)
    for (const { inject } of brokered) {
      for (const header of headersOf(inject)) headers.add(readHeaderName(header))
      const parameter = parameterOf(inject)
      if (parameter !== undefined) query.add(parameter.toLowerCase())
    }
    places = { headers, query }
    known.set(brokered, places)
  }
  return places
}

const widened = new WeakMap<ReadonlySet<string>, Map<string, ReadonlySet<string>>>()

/** Adds a parameter to some; the same set for the same two. @param parameter a place's: what is made of it is kept */
export function withParameter(names: ReadonlySet<string>, parameter: string): ReadonlySet<string> {
  const lower = parameter.toLowerCase()
  if (names.has(lower)) return names
  const wider = widened.get(names) ?? new Map<string, ReadonlySet<string>>()
  widened.set(names, wider)
  const both = wider.get(lower) ?? new Set([...names, lower])
  wider.set(lower, both)
  return both
}

const loosely = new WeakMap<ReadonlySet<string>, ReadonlyMap<string, string>>()

/**
 * Tells which of some parameters a part of a query is, in any way an upstream may read its name: decoded once or twice,
 * in either case, as a variable, a list or an object.
 * @param names the same set for the same names: how they are read is kept with it
 */
export function matchParameter(name: string, names: ReadonlySet<string>): string | undefined {
  const lower = name.toLowerCase()
  if (names.has(lower)) return lower
  let read = loosely.get(names)
  if (read === undefined) {
    read = new Map([...names].map((one) => [readLoosely(one), one]))
    loosely.set(names, read)
  }
  return read.get(readLoosely(name))
}
