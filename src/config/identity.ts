// What proves a caller's task, as the configuration describes it: whose tokens, by which keys, and whose certificates.
// Called by `sidecar.ts`.

import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'

import type { JSONWebKeySet } from 'jose'

import { JwtVerifier } from '../identify/jwt.ts'
import type { Dialer } from '../net/dial.ts'
import { HttpGetter } from '../net/http-client.ts'
import { checkRoots } from '../net/upstream-tls.ts'
import type { Config } from './config.ts'
import { permitUrl } from './operator-permit.ts'

const JWKS_BYTES_MAX = 1024 * 1024
const JWKS_TIMEOUT_MS = 5000

/** Makes the verifier of workload tokens; undefined where none are taken. */
export function makeJwtVerifier(
  { identity }: { readonly identity: Pick<Config['identity'], 'jwt'> },
  dialer: Dialer,
  now: () => number,
): JwtVerifier | undefined {
  const { jwt } = identity
  if (jwt === undefined) return undefined
  const { issuer, audience, jwks } = jwt
  const read = 'url' in jwks ? makeFetch(jwks.url, dialer) : () => readFile(jwks.file)
  return new JwtVerifier({ issuer, audience, keys: async () => parseKeySet(await read()), now })
}

/**
 * Reads the trust bundle that clients' certificates are verified by; undefined where none are asked for.
 * @throws Error where it holds no certificate
 */
export function readTrustBundle({ identity }: Pick<Config, 'identity'>): string | undefined {
  if (identity.clientCaFile === undefined) return undefined
  const text = readFileSync(identity.clientCaFile, 'utf8')
  checkRoots(text, 'identity.mtls.ca')
  return text
}

function makeFetch(written: string, dialer: Dialer): () => Promise<Uint8Array> {
  const url = new URL(written)
  const permit = permitUrl('identity.jwt.jwks', url)
  const getter = new HttpGetter(dialer, permit, `${url.pathname}${url.search}`, {
    timeoutMs: JWKS_TIMEOUT_MS,
    bodyBytesMax: JWKS_BYTES_MAX,
  })
  return async () => {
    const { status, body } = await getter.get('application/jwk-set+json, application/json')
    if (status !== 200) throw new Error(`the keys were answered with status ${status}`)
    return body
  }
}

function parseKeySet(bytes: Uint8Array): JSONWebKeySet {
  if (bytes.length > JWKS_BYTES_MAX) throw new Error('the key set is too large')
  const value: unknown = JSON.parse(Buffer.from(bytes).toString())
  if (typeof value !== 'object' || value === null || !('keys' in value))
    throw new Error('a key set is an object with `keys`')
  const { keys } = value
  if (!Array.isArray(keys)) throw new Error('the `keys` of a key set are a list')
  return { keys }
}
