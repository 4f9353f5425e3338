// The stage `cleared`: what an allowed call owes is met, its start is on record, and only then is a permit made.
// The one importer of `net/issue-call.ts`. Called by `pipeline.ts` and `stages.ts`.

import type { Call, Cleared, Decided } from '../call.ts'
import { EgressError } from '../errors.ts'
import { issueCallPermit } from '../net/issue-call.ts'
import type { CallPermit } from '../net/permit.ts'
import type { Endpoint } from '../wire/authority.ts'
import { overBody, type Body } from '../wire/body.ts'

/** What clearing needs from the record: I4, an allowed call is on record before its first byte leaves. */
export interface StartRecorder {
  /** Resolves when `call-started` is written. @throws EgressError audit-unavailable */
  recordStart(call: Call): Promise<void>
}

/**
 * Meets the obligations of an allowed call; resolves when it may be cleared.
 * @throws body-too-large at once; audit-unavailable as a rejection
 */
export function meetObligations(call: Call & Decided, recorder: StartRecorder): Promise<void> {
  const { bodyBytesMax } = call.decision.obligations
  const framing = call.request?.framing
  // One that was inspected is all there, however it is framed.
  const bytes = framing?.kind === 'length' ? framing.length : call.heldBytes
  if (bodyBytesMax !== undefined && bytes > bodyBytesMax)
    throw new EgressError('body-too-large', { bytes, bytesMax: bodyBytesMax })
  return recorder.recordStart(call)
}

/** Makes the permit of a cleared call. @param tls whether the connection to `endpoint` is verified TLS */
export function permitCall(call: Call & Cleared, endpoint: Endpoint, tls: boolean): CallPermit {
  return issueCallPermit({
    callId: call.id,
    taskId: call.identity.task.id,
    endpoint,
    addresses: call.decision.addresses,
    tls,
  })
}

/** A body that breaks off with `body-too-large` once more than `bytesMax` bytes were read from it. */
export function limitBody(body: Body, bytesMax: number): Body {
  let left = bytesMax
  return overBody(body, () => {
    const chunk = body.read()
    if (chunk) left -= chunk.length
    if (left < 0) throw new EgressError('body-too-large', { bytesMax })
    return chunk
  })
}
