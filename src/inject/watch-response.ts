// A response looked through for the credential that its request was sent with, while it flows on untouched. Best effort and
// said so: the head, and the beginning of a body that is not encoded; a value too short to be told from other text is not
// looked for. Called by `stages.ts`.

import { reveal } from '../credentials/reveal.ts'
import type { Secret } from '../credentials/secret.ts'
import { overBody, type RawHeaders, type Body } from '../wire/body.ts'
import { firstValue } from '../wire/headers.ts'
import { PlaceholderScan } from './body-scan.ts'

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
  const scan = new PlaceholderScan([value])
  let left = WATCHED_BYTES
  return overBody(body, () => {
    const chunk = body.read()
    if (chunk === null || chunk === undefined || left <= 0) return chunk
    const watched = chunk.subarray(0, left)
    left -= watched.length
    if (scan.push(watched).size > 0) {
      left = 0
      onFound('body')
    }
    return chunk
  })
}
