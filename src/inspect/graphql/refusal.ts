// The refusals of this folder: few words for the record, never bytes of the request. Called by its other files.

import { EgressError } from '../../errors.ts'

/** What cannot be read in one way only. @param at characters into the document, where it is known */
export function malformed(why: string, at?: number): EgressError {
  return new EgressError('malformed-body', {
    part: 'graphql',
    why,
    ...(at !== undefined && { at }),
  })
}

/** What is a way of asking that is not supported. */
export function unsupported(why: string): EgressError {
  return new EgressError('operation-not-allowed', { part: 'graphql', why })
}

/** What is beyond a bound. */
export function tooLarge(why: string): EgressError {
  return new EgressError('body-too-large', { part: 'graphql', why })
}
