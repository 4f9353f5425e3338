// The refusal of whoever cannot add a credential to a request. Called in this room alone.

import { EgressError } from '../errors.ts'

/** A call does not leave without its credential. @param why ours, in a few words, never of the request or the value */
export function unavailable(credential: string, why: string): EgressError {
  return new EgressError('credential-unavailable', { credential, why })
}
