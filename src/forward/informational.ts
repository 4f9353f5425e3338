// What an upstream says before its answer (1xx), held to a bound: it is passed on at once, and a client that reads nothing would
// have it kept without end. Called by `pipeline.ts`, once a call; deliberately not about the answer's own head.

import { EgressError } from '../errors.ts'
import type { RawHeaders } from '../wire/body.ts'
import type { SendOptions } from './send-options.ts'

// What a head costs beside its fields, and a field beside its octets (RFC 9113 section 6.5.2).
const OVERHEAD_BYTES = 32

/**
 * Passes informational heads on while all of one call are within a bound.
 * @param bytesMax of their fields together
 * @param pass what becomes of each; beyond the bound it throws response-malformed instead
 */
export function boundInformational(
  bytesMax: number,
  pass: SendOptions['onInformational'],
): SendOptions['onInformational'] {
  let bytes = 0
  return (status, headers) => {
    bytes += OVERHEAD_BYTES + bytesOf(headers)
    if (bytes > bytesMax)
      throw new EgressError('response-malformed', { part: 'informational', bytesMax })
    pass(status, headers)
  }
}

function bytesOf(headers: RawHeaders): number {
  let bytes = 0
  for (let at = 0; at < headers.length; at += 2)
    bytes += headers[at]!.length + headers[at + 1]!.length + OVERHEAD_BYTES
  return bytes
}
