// Reads JSON-RPC messages as MCP has them, each with what rules see of it. Strict: what two readers could take for different
// messages is refused. Deliberately no judgement and no HTTP. Called by `exchange.ts` for both directions.

import { EgressError } from '../../errors.ts'
import { DEFAULT_LIMITS } from '../../limits.ts'
import type { McpSubject } from '../../policy/subject.ts'
import type { JsonValue } from '../fields.ts'
import { type Direction, findMethod, isMethodTwin } from './methods.ts'
import { readSubjects, URI_LENGTH_MAX } from './subjects.ts'
import { isList, isObject, type JsonObject, own } from '../json-values.ts'
import { isPrintable } from './values.ts'

/** How a request is told from another. */
export type MessageId = string | number

interface MessageBase {
  readonly direction: Direction
  /** As it was read, for writing it again. */
  readonly value: JsonObject
  /** What rules see of it: the first of `subjects`. */
  readonly subject: McpSubject
  /** All that must be allowed for it to pass; never empty. */
  readonly subjects: readonly McpSubject[]
}

/** Asks for an answer. */
export interface McpRequest extends MessageBase {
  readonly kind: 'request'
  readonly id: MessageId
  readonly method: string
  readonly params: JsonObject | undefined
}

/** Is not answered. */
export interface McpNotification extends MessageBase {
  readonly kind: 'notification'
  readonly method: string
  readonly params: JsonObject | undefined
}

/** Answers a request; exactly one of `result` and `error` is there. */
export interface McpResponse extends MessageBase {
  readonly kind: 'response'
  /** Null only where `error` says that the request's id was not understood. */
  readonly id: MessageId | null
  readonly result: JsonObject | undefined
  readonly error: JsonObject | undefined
}

/** One message, either way. */
export type McpMessage = McpRequest | McpNotification | McpResponse

/** What one body or one event says. */
export interface McpMessages {
  /** Never empty. */
  readonly messages: readonly McpMessage[]
  readonly isBatch: boolean
}

/** What rules see of the HTTP request around messages, and of an answer to something that was asked for. */
export const SESSION_SUBJECT: McpSubject = { kind: 'session', method: '' }
/** What rules see of an answer that nobody asked for. */
export const UNASKED_SUBJECT: McpSubject = { kind: 'other', method: '' }

/** An error of 2025-11-25: the client is to send its user to a URL, which is elicitation by another way. */
export const URL_ELICITATION_REQUIRED: number = -32042

const ID_LENGTH_MAX = 256
const METHOD = /^[\x21-\x7e]{1,128}$/

const REQUEST_KEYS: ReadonlySet<string> = new Set(['jsonrpc', 'id', 'method', 'params'])
const RESPONSE_KEYS: ReadonlySet<string> = new Set(['jsonrpc', 'id', 'result', 'error'])

/**
 * Reads one message or a batch of them.
 * @param batchMax messages of one batch
 * @throws malformed-body, or response-malformed where it comes from the server; `part` says where
 */
export function readMessages(
  value: JsonValue,
  direction: Direction,
  batchMax: number = DEFAULT_LIMITS.mcpBatchMax,
): McpMessages {
  if (!isList(value)) return { messages: [readMessage(value, direction)], isBatch: false }
  if (value.length === 0 || value.length > batchMax) throw refusal(direction, 'batch')
  const messages = value.map((member) => readMessage(member, direction))
  const ids = new Set<string>()
  for (const message of messages) {
    if (message.kind === 'notification' || message.id === null) continue
    // Somebody keeps requests by the text of their ids.
    const key = `${message.kind} ${message.id}`
    if (ids.has(key)) throw refusal(direction, 'repeated id')
    ids.add(key)
  }
  return { messages, isBatch: true }
}

/**
 * Reads a request that stands inside a result or a notification, as multi round trip requests do: it has no JSON-RPC members.
 * @throws response-malformed
 */
export function readInnerRequest(id: string, value: JsonValue): McpRequest {
  if (!isObject(value)) throw refusal('to-client', 'input request')
  const unknown = Object.keys(value).find((key) => !REQUEST_KEYS.has(key))
  if (unknown !== undefined) throw refusal('to-client', 'input request')
  const call = readCall(value, 'to-client', 'request')
  return { kind: 'request', id, ...call }
}

