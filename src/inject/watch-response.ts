// A response looked through for the credential that its request was sent with, while it flows on untouched. Best effort and
// said so: the head, and the beginning of a body that is not encoded; a value too short to be told from other text is not
// looked for. Called by `stages.ts`.

import { reveal } from '../credentials/reveal.ts'
import type { Secret } from '../credentials/secret.ts'
import { overBody, type RawHeaders, type Body } from '../wire/body.ts'
import { firstValue } from '../wire/headers.ts'

/** Bytes of a body that are looked at. */
const WATCHED_BYTES = 64 * 1024
const SECRET_CHARACTERS_MIN = 16

/**
 * The same body; `onFound` is called once, with where the value was seen first.
 * @param headers of the response
 */
export function watchResponse(
  headers: RawHeaders,
  body: Body,
  secret: Secret,
  onFound: (place: 'header' | 'body') => void,
): Body {
  const value = reveal(secret, 'looking for an echo')
  if (value.length < SECRET_CHARACTERS_MIN) return body
  if (headers.some((text) => text.includes(value))) {
    onFound('header')
    return body
  }
  const encoding = firstValue(headers, 'content-encoding')
  if (body.length === 0 || (encoding !== undefined && encoding !== 'identity')) return body
  const sought = Buffer.from(value)
  // The end of what went before: too short to hold the value, long enough to begin it.
  let tail = Buffer.alloc(0)
  let left = WATCHED_BYTES
  return overBody(body, () => {
    const chunk = body.read()
    if (chunk === null || chunk === undefined || left <= 0) return chunk
    const watched = Buffer.from(chunk.buffer, chunk.byteOffset, Math.min(chunk.length, left))
    left -= watched.length
    const joined =
      tail.length > 0 ? Buffer.concat([tail, watched.subarray(0, sought.length)]) : watched
    if (watched.includes(sought) || joined.includes(sought)) {
      left = 0
      onFound('body')
    }
    const ending = watched.length < sought.length ? joined : watched
    tail = Buffer.from(ending.subarray(1 - sought.length))
    return chunk
  })
}
