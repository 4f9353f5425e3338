// What a call is refused with, for the tests of `src/wire/`.
// Not a test itself; used by the tests beside it.

import { EgressError } from '../../../src/errors.ts'

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
