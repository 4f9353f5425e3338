// Where the values of secrets are: reachable only with the Secret itself, gone with it (I3). Filled by this room, opened by
// `reveal.ts`; no other room may import it.

import assert from 'node:assert'

import { Secret } from './secret.ts'

type Parts = Readonly<Record<string, string>>

const values = new WeakMap<Secret, Parts>()

/** Takes a value into custody under the credential's name. @param parts what belongs to it besides, by name */
export function makeSecret(name: string, value: string, parts: Parts = {}): Secret {
  const secret = new Secret(name)
  values.set(secret, { ...parts, value })
  return secret
}

/** Reads a part of a secret that was made here. */
export function valueOf(secret: Secret, part: string): string | undefined {
  const parts = values.get(secret)
  assert(parts !== undefined, 'a secret of this vault')
  return Object.hasOwn(parts, part) ? parts[part] : undefined
}

/** Reads all parts of a secret that are texts of their own; `value` is among them where it is not empty. */
export function partsOf(secret: Secret): Parts {
  const parts = values.get(secret)
  assert(parts !== undefined, 'a secret of this vault')
  return parts
}
