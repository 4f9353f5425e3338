// Our own answers: a row of the table as a response, written for an agent to read and act on (contract section 7).
// Called by the client sides in this room.

import type { Answer, Call } from '../call.ts'
import { REASONS, type Reason } from '../errors.ts'
import { grpcRefusal, isGrpc } from '../wire/grpc.ts'
import { holdHeaders, problemBody, refusalHeaders } from '../wire/proxy-status.ts'

/** An answer in the usual words, which are ASCII. */
interface Problem extends Answer {
  readonly body: string
}

// Seconds a client is asked to wait where the reason passes by itself and nobody knows when.
const RETRY_AFTER_SECONDS = '1'

/** The refusal of one call, in the words of the protocol inside where it has one. */
export function makeAnswer(reason: Reason, call: Call): Answer {
  const answer = call.inspection?.writeRefusal(reason) ?? makeGrpcAnswer(reason, call)
  if (answer === undefined) return makeProblem(reason, call)
  const { hold, wait } = call
  if (hold === undefined && typeof wait !== 'number') return answer
  const headers = [...answer.headers]
  if (typeof wait === 'number') headers.push('Retry-After', String(wait))
  if (hold) headers.push(...holdHeaders(reason, hold.id))
  return { ...answer, headers }
}

// Only over HTTP/2 does a client of gRPC look for it.
function makeGrpcAnswer(reason: Reason, { id, request, wait }: Call): Answer | undefined {
  if (request?.version !== '2' || !isGrpc(request.headers)) return undefined
  return { status: 200, statusText: '', headers: grpcRefusal(reason, id, wait), body: '' }
}

/** The refusal of one call in the usual words. */
export function makeProblem(reason: Reason, call: Call): Problem {
  const row = REASONS[reason]
  const { hold, wait } = call
  const body = problemBody(reason, call.id, call.task?.id, wait, hold && { hold: hold.id })
  const headers = refusalHeaders(reason, 'application/problem+json')
  if (row.status === 407) headers.push('Proxy-Authenticate', 'Basic realm="sallyport"')
  if (typeof wait === 'number') headers.push('Retry-After', String(wait))
  else if (wait === undefined && (row.status === 429 || row.status === 503))
    headers.push('Retry-After', RETRY_AFTER_SECONDS)
  if (hold) headers.push(...holdHeaders(reason, hold.id))
  return { status: row.status, statusText: `Sallyport: ${reason}`, headers, body }
}

/** The same as bytes, for sockets that no HTTP server writes to; the connection closes behind it. */
export function formatAnswer(answer: Problem): string {
  let head = `HTTP/1.1 ${answer.status} ${answer.statusText}\r\n`
  for (let at = 0; at < answer.headers.length; at += 2)
    head += `${answer.headers[at]}: ${answer.headers[at + 1]}\r\n`
  return `${head}Content-Length: ${Buffer.byteLength(answer.body)}\r\nConnection: close\r\n\r\n${answer.body}`
}
