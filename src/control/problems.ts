// Refusals of the control API as `application/problem+json` (RFC 9457): the reason, the field at fault, what to do; never a
// stack. Called by `server.ts` and `app.ts`.

import type { z } from 'zod'

import { ControlError, controlReasonRow } from '../tasks/control-error.ts'
import { expectedOf } from '../tasks/expected.ts'

/** A refusal as it is answered. */
export interface Problem {
  /** `urn:sallyport:reason:` and the reason. */
  readonly type: string
  readonly title: string
  readonly status: number
  readonly reason: string
  readonly detail: string
  /** JSON pointer to the field that is at fault. */
  readonly field?: string
  readonly remedy: string
}

/** The media type of a refusal. */
export const PROBLEM_TYPE = 'application/problem+json'

const DETAIL_CHARACTERS_MAX = 1000

/** A refusal that says when to come back. */
export class RateError extends ControlError {
  readonly retryAfterSeconds: number

  constructor(detail: string, retryAfterSeconds: number) {
    super('quota-exceeded', detail)
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** Gives what is answered to an error. */
export function problemOf(error: ControlError): Problem {
  const { status, title, remedy } = controlReasonRow(error.reason)
  return {
    type: `urn:sallyport:reason:${error.reason}`,
    title,
    status,
    reason: error.reason,
    detail: error.detail.slice(0, DETAIL_CHARACTERS_MAX),
    ...(error.field !== undefined && { field: error.field.slice(0, DETAIL_CHARACTERS_MAX) }),
    remedy,
  }
}

/** Gives the header fields of what is answered to an error. */
export function problemHeaders(error: ControlError): Record<string, string> {
  return {
    'Content-Type': PROBLEM_TYPE,
    ...(error.reason === 'principal-unknown' && { 'WWW-Authenticate': 'Bearer' }),
    ...(error instanceof RateError && { 'Retry-After': String(error.retryAfterSeconds) }),
  }
}

/** Makes the refusal of what a schema does not take; the first issue is told. */
export function invalidOf({ issues }: Pick<z.ZodError, 'issues'>): ControlError {
  const issue = issues[0]
  if (issue === undefined) return new ControlError('definition-invalid', 'it is not valid')
  if (issue.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys
    return new ControlError('definition-invalid', 'unknown field', pointer([...issue.path, key]))
  }
  return new ControlError('definition-invalid', expectedOf(issue), pointer(issue.path))
}

/** Writes a path as a JSON pointer (RFC 6901). */
function pointer(path: readonly PropertyKey[]): string {
  return path.map((key) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}
