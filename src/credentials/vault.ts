// Where the values of secrets are: reachable only with the Secret itself, gone with it (I3). Filled by `sources.ts`, opened
// by `reveal.ts`; no other room may import it.

import assert from 'node:assert'

import { Secret } from './secret.ts'

const values = new WeakMap<Secret, string>()

/** Takes a value into custody under the credential's name. */
export function makeSecret(name: string, value: string): Secret {
  const secret = new Secret(name)
  values.set(secret, value)
  return secret
}

/** Reads the value of a secret that was made here. */
export function valueOf(secret: Secret): string {
  const value = values.get(secret)
  assert(value !== undefined, 'a secret of this vault')
  return value
}
