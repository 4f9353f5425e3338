// The body of a request on its way to the upstream: within what its call may send, watched for placeholders, and whole where a
// credential goes into it or signs it. Called by `prepare.ts`.

import type { Call, ClientSide, Decided } from '../call.ts'
import { EgressError } from '../errors.ts'
import { watchBody } from '../inject/watch-body.ts'
import { joinChunks, readWhole } from '../inspect/whole-body.ts'
import { limitBody, meterBody } from '../ledger/clear.ts'
import type { Parts } from '../stages.ts'
import { NO_BODY, type Body, type RawHeaders } from '../wire/body.ts'

const PIECE_BYTES = 64 * 1024

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
  const { bodyBytesMax } = call.decision.obligations
  const body = call.inspection?.body ?? client.body
  if (body.length === 0) return body
  const counted = call.charge?.countsOut === true ? meterBody(body, call.charge) : body
  const bounded = bodyBytesMax === undefined ? counted : limitBody(counted, bodyBytesMax)
  const placeholders = parts.credentials.placeholders(call.identity.task.id)
  if (placeholders.size === 0) return bounded
  return watchBody(bounded, placeholders, (credential) => {
    if (credential !== own) tellPlaceholder(call, parts, credential)
  })
}

/** Tells of a placeholder in a body where it stands for nothing. @throws placeholder-misused where the rule refuses it */
export function tellPlaceholder(call: Call & Decided, parts: Parts, credential: string): void {
  parts.recorder.recordPlaceholderInBody(call, credential)
  if (call.decision.obligations.placeholderInBody === 'refuse')
    throw new EgressError('placeholder-misused', { place: 'body' })
}

/** Whether some bytes hold a text of ASCII. */
export function holdsText(bytes: Uint8Array, text: string): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(text, 0, 'latin1')
}

/**
 * Reads a body to its end; its bytes count against the task's share as long as they wait.
 * @throws body-too-large; busy; what broke it off
 */
export async function takeWhole(
  call: Call,
  body: Body,
  { limits, shares }: Parts,
): Promise<Uint8Array> {
  const { signedBodyBytesMax: bytesMax } = limits
  const { chunks, isWhole } = await readWhole(body, bytesMax, (bytes) => shares.hold(call, bytes))
  if (!isWhole) throw new EgressError('body-too-large', { bytesMax })
  return joinChunks(chunks)
}

/** A body that is all there, given in pieces. @param onGiven told of each that is not kept any more */
export function wholeBody(
  bytes: Uint8Array,
  trailers: RawHeaders,
  onGiven: (bytes: number) => void = () => undefined,
): Body {
  if (bytes.length === 0) return NO_BODY
  let at = 0
  let broken: Error | undefined
  return {
    length: bytes.length,
    trailers,
    read: () => {
      if (broken) throw broken
      if (at === bytes.length) return null
      const piece = bytes.subarray(at, at + PIECE_BYTES)
      at += piece.length
      onGiven(piece.length)
      return piece
    },
    wait: () => Promise.resolve(),
    abort: (cause) => {
      broken = cause
    },
  }
}