/** What is remembered of a request while its answer is awaited: what it is and what it names, nothing of what it says. */
export function outlineRequest({ id, method, params = {} }: McpRequest): McpRequest {
  const named: [string, JsonValue][] = []
  for (const key of ['name', 'uri']) {
    const value = own(params, key)
    if (typeof value === 'string' && value.length <= URI_LENGTH_MAX) named.push([key, value])
  }
  return {
    kind: 'request',
    direction: 'to-server',
    id,
    method,
    params: Object.fromEntries(named),
    value: {},
    subject: SESSION_SUBJECT,
    subjects: [SESSION_SUBJECT],
  }
}

/** What is remembered of a message that has been judged and is on record. */
export function outlineMessage(message: McpMessage): McpMessage {
  if (message.kind === 'request') return outlineRequest(message)
  const outline = { value: {}, subject: SESSION_SUBJECT, subjects: [SESSION_SUBJECT] }
  return message.kind === 'notification'
    ? { ...message, ...outline, params: undefined }
    : { ...message, ...outline, result: undefined, error: undefined }
}

/** The id of what may be a request, where it can be read; null where it cannot. */
export function readableId(value: JsonValue): MessageId | null {
  if (!isObject(value) || !Object.hasOwn(value, 'method')) return null
  const id = own(value, 'id')
  return isId(id) ? id : null
}

/** The error for bytes that are not what they should be, by who sent them. */
export function refusal(direction: Direction, part: string): EgressError {
  return new EgressError(direction === 'to-server' ? 'malformed-body' : 'response-malformed', {
    part,
  })
}

function readMessage(value: JsonValue, direction: Direction): McpMessage {
  if (!isObject(value)) throw refusal(direction, 'message')
  if (own(value, 'jsonrpc') !== '2.0') throw refusal(direction, 'jsonrpc')
  const keys = Object.hasOwn(value, 'method') ? REQUEST_KEYS : RESPONSE_KEYS
  if (Object.keys(value).some((key) => !keys.has(key))) throw refusal(direction, 'key')
  if (keys === RESPONSE_KEYS) return readResponse(value, direction)
  if (!Object.hasOwn(value, 'id'))
    return { kind: 'notification', ...readCall(value, direction, 'notification') }
  const id = own(value, 'id')
  if (!isId(id)) throw refusal(direction, 'id')
  return { kind: 'request', id, ...readCall(value, direction, 'request') }
}

interface MethodCall extends MessageBase {
  readonly method: string
  readonly params: JsonObject | undefined
}

function readCall(
  value: JsonObject,
  direction: Direction,
  kind: 'request' | 'notification',
): MethodCall {
  const method = own(value, 'method')
  if (typeof method !== 'string' || !METHOD.test(method) || isMethodTwin(method))
    throw refusal(direction, 'method')
  const params = own(value, 'params')
  if (Object.hasOwn(value, 'params') && !isObject(params)) throw refusal(direction, 'params')
  const members = isObject(params) ? params : undefined
  const row = findMethod(direction, kind, method)
  const subjects = readSubjects(method, row, members, (part) => refusal(direction, part))
  return { direction, value, method, params: members, subject: subjects[0]!, subjects }
}

function readResponse(value: JsonObject, direction: Direction): McpResponse {
  const result = own(value, 'result')
  const error = own(value, 'error')
  const hasResult = Object.hasOwn(value, 'result')
  if (hasResult === Object.hasOwn(value, 'error')) throw refusal(direction, 'response')
  if (hasResult ? !isObject(result) : !isErrorObject(error)) throw refusal(direction, 'response')
  // Servers leave out the id of a request that they could not read, or say null.
  const id = own(value, 'id') ?? null
  if (!isId(id) && (hasResult || id !== null)) throw refusal(direction, 'id')
  return {
    kind: 'response',
    direction,
    value,
    id,
    result: isObject(result) ? result : undefined,
    error: isObject(error) ? error : undefined,
    subject: SESSION_SUBJECT,
    subjects: [SESSION_SUBJECT],
  }
}

function isErrorObject(value: JsonValue | undefined): boolean {
  return (
    isObject(value) &&
    Number.isSafeInteger(own(value, 'code')) &&
    typeof own(value, 'message') === 'string'
  )
}

function isId(value: JsonValue | undefined): value is MessageId {
  if (typeof value === 'number') return Number.isSafeInteger(value)
  return (
    typeof value === 'string' &&
    value.length > 0 &&
    value.length <= ID_LENGTH_MAX &&
    isPrintable(value)
  )
}
