// The stage `cleared`: what an allowed call owes is met, its start is on record, and only then is a permit made.
// The one importer of `net/issue-call.ts`. Called by `pipeline.ts` and `stages.ts`.

import type { Call, Cleared, Decided, UpstreamResponse } from '../call.ts'
import type { Secret } from '../credentials/secret.ts'
import { EgressError } from '../errors.ts'
import { issueCallPermit } from '../net/issue-call.ts'
import type { CallPermit } from '../net/permit.ts'
import { isNameWritten } from '../policy/may-allow-name.ts'
import type { Endpoint } from '../wire/authority.ts'
import { overBody, type Body } from '../wire/body.ts'
import type { QuotaCharge } from './owed.ts'
import type { Quotas } from './quotas.ts'

/** What clearing needs from the record: I4, an allowed call is on record before its first byte leaves. */
export interface StartRecorder {
  /** Resolves when `call-started` is written. @throws EgressError audit-unavailable */
  recordStart(call: Call): Promise<void>
}

/**
 * Meets the obligations of an allowed call; resolves when it may be cleared.
 * @throws body-too-large, quota-exceeded at once; audit-unavailable, also as a rejection
 */
export function meetObligations(
  call: Call & Decided,
  recorder: StartRecorder,
  quotas: Pick<Quotas, 'take'>,
): Promise<void> {
  const { bodyBytesMax } = call.decision.obligations
  const framing = call.request?.framing
  // One that was inspected is all there, however it is framed.
  const bytes = framing?.kind === 'length' ? framing.length : call.heldBytes
  if (bodyBytesMax !== undefined && bytes > bodyBytesMax)
    throw new EgressError('body-too-large', { bytes, bytesMax: bodyBytesMax })
  const { inspection, identity, decision } = call
  call.charge = quotas.take({
    task: identity.task,
    quotas: decision.obligations.quotas,
    units: inspection?.units,
    head: call.request,
    bodyBytes: bytes,
  })
  return recorder.recordStart(call)
}

/**
 * Makes the permit of a cleared call.
 * @param tls whether the connection to `endpoint` is verified TLS
 * @param certificate shown on that connection
 */
export function permitCall(
  call: Call & Cleared,
  endpoint: Endpoint,
  tls: boolean,
  certificate?: Secret,
): CallPermit {
  const { task, policies } = call.identity
  return issueCallPermit({
    callId: call.id,
    taskId: task.id,
    rootId: task.path[0] ?? task.id,
    endpoint,
    addresses: call.decision.addresses,
    tls,
    isNameWritten: () => isNameWritten(policies, endpoint.host),
    certificate,
  })
}

/** A body whose bytes are taken from limits before they leave; it breaks off where they may not. */
export function meterBody(body: Body, charge: QuotaCharge): Body {
  return overBody(body, () => {
    const chunk = body.read()
    if (chunk) charge.takeOut(chunk.length)
    return chunk
  })
}

/**
 * An answer whose bytes are taken from limits before they are passed on; where they may not, it breaks off and its source ends.
 * @throws quota-exceeded where it is too long as it says
 */
export function meterAnswer(call: Call, response: UpstreamResponse): UpstreamResponse {
  const { charge } = call
  const { body } = response
  if (charge?.countsIn !== true || body.length === 0) return response
  const take = (count: () => void): void => {
    try {
      count()
    } catch (error) {
      body.abort(error instanceof Error ? error : new EgressError('internal'))
      throw error
    }
  }
  const { length } = body
  if (length !== undefined) take(() => charge.checkIn(length))
  const counted = overBody(body, () => {
    const chunk = body.read()
    if (chunk) take(() => charge.takeIn(chunk.length))
    return chunk
  })
  return { ...response, body: counted }
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
