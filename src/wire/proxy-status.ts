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
