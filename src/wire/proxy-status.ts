// Our refusals in the words of RFC 9209 and RFC 9457. Pure; called by whoever writes an answer of ours: `listen/` and, in the
// words of the protocol inside, `inspect/` and `understand/`.

import { REASONS, type Reason } from '../errors.ts'

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

/** Seconds after which a call that waits for a person is worth repeating: it then waits again. */
const HELD_RETRY_SECONDS = '5'

/** Fields that a refusal has besides, where a person is asked. @param hold id of the hold */
export function holdHeaders(reason: Reason, hold: string): string[] {
  const fields = ['Sallyport-Hold', hold]
  if (reason !== 'approval-pending') return fields
  // SDKs of model APIs repeat a 403 only where they are told so.
  return [...fields, 'Retry-After', HELD_RETRY_SECONDS, 'X-Should-Retry', 'true']
}

/**
 * The body of a refusal, `application/problem+json`: only the table's words and ids.
 * @param extension further members, in which some clients look for what they show
 * @see RFC 9457
 */
export function problemBody(
  reason: Reason,
  callId: string,
  taskId: string | undefined,
  extension: Readonly<Record<string, unknown>> = {},
): string {
  const { title, status, retry, remedy } = REASONS[reason]
  return `${JSON.stringify({
    type: `urn:sallyport:reason:${reason}`,
    title,
    status,
    reason,
    call: callId,
    task: taskId,
    retry,
    remedy,
    ...extension,
  })}\n`
}
