// What a client or a server gets in place of a message that is refused: JSON-RPC, with the problem that every refusal has.
// Deliberately says nothing of rules. Called by `understand/mcp.ts` and, inside answers, by
// `server-messages.ts`.

import { type EgressError, REASONS, type Reason, type Wait } from '../../errors.ts'
import type { RawHeaders } from '../../wire/body.ts'
import { adviceFor, problemBody, refusalHeaders } from '../../wire/proxy-status.ts'
import type { JsonValue } from '../fields.ts'
import type { McpMessage, McpRequest, MessageId } from './messages.ts'

/** Whose refusal it is. */
export interface RefusalContext {
  readonly callId: string
  readonly taskId: string | undefined
  /** The messages were posted to an endpoint of the old transport, whose clients read the status and no body. */
  readonly isOldTransport?: boolean
  /** Id of the hold that a person is asked about. */
  readonly hold?: string
  /** How long there is to wait, where it is known. */
  readonly wait?: Wait | undefined
}

/** A refusal as an HTTP answer. */
export interface McpAnswer {
  readonly status: number
  readonly statusText: string
  /** Without framing. */
  readonly headers: RawHeaders
  readonly body: string
}

const REFUSED = -32050
const PARSE_ERROR = -32700
const INVALID_REQUEST = -32600
const HEADER_MISMATCH = -32020
const BATCH_REFUSED =
  'Sallyport: another message of the batch is not allowed, so none was sent. Send this one by itself.'

/**
 * The answer to messages of which at least one is refused; none of them is sent.
 * @param outcomes one for each message, `allowed` for those that are
 */
export function refuseMcp(
  messages: readonly McpMessage[],
  outcomes: readonly Reason[],
  isBatch: boolean,
  context: RefusalContext,
): McpAnswer {
  const reason = outcomes.find((outcome) => outcome !== 'allowed') ?? 'internal'
  const errors = messages.flatMap((message, at) =>
    message.kind === 'request' ? [answerOne(message.id, outcomes[at] ?? reason, context)] : [],
  )
  const [first] = errors
  const status = REASONS[reason].status === 429 ? 429 : 403
  if (first === undefined) return toAnswer(reason, status, errorFor(null, reason, context))
  return toAnswer(reason, context.isOldTransport ? status : 200, isBatch ? errors : first)
}

/**
 * The answer to a body that could not be read, or whose headers do not agree with it.
 * @param id of the one request in it, where it could be read
 * @param isJson whether the body is JSON at least
 */
export function refuseUnread(
  error: EgressError,
  id: MessageId | null,
  isJson: boolean,
  context: RefusalContext,
): McpAnswer {
  const { reason } = error
  let code = REFUSED
  if (reason === 'mcp-header-mismatch') code = HEADER_MISMATCH
  else if (reason === 'malformed-body') code = isJson ? INVALID_REQUEST : PARSE_ERROR
  return toAnswer(reason, REASONS[reason].status, errorFor(id, reason, context, code))
}

/** The JSON-RPC error that a client gets for one request. */
export function errorFor(
  id: MessageId | null,
  reason: Reason,
  { callId, taskId, wait, hold }: RefusalContext,
  code: number = REFUSED,
): JsonValue {
  const extension = hold === undefined ? {} : { hold }
  const data: JsonValue = JSON.parse(problemBody(reason, callId, taskId, wait, extension))
  return { jsonrpc: '2.0', id, error: { code, message: textOf(reason, wait), data } }
}

/** What a client gets in place of a server's request: one that it answers with an error, by which the server learns of it. */
export function refusedRequest({ id, method }: McpRequest, reason: Reason): JsonValue {
  const params = { reason, method, remedy: REASONS[reason].remedy }
  return { jsonrpc: '2.0', id, method: 'sallyport/refused', params }
}

function answerOne(id: MessageId, outcome: Reason, context: RefusalContext): JsonValue {
  return outcome === 'allowed'
    ? { jsonrpc: '2.0', id, error: { code: REFUSED, message: BATCH_REFUSED } }
    : errorFor(id, outcome, context)
}

function textOf(reason: Reason, wait: Wait | undefined): string {
  const { remedy, retryAfter } = adviceFor(reason, wait)
  const seconds = retryAfter === undefined ? '' : ` Retry after ${retryAfter} s.`
  return `Sallyport: ${reason}: ${REASONS[reason].title}. ${remedy}${seconds}`
}

function toAnswer(reason: Reason, status: number, body: JsonValue): McpAnswer {
  return {
    status,
    statusText: `Sallyport: ${reason}`,
    headers: refusalHeaders(reason, 'application/json'),
    body: `${JSON.stringify(body)}\n`,
  }
}
