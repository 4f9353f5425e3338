// A small body that is kept as it leaves, so that its request can be sent once more. What is larger, or breaks off, is not.
// Called by `prepare.ts`.

import type { Call } from '../call.ts'
import { EgressError } from '../errors.ts'
import { joinChunks } from '../inspect/whole-body.ts'
import { meterBody } from '../ledger/clear.ts'
import type { Parts } from '../stages.ts'
import { NO_BODY, overBody, type Body } from '../wire/body.ts'
import { wholeBody } from './body.ts'

/** A body, and what it was. */
export interface KeptBody {
  readonly body: Body
  /** The same bytes again; undefined where they were not kept, or not all of them have left. */
  readonly again: () => Body | undefined
  /** Nobody will ask for them. */
  readonly forget: () => void
}

const NOTHING = (): void => undefined

/** Keeps a body while it leaves, if it says that it is small enough and the task may hold so much. */
export function keepBody(
  call: Call,
  body: Body,
  { limits, shares }: Pick<Parts, 'limits' | 'shares'>,
): KeptBody {
  const { length } = body
  if (length === 0) return { body, again: () => NO_BODY, forget: NOTHING }
  if (
    length === undefined ||
    length > limits.repeatedBodyBytesMax ||
    !mayHold(call, shares, length)
  )
    return { body, again: () => undefined, forget: NOTHING }
  let chunks: Uint8Array[] | undefined = []
  let isWhole = false
  const kept = overBody(body, () => {
    const chunk = body.read()
    if (chunk === null) isWhole = true
    else if (chunk !== undefined) chunks?.push(chunk)
    return chunk
  })
  const again = (): Body | undefined => {
    if (!isWhole || chunks === undefined) return undefined
    const whole = wholeBody(joinChunks(chunks), body.trailers)
    const { charge } = call
    // It leaves once more, and counts once more.
    return charge?.countsOut === true ? meterBody(whole, charge) : whole
  }
  const forget = (): void => {
    if (chunks !== undefined) shares.letGo(call, length)
    chunks = undefined
  }
  return { body: kept, again, forget }
}

// Without room it is sent once, as any other.
function mayHold(call: Call, shares: Parts['shares'], bytes: number): boolean {
  try {
    shares.hold(call, bytes)
    return true
  } catch (error) {
    if (error instanceof EgressError) return false
    throw error
  }
}
