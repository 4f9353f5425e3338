// Our refusals in the words of RFC 9209 and RFC 9457. Pure; called by `listen/answer.ts`.

import { REASONS, type Reason } from '../errors.ts'

/** The one member of our `Proxy-Status` field. @see RFC 9209 section 2.3 */
export function formatProxyStatus(reason: Reason): string {
  return `sallyport; error=${REASONS[reason].proxyStatus}; reason=${reason}`
}

/** The fields of a refusal, without framing. */
export function refusalHeaders(reason: Reason, contentType: string): string[] {
  return [
    'Proxy-Status',
    formatProxyStatus(reason),
    'Content-Type',
    contentType,
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
