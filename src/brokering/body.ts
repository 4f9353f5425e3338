// The body of a request on its way to the upstream: within what its call may send, watched for placeholders, and whole where a
// credential goes into it or signs it. Called by `prepare.ts`.

import type { Call, ClientSide, Decided } from '../call.ts'
import { EgressError } from '../errors.ts'
import { watchBody } from '../inject/watch-body.ts'
import { joinChunks, readWhole } from '../inspect/whole-body.ts'
import { limitBody, meterBody } from '../ledger/clear.ts'
import type { Parts } from '../stages.ts'
import { NO_BODY, type Body, type RawHeaders } from '../wire/body.ts'

/**
 * The body as the obligations let it leave: bounded, and watched for placeholders.
 * @param own the credential whose placeholder has its place in the body
 */
export function guardBody(
  call: Call & Decided,
  client: ClientSide,
  parts: Parts,
  own?: string,
): Body {
  const { bodyBytesMax, placeholderInBody } = call.decision.obligations
  const body = call.inspection?.body ?? client.body
  if (body.length === 0) return body
  const counted = call.charge?.countsOut === true ? meterBody(body, call.charge) : body
  const bounded = bodyBytesMax === undefined ? counted : limitBody(counted, bodyBytesMax)
  const placeholders = parts.credentials.placeholders(call.identity.task.id)
  if (placeholders.size === 0) return bounded
  return watchBody(bounded, placeholders, (credential) => {
    if (credential === own) return
    parts.recorder.recordPlaceholderInBody(call, credential)
    if (placeholderInBody === 'refuse')
      throw new EgressError('placeholder-misused', { place: 'body' })
  })
}

/** Reads a body to its end. @throws body-too-large; what broke it off */
export async function takeWhole(body: Body, bytesMax: number): Promise<Uint8Array> {
  const { chunks, isWhole } = await readWhole(body, bytesMax, () => undefined)
  if (!isWhole) throw new EgressError('body-too-large', { bytesMax })
  return joinChunks(chunks)
}

/** A body that is all there. */
export function wholeBody(bytes: Uint8Array, trailers: RawHeaders): Body {
  if (bytes.length === 0) return NO_BODY
  let rest: Uint8Array | null = bytes
  let broken: Error | undefined
  return {
    length: bytes.length,
    trailers,
    read: () => {
      if (broken) throw broken
      const chunk = rest
      rest = null
      return chunk
    },
    wait: () => Promise.resolve(),
    abort: (cause) => {
      broken = cause
    },
  }
}
