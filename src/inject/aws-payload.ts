// What a signature for AWS says of the body it is for, and what the body has to pass through for that. A hash that the client
// claims is signed as it is and the body streams: it is the client's own claim of its own body, and holding gigabytes to prove it
// would protect nobody. It is proved while the body passes, so that one that breaks its word never arrives whole. Called by
// `sign-aws.ts`.

import { createHash } from 'node:crypto'

import { EgressError } from '../errors.ts'
import { overBody, type Body } from '../wire/body.ts'
import { hashPayload, isObjectStore, UNSIGNED_PAYLOAD } from '../wire/sigv4.ts'

/** How the body of a request is signed. */
export type Payload =
  /** Hashed by us, so it has to be there whole. */
  | { readonly kind: 'whole' }
  /** Not signed; `isSaid`: the client says so itself. */
  | { readonly kind: 'unsigned'; readonly text: string; readonly isSaid: boolean }
  | { readonly kind: 'hashed'; readonly text: string }
  | { readonly kind: 'chunks'; readonly text: string; readonly hasTrailers: boolean }

const EMPTY_HASH = hashPayload(Buffer.alloc(0))
const UNSIGNED: ReadonlySet<string> = new Set([
  UNSIGNED_PAYLOAD,
  'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
])
const CHUNKS = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'

/**
 * Decides how a body is signed.
 * @param said `x-amz-content-sha256`, every time it is there
 * @returns undefined where it is asked to be signed as nobody can
 */
export function choosePayload(said: readonly string[], service: string): Payload | undefined {
  const [text, ...more] = said
  // What a service of tokens is asked for is read before it is signed.
  if (service === 'sts') return { kind: 'whole' }
  if (text === undefined)
    return isObjectStore(service)
      ? { kind: 'unsigned', text: UNSIGNED_PAYLOAD, isSaid: false }
      : { kind: 'whole' }
  if (more.length > 0) return undefined
  if (UNSIGNED.has(text)) return { kind: 'unsigned', text, isSaid: true }
  if (text === CHUNKS || text === `${CHUNKS}-TRAILER`)
    return { kind: 'chunks', text, hasTrailers: text !== CHUNKS }
  return /^[0-9a-f]{64}$/i.test(text) ? { kind: 'hashed', text } : undefined
}

/** Whether a body comes in chunks that say their own lengths. */
export function isInChunks(payload: Payload): boolean {
  return (
    payload.kind === 'chunks' || (payload.kind === 'unsigned' && payload.text !== UNSIGNED_PAYLOAD)
  )
}

/** The same body, which breaks off before its last bytes where its hash is not what was said. */
export function proveHash(body: Body, expected: string): Body {
  const hash = createHash('sha256')
  const lowerExpected = expected.toLowerCase()
  let left = body.length ?? Infinity
  let isProved = false
  const prove = (): void => {
    if (!isProved && hash.digest('hex') !== lowerExpected)
      throw new EgressError('malformed-body', { part: 'x-amz-content-sha256' })
    isProved = true
  }
  if (left === 0 && lowerExpected !== EMPTY_HASH)
    throw new EgressError('malformed-body', { part: 'x-amz-content-sha256' })
  return overBody(body, () => {
    const chunk = body.read()
    if (chunk === undefined) return chunk
    if (chunk !== null) {
      hash.update(chunk)
      left -= chunk.length
    }
    if (chunk === null || left <= 0) prove()
    return chunk
  })
}
