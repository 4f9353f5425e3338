// What a call is refused with, for the tests of `src/wire/`.
// Not a test itself; used by the tests beside it.

import { EgressError, type Reason } from '../../../src/errors.ts'
import { BodyReader } from '../../../src/wire/http1-body.ts'
import { RequestHeadReader } from '../../../src/wire/http1-head.ts'
import { readConnect, readRequest } from '../../../src/wire/receive.ts'
import { BOUNDS } from '../../fuzz/own-reader.ts'

const HEADER_COUNT_MAX = 20

/** The reason token `call` is refused with; undefined where it is not. Anything but an EgressError goes through. */
export function reasonOf(call: () => unknown): string | undefined {
  try {
    call()
    return undefined
  } catch (error) {
    if (error instanceof EgressError) return error.reason
    throw error
  }
}

/** The result of `call`, or undefined where it is refused with an EgressError. */
export function orUndefined<T>(call: () => T): T | undefined {
  try {
    return call()
  } catch (error) {
    if (error instanceof EgressError) return undefined
    throw error
  }
}

/** What the first request of a connection is refused with at the door, its body included; undefined where it is not. */
export function explainRequest(text: string): Reason | undefined {
  const bytes = Buffer.from(text, 'latin1')
  const heads = new RequestHeadReader(BOUNDS.headBytesMax)
  try {
    const end = heads.read(bytes, 0)
    if (end < 0) return heads.truncated
    const head = heads.take()
    if (head.method === 'CONNECT') {
      readConnect(head, HEADER_COUNT_MAX)
      return undefined
    }
    const { framing } = readRequest(head, undefined, HEADER_COUNT_MAX)
    const body = new BodyReader(framing, { ...BOUNDS, malformed: 'malformed-body' })
    body.read(bytes, end, () => undefined)
    return undefined
  } catch (error) {
    if (error instanceof EgressError) return error.reason
    throw error
  }
}
