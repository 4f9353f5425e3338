// What the tests of the credentials and inject rooms share: definitions of every kind, a store, heads to screen and prepare.

import { CredentialStore } from '../../../src/credentials/store.ts'
import type { CredentialDefinition, Injection } from '../../../src/credentials/definition.ts'
import type { HeldPlaceholder } from '../../../src/credentials/placeholder.ts'
import { prepareHead, type PreparedHead, type PrepareInput } from '../../../src/inject/prepare.ts'
import { screenPlaceholders, type ScreenInput } from '../../../src/inject/screen.ts'
import { makeSecret } from '../../../src/credentials/vault.ts'
import { EgressError } from '../../../src/errors.ts'
import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import { parseCidr, type Cidr } from '../../../src/wire/address.ts'
import { parseAuthority, type Endpoint } from '../../../src/wire/authority.ts'

export const CANARY = 'canary-6f1c4e0d9b7a42/+='
export const TASK = 't_01j00000000000000000000001'
export const ENDPOINT: Endpoint = parseAuthority('api.test:443')
export const OTHER: Endpoint = parseAuthority('other.test:443')
export const LOCAL: { readonly allowed: readonly Cidr[] } = { allowed: [parseCidr('127.0.0.0/8')!] }

export function define(
  inject: Injection,
  more: Partial<CredentialDefinition> = {},
): CredentialDefinition {
  return {
    name: inject.kind,
    source: { kind: 'local', from: { env: 'CANARY' }, format: 'text' },
    inject,
    hosts: [{ host: 'api.test', kind: 'name', port: 443 }],
    placeholder: { env: 'TOKEN', prefix: 'ghp_', length: 40 },
    insecurePlaintext: false,
    ...more,
  }
}

export const BEARER: CredentialDefinition = define({ kind: 'bearer' })
export const BASIC: CredentialDefinition = define({ kind: 'basic', user: 'x-access-token' })
export const HEADER: CredentialDefinition = define({
  kind: 'header',
  name: 'X-Goog-Api-Key',
  format: 'key {};v=1',
})
export const QUERY: CredentialDefinition = define({ kind: 'query', name: 'access_token' })
export const COOKIE: CredentialDefinition = define({ kind: 'cookie', name: 'session' })
export const PATH: CredentialDefinition = define({ kind: 'path', segment: 1, format: 'bot{}' })
export const ALL: readonly CredentialDefinition[] = [BEARER, BASIC, HEADER, QUERY]

export function makeStore(
  definitions: readonly CredentialDefinition[] = ALL,
  environment: Record<string, string> = { CANARY },
): CredentialStore {
  return new CredentialStore(definitions, {
    environment,
    limits: { ...DEFAULT_LIMITS, secretBytesMax: 1024, providerTimeoutMs: 1000 },
    placeholderKey: Buffer.alloc(32, 7),
  })
}

export const PLACEHOLDERS: ReadonlyMap<string, HeldPlaceholder> = makeStore([
  ...ALL,
  COOKIE,
  PATH,
]).placeholders(TASK)

export function placeholderOf(definition: CredentialDefinition): string {
  return makeStore([definition]).placeholder(TASK, definition.name)
}

export function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

/** The names found, or the reason of the refusal. */
export function screen(head: Partial<ScreenInput>): readonly string[] | string {
  try {
    return screenPlaceholders({
      endpoint: ENDPOINT,
      headers: ['Host', 'api.test'],
      path: '/',
      query: undefined,
      placeholders: PLACEHOLDERS,
      ...head,
    })
  } catch (error) {
    if (error instanceof EgressError) return error.reason
    throw error
  }
}

/** An outgoing head; `definition` is the credential that the rule names. */
export function prepare(
  head: Partial<PrepareInput>,
  definition?: CredentialDefinition,
): PreparedHead {
  return prepareHead({
    headers: ['Host', 'api.test'],
    path: '/',
    query: undefined,
    endpoint: ENDPOINT,
    scheme: 'https',
    obligations: { clientAuth: 'drop' },
    addresses: { allowed: [] },
    brokered: definition ? [definition] : [],
    ...(definition && {
      credential: {
        definition,
        secret: makeSecret(definition.name, CANARY),
        placeholder: placeholderOf(definition),
      },
    }),
    ...head,
  })
}

/** The reason of the refusal; undefined where there is none. */
export async function reasonOf(attempt: () => unknown): Promise<string | undefined> {
  try {
    await attempt()
    return undefined
  } catch (error) {
    if (error instanceof EgressError) return error.reason
    throw error
  }
}
