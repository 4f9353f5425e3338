// Tokens that a client in the sandbox asks a token endpoint for: what comes back stays here, what stands for it goes on. Called by
// `prepare.ts` for what leaves, and by `response.ts` for what comes back.

import type { Call, Identified, Received, Prepared, UpstreamResponse } from '../call.ts'
import { pathKeys, type Capture } from '../credentials/captures.ts'
import { EgressError } from '../errors.ts'
import { takeTokens } from '../inspect/token-answer.ts'
import { joinChunks, readWhole } from '../inspect/whole-body.ts'
import type { Parts } from '../stages.ts'
import { NO_BODY, type RawHeaders } from '../wire/body.ts'
import { firstValue } from '../wire/headers.ts'
import { wholeBody } from './body.ts'

// Of bytes that are not sent, or sent with what is withheld.
const DROPPED: ReadonlySet<string> = new Set([
  'set-cookie',
  'digest',
  'content-digest',
  'repr-digest',
  'content-md5',
  'etag',
  'accept-ranges',
])
const NARROWED: ReadonlySet<string> = new Set(['accept-encoding', 'range', 'if-range'])
// What an answer that captures nothing may not say.
const TOKEN_TEXT = /(?:access|refresh|id)_token\W{1,6}[\w.~+/-]{8}/i
// RFC 9110 section 5.5, without the tab and beyond-ASCII.
const HEADER_TEXT = /^[\x21-\x7e]+$/

/** The head of a request whose answer is captured: it must come whole and as it is. @throws protocol-not-allowed for an upgrade */
export function narrowForCapture(
  call: Call & Received,
  headers: RawHeaders,
  isUpgrade: boolean,
  parts: Parts,
): RawHeaders {
  if (capturesFor(call, parts).length === 0) return headers
  // What is upgraded is looked at by nobody.
  if (isUpgrade) throw new EgressError('protocol-not-allowed', { part: 'upgrade' })
  const kept = headers.filter((_, at) => !NARROWED.has(headers[at - (at % 2)]!.toLowerCase()))
  return [...kept, 'Accept-Encoding', 'identity']
}

/**
 * The response as the sandbox may see it.
 * @throws credential-echoed where it cannot be read; what broke the body off
 */
export function captureTokens(
  call: Call & Received & Identified & Prepared,
  response: UpstreamResponse,
  parts: Parts,
): UpstreamResponse | Promise<UpstreamResponse> {
  const captures = capturesFor(call, parts)
  return captures.length === 0 ? response : readTokens(call, captures, response, parts)
}

async function readTokens(
  call: Call & Received & Identified & Prepared,
  captures: readonly Capture[],
  response: UpstreamResponse,
  parts: Parts,
): Promise<UpstreamResponse> {
  const { body, status } = response
  const headers = response.headers.filter(
    (_, at, all) => !DROPPED.has(all[at - (at % 2)]!.toLowerCase()),
  )
  const refuse = (why: string): EgressError => {
    const credential = captures[0]!.credential
    body.abort(new EgressError('credential-echoed'))
    return new EgressError('credential-echoed', { credential, why })
  }
  const isError = status >= 300
  if (isError && TOKEN_TEXT.test(headers.join(': '))) throw refuse('the head has one')
  // Nor are there trailers then.
  if (body.length === 0) return { ...response, headers, body: NO_BODY }
  const encoding = firstValue(headers, 'content-encoding')
  if (encoding !== undefined && encoding !== 'identity') throw refuse('it is encoded')
  const bytesMax = parts.limits.providerAnswerBytesMax
  const { chunks, isWhole } = await readWhole(body, bytesMax, () => undefined)
  if (!isWhole) throw refuse('it is too large')
  const bytes = joinChunks(chunks)
  const { task } = call.identity
  const standIns = new Map(
    captures.map(({ field, credential }) => [
      field,
      parts.credentials.placeholder(task.id, credential),
    ]),
  )
  let answer: ReturnType<typeof takeTokens>
  try {
    answer = takeTokens(bytes, standIns)
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    if (!isError && bytes.length > 0) throw refuse('it is no JSON')
    if (TOKEN_TEXT.test(Buffer.from(bytes).toString('latin1'))) throw refuse('an error has one')
    return { ...response, headers, body: wholeBody(bytes, []) }
  }
  const tokens = [...answer.tokens.values()]
  if (!tokens.every((token) => HEADER_TEXT.test(token))) throw refuse('it is no token')
  if (tokens.some((token) => headers.some((text) => text.includes(token))))
    throw refuse('the head has it too')
  if (!isError && call.decision.obligations.credential !== undefined)
    await keep(call, captures, answer, parts)
  return {
    ...response,
    headers,
    length: answer.body.length,
    body: wholeBody(answer.body, []),
  }
}

// Only what was asked for with a credential of ours: with what a client brought along it would act as somebody else.
async function keep(
  call: Call & Identified,
  captures: readonly Capture[],
  { tokens, expiresIn }: ReturnType<typeof takeTokens>,
  { credentials }: Parts,
): Promise<void> {
  const expiresAt = expiresIn === undefined ? undefined : call.arrival.startedAt + expiresIn * 1000
  for (const { credential, field } of captures) {
    const token = tokens.get(field)
    if (token !== undefined)
      await credentials.capture(call.identity.task, credential, { token, expiresAt })
  }
}

function capturesFor({ request }: Call & Received, parts: Parts): readonly Capture[] {
  const captures = parts.credentials.capturesAt(request.endpoint)
  if (captures.length === 0) return captures
  const keys = pathKeys(request.path)
  return captures.filter(({ path }) => keys.includes(path))
}
