// A response on its way from the upstream to whoever reads it next: looked through for the credential that was sent. Called by
// `pipeline.ts`.

import type { Call, Prepared, UpstreamResponse } from '../call.ts'
import { watchResponse } from '../inject/watch-response.ts'
import type { Parts } from '../stages.ts'

/** The response, looked through for the credential that was sent: finding it is told, and changes nothing. */
export function takeResponse(
  call: Call & Prepared,
  response: UpstreamResponse,
  parts: Parts,
): UpstreamResponse {
  const { secret } = call.outgoing
  if (secret === undefined) return response
  const { headers, body } = response
  const watched = watchResponse(headers, body, secret, (place) =>
    parts.recorder.recordEcho(call, secret.name, place),
  )
  return watched === body ? response : { ...response, body: watched }
}
