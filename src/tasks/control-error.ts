// The reasons that only the control API answers with, as one small closed table beside that of `errors.ts`, and the error
// that carries them. Thrown by the tasks room and by `control/`, which turns it into an answer.

import { REASONS, type Reason } from '../errors.ts'

/** One row of the table. */
interface ControlReasonRow {
  /** HTTP status of the answer. */
  readonly status: number
  /** Half a sentence, lower case, without a full stop. */
  readonly title: string
  /** Imperative sentences: what to do, what not to try again. */
  readonly remedy: string
}

/** A token of the control API's own table, `[a-z0-9-]{1,32}`. */
export type ControlReason =
  | 'definition-invalid'
  | 'principal-unknown'
  | 'principal-not-allowed'
  | 'delegation-widening'
  | 'not-found'
  | 'conflict'
  | 'content-type-not-allowed'
  | 'not-served'

/** Any token that an answer of the control API may carry: its own, or one that calls are refused with too. */
export type ControlErrorReason =
  | ControlReason
  | Extract<
      Reason,
      | 'task-ended'
      | 'task-not-active'
      | 'attestation-failed'
      | 'audit-unavailable'
      | 'authority-mismatch'
      | 'body-too-large'
      | 'quota-exceeded'
      | 'busy'
      | 'draining'
      | 'internal'
    >

/** Every reason of the control API by its token. */
// prettier-ignore
export const CONTROL_REASONS: Readonly<Record<ControlReason, ControlReasonRow>> = {
  'definition-invalid': { status: 400, title: 'what was sent is not what this route takes', remedy: 'Do not retry the same body. Mend the field that `field` names.' },
  'principal-unknown': { status: 401, title: 'the caller proved no principal of this control API', remedy: 'Send the token of a principal as Authorization: Bearer, or the certificate of one.' },
  'principal-not-allowed': { status: 403, title: 'this principal may not do that', remedy: 'Do not retry. Ask an operator for the role, or for one who has it.' },
  'delegation-widening': { status: 403, title: 'a child task would be allowed more than its parent', remedy: 'Do not retry. Narrow the field that `field` names, or have the task made without a parent.' },
  'not-found': { status: 404, title: 'there is nothing of that name', remedy: 'Do not retry. List what there is.' },
  conflict: { status: 409, title: 'what was asked does not fit what is there', remedy: 'Read the present state, then decide again.' },
  'content-type-not-allowed': { status: 415, title: 'bodies are application/json', remedy: 'Send the body as application/json.' },
  'not-served': { status: 501, title: 'this version does not serve that', remedy: 'Do not retry. Do without it.' },
}

/** A refusal of the control API; its words are answered to the principal, so they hold no secret. */
export class ControlError extends Error {
  readonly reason: ControlErrorReason
  /** JSON pointer to the field that is at fault, such as `/expires`. */
  readonly field: string | undefined
  /** What is wrong, in words for the principal. */
  readonly detail: string

  constructor(reason: ControlErrorReason, detail: string, field?: string) {
    super(`${reason}: ${detail}`)
    this.name = 'ControlError'
    this.reason = reason
    this.field = field
    this.detail = detail
  }
}

/** Gives the row of a reason, whichever of the two tables it stands in. */
export function controlReasonRow(reason: ControlErrorReason): ControlReasonRow {
  return isControlReason(reason) ? CONTROL_REASONS[reason] : REASONS[reason]
}

function isControlReason(reason: ControlErrorReason): reason is ControlReason {
  return Object.hasOwn(CONTROL_REASONS, reason)
}
