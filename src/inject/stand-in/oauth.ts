// The answer of a token endpoint that is asked in vain: an SDK that wants a token first gets what stands for one, and works
// unchanged. Nothing is dialed and no secret is touched. Pure; called by `brokering/stand-in.ts`.

import type { Answer } from '../../call-parts.ts'
import type { RawHeaders } from '../../wire/body.ts'
import { firstValue } from '../../wire/headers.ts'

/** A request for a token, and what is answered with. */
export interface TokenRequest {
  readonly method: string
  readonly headers: RawHeaders
  /** Whole. */
  readonly body: Uint8Array
  /** What stands for the credential in the task's sandbox. */
  readonly placeholder: string
  /** When the task ends, epoch milliseconds. */
  readonly expiresAt: number
  /** Epoch milliseconds. */
  readonly now: number
}

// A client asks again by then, as it would of any server.
const LIFETIME_S_MAX = 3600
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'
const FORM = 'application/x-www-form-urlencoded'

/** Answers a request for a token, RFC 6749 section 5: whatever proves the client is not looked at. */
export function answerTokenRequest(request: TokenRequest): Answer {
  const { method, headers, body, placeholder, expiresAt, now } = request
  if (method !== 'POST') return answer(405, { error: 'invalid_request' }, ['Allow', 'POST'])
  const [type = ''] = (firstValue(headers, 'content-type') ?? '').split(';')
  if (type.trim().toLowerCase() !== FORM) return answer(400, { error: 'invalid_request' })
  const grants = new URLSearchParams(Buffer.from(body).toString()).getAll('grant_type')
  const [grant = ''] = grants
  if (grant === '' || grants.length > 1) return answer(400, { error: 'invalid_request' })
  const lifetime = Math.min(Math.floor((expiresAt - now) / 1000), LIFETIME_S_MAX)
  if (lifetime <= 0) return answer(400, { error: 'invalid_grant' })
  return answer(200, {
    access_token: placeholder,
    token_type: 'Bearer',
    expires_in: lifetime,
    // RFC 8693 section 2.2.1: there without fail.
    ...(grant === EXCHANGE && { issued_token_type: ACCESS_TOKEN }),
  })
}

function answer(status: 200 | 400 | 405, body: object, more: readonly string[] = []): Answer {
  const statusText = { 200: 'OK', 400: 'Bad Request', 405: 'Method Not Allowed' }[status]
  const headers = ['Content-Type', 'application/json', 'Cache-Control', 'no-store', ...more]
  return { status, statusText, headers, body: JSON.stringify(body) }
}
