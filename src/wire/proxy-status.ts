// Our refusals in the words of RFC 9209 and RFC 9457. Pure; called by whoever writes an answer of ours: `listen/` and, in the
// words of the protocol inside, `inspect/` and `understand/`.

import { REASONS, type Reason, type ReasonRow, type Wait } from '../errors.ts'

const SPENT =
  "Do not retry. What this limit gives is used up and does not come back. Ask the task's owner."

/** The fields of every answer of ours that refuses. @param type of its body @see RFC 9209 section 2.3 */
export function refusalHeaders(reason: Reason, type: string): string[] {
  return [
    'Proxy-Status',
    `sallyport; error=${REASONS[reason].proxyStatus}; reason=${reason}`,
    'Content-Type',
    type,
    'Cache-Control',
    'no-store',
  ]
}

/** Fields that a refusal has besides, where a person is asked. @param hold id of the hold */
export function holdHeaders(reason: Reason, hold: string): string[] {
  const fields = ['Sallyport-Hold', hold]
  // SDKs of model APIs repeat a 403 only where they are told so.
  return reason === 'approval-pending' ? [...fields, 'X-Should-Retry', 'true'] : fields
}

/** What the refused one is told to do; how long there is to wait says more than the table, where it is known. */
export function adviceFor(
  reason: Reason,
  wait: Wait | undefined,
): Pick<ReasonRow, 'retry' | 'remedy'> & { readonly retryAfter?: number } {
  if (wait === 'never') return { retry: 'no', remedy: SPENT }
  const { retry, remedy } = REASONS[reason]
  return wait === undefined ? { retry, remedy } : { retry, remedy, retryAfter: wait }
}

/**
 * The body of a refusal, `application/problem+json`: only the table's words and ids.
 * @param wait how long there is to wait, where it is known
 * @param extension further members, in which some clients look for what they show
 * @see RFC 9457
 */
export function problemBody(
  reason: Reason,
  callId: string,
  taskId: string | undefined,
  wait?: Wait,
  extension: Readonly<Record<string, unknown>> = {},
): string {
  const { title, status } = REASONS[reason]
  return `${JSON.stringify({
    type: `urn:sallyport:reason:${reason}`,
    title,
    status,
    reason,
    call: callId,
    task: taskId,
    ...adviceFor(reason, wait),
    ...extension,
  })}\n`
}
