// A response on its way from the upstream to whoever reads it next: looked through for the credential that was sent. Called by
// `pipeline.ts`.

import type { Call, Identified, Prepared, Received, UpstreamResponse } from '../call.ts'
import { watchResponse } from '../inject/watch-response.ts'
import type { Parts } from '../stages.ts'
import { captureTokens } from './capture.ts'

/**
 * The response without the tokens that are captured, looked through for the credential that was sent: finding it is told, and
 * changes nothing.
 * @throws credential-echoed where tokens cannot be told from the rest
 */
export async function takeResponse(
  call: Call & Received & Identified & Prepared,
  answered: UpstreamResponse,
  parts: Parts,
): Promise<UpstreamResponse> {
  const response = await captureTokens(call, answered, parts)
  const { secret } = call.outgoing
  if (secret === undefined) return response
  const { headers, body } = response
  const watched = watchResponse(headers, body, secret, (place) =>
    parts.recorder.recordEcho(call, secret.name, place),
  )
  return watched === body ? response : { ...response, body: watched }
}
