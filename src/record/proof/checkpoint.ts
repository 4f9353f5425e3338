// A checkpoint: a signed statement of how far a chain was at a time, of the whole journal or of one task's part of it. Who
// has one, and the public key, can prove what came before it with nothing else. Pure: making and checking the signature.
// Called by what writes the journal, by `verify.ts` and by evidence.

import { createPublicKey, sign, verify, type KeyObject } from 'node:crypto'

/** A public key that checkpoints are checked with, as a JWK. */
export interface CheckpointKey {
  readonly kty: 'OKP'
  readonly crv: 'Ed25519'
  /** Base64url. */
  readonly x: string
  /** Thumbprint of RFC 7638. */
  readonly kid: string
}

/** What a checkpoint states. */
export interface CheckpointStatement {
  /** The id of the journal, the same as long as its state is kept. */
  readonly journal: string
  /** The task whose part it states; absent: the whole journal. */
  readonly task?: string | undefined
  /** Sequence number of the last record it covers: the journal's, or the task's own. */
  readonly seq: number
  /** Lower-case hex SHA-256 of that record's line without its newline. */
  readonly hash: string
  /** When, ISO 8601 in UTC. */
  readonly time: string
  /** True where the task has ended and this closes its part. */
  readonly final?: true | undefined
}

/** A statement with its signature. */
export interface Checkpoint extends CheckpointStatement {
  /** `kid` of the key. */
  readonly key: string
  /** Base64url of the Ed25519 signature of `checkpointText`. */
  readonly signature: string
}

/** The bytes that are signed: one member a line, so that they can be made again with a text editor and checked with openssl. */
export function checkpointText(statement: CheckpointStatement & { readonly key: string }): string {
  const { journal, task, seq, hash, time, final, key } = statement
  const lines = [
    'sallyport checkpoint 1',
    `journal ${journal}`,
    ...(task === undefined ? [] : [`task ${task}`]),
    `seq ${String(seq)}`,
    `hash sha256:${hash}`,
    `time ${time}`,
    ...(final === true ? ['final'] : []),
    `key ${key}`,
  ]
  return `${lines.join('\n')}\n`
}

/** Signs a statement with an Ed25519 private key. @param kid of that key */
export function signCheckpoint(
  statement: CheckpointStatement,
  privateKey: KeyObject,
  kid: string,
): Checkpoint {
  const text = checkpointText({ ...statement, key: kid })
  const signature = sign(null, Buffer.from(text), privateKey).toString('base64url')
  return { ...statement, key: kid, signature }
}

// Many checkpoints in turn are signed by one key.
let lastKey: { readonly x: string; readonly object: KeyObject } | undefined

function keyObjectOf(key: Omit<CheckpointKey, 'kid'>): KeyObject {
  if (lastKey?.x === key.x) return lastKey.object
  const object = createPublicKey({ key: { ...key }, format: 'jwk' })
  lastKey = { x: key.x, object }
  return object
}

/** Tells whether a checkpoint is signed by this key. Never throws: what is malformed is not signed. */
export function isSignedBy(checkpoint: Checkpoint, { kty, crv, x, kid }: CheckpointKey): boolean {
  if (checkpoint.key !== kid) return false
  try {
    const key = keyObjectOf({ kty, crv, x })
    const signature = Buffer.from(checkpoint.signature, 'base64url')
    return verify(null, Buffer.from(checkpointText(checkpoint)), key, signature)
  } catch {
    return false
  }
}
