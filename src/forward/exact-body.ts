// A request's body held to what its framing says: more or fewer bytes would be read as another request by the upstream, or as
// part of one. Called where bodies are written, by `request.ts` and `http2-request.ts`.

import { EgressError } from '../errors.ts'
import { overBody, type Body } from '../wire/body.ts'
import type { Framing } from '../wire/headers.ts'

/** The same body, which breaks off (`internal`) where it is not of the length that is said. */
export function exactBody(body: Body, framing: Framing): Body {
  if (framing.kind !== 'length' || body.length === 0) return body
  let left = framing.length
  return overBody(body, () => {
    const chunk = body.read()
    if (chunk === undefined) return chunk
    left -= chunk?.length ?? 0
    if (left < 0 || (chunk === null && left > 0))
      throw new EgressError('internal', { part: 'content-length' })
    return chunk
  })
}
