// What went wrong at an authorization server, in our words: of what it says only error codes that are known are passed on, never
// a description. Pure; called by `oauth-server.ts`.

import { ProviderError } from '../issuer.ts'
import { readRetryAfter } from './provider-clock.ts'

// Whether asking again changes nothing until somebody mends it: RFC 6749 5.2, RFC 7009, RFC 8628, RFC 8693, RFC 8707.
const CODES: ReadonlyMap<string, boolean> = new Map([
  ['invalid_request', true],
  ['invalid_client', true],
  ['invalid_grant', true],
  ['unauthorized_client', true],
  ['unsupported_grant_type', true],
  ['unsupported_token_type', true],
  ['invalid_scope', true],
  ['invalid_target', true],
  ['access_denied', true],
  ['slow_down', false],
  ['temporarily_unavailable', false],
  ['server_error', false],
])
const BUSY: ReadonlySet<number> = new Set([408, 425, 429])

/** What of an answer says why it is none. */
export interface FailedAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** The error that an answer is. @param now epoch milliseconds */
export function errorOf({ status, headers, body }: FailedAnswer, now: number): ProviderError {
  const after = readRetryAfter(headers, now)
  const retry = after === undefined ? {} : { retryAfterMs: after }
  const code = codeIn(body)
  const isLasting = code === undefined ? undefined : CODES.get(code)
  if (isLasting !== undefined)
    return new ProviderError(`the provider refuses: ${code}`, { ...retry, isLasting })
  const isPassing = status >= 500 || BUSY.has(status)
  return new ProviderError(`the provider answers with status ${status}`, {
    ...retry,
    isLasting: !isPassing,
  })
}

function codeIn(body: Uint8Array): string | undefined {
  let read: unknown
  try {
    read = JSON.parse(Buffer.from(body).toString())
  } catch {
    return undefined
  }
  if (typeof read !== 'object' || read === null || !('error' in read)) return undefined
  return typeof read.error === 'string' ? read.error : undefined
}
