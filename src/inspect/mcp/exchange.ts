// One HTTP call of MCP, by either transport and any revision: reads what the client says, and makes of the server's answer
// what the client may have. Deliberately decides nothing and sends nothing: the judge decides, `understand/mcp.ts`
// drives.

import { Buffer } from 'node:buffer'

import { EgressError } from '../../errors.ts'
import type { Limits } from '../../limits.ts'
import type { Body, RawHeaders } from '../../wire/body.ts'
import type { JsonValue } from '../fields.ts'
import { readJson } from '../json.ts'
import { EventBody, readWhole, WholeBody } from './bodies.ts'
import { isIdentityCoded, mayBeJson, mediaKind, mentionsEvents } from './content-type.ts'
import { readEndpoint } from './endpoint.ts'
import { filterFailure } from './failures.ts'
import {
  askedVersion,
  checkMcpHeaders,
  claimedVersion,
  type DefinitionOf,
  readMcpHeaders,
} from './headers.ts'
import { withoutFields } from './head.ts'
import type { McpJudge } from './judge.ts'
import {
  type McpMessages,
  type McpRequest,
  type MessageId,
  outlineRequest,
  readableId,
  readMessages,
} from './messages.ts'
import { type McpAnswer, type RefusalContext, refuseUnread } from './refusal.ts'
import { ServerMessages } from './server-messages.ts'
import type { SseEvent } from './sse.ts'
import { formatEvent } from './sse-format.ts'

/** The head of a call, as far as MCP minds it. */
interface McpCallHead {
  readonly method: string
  /** Such as `https://mcp.example.com`. */
  readonly origin: string
  readonly path: string
  readonly headers: RawHeaders
}

/** What an exchange needs. */
export interface McpExchangeOptions {
  readonly request: McpCallHead
  readonly judge: McpJudge
  readonly definitionOf: DefinitionOf
  readonly context: RefusalContext
  readonly bounds: Pick<Limits, 'mcpBatchMax' | 'messageBytesMax'>
  /** Told how many bytes of the answer are kept by now; it may throw to break the answer off. */
  readonly onKept?: (bytes: number) => void
}

/** An answer as the client gets it. */
export interface FilteredResponse {
  /** Without Content-Length. */
  readonly headers: RawHeaders
  readonly body: Body
  /** Undefined: known only at the end. */
  readonly length: number | undefined
}

const NOTHING = (): void => undefined
const NOT_KEPT: ReadonlySet<string> = new Set(['content-length'])
// They speak of the bytes that the server sent.
const OF_BYTES: ReadonlySet<string> = new Set([
  'content-length',
  'content-encoding',
  'content-digest',
  'repr-digest',
  'digest',
  'content-md5',
  'etag',
])

/** One call: `readRequest` first, then `filterResponse`, each once. */
export class McpExchange {
  readonly #options: McpExchangeOptions
  readonly #asked = new Map<MessageId, McpRequest>()
  #version: string | undefined
  #sessionId: string | undefined
  #isJson = false
  #readableId: MessageId | null = null

  constructor(options: McpExchangeOptions) {
    this.#options = options
  }

  /** The protocol version that the call names; known once the request was read. */
  get protocolVersion(): string | undefined {
    return this.#version
  }

  /** The session that the call names; known once the request was read. */
  get sessionId(): string | undefined {
    return this.#sessionId
  }

  /**
   * Reads what the client says.
   * @param bytes all of the body
   * @throws malformed-body, mcp-header-mismatch; `refuseRead` has the answer to it
   */
  readRequest(bytes: Uint8Array): McpMessages {
    const { request, definitionOf } = this.#options
    const headers = readMcpHeaders(request.headers)
    this.#version = headers.protocolVersion
    this.#sessionId = headers.sessionId
    if (request.method !== 'POST') {
      if (bytes.length > 0) throw new EgressError('malformed-body', { part: 'body' })
      checkMcpHeaders(request.headers, [], false, definitionOf)
      return { messages: [], isBatch: false }
    }
    const read = this.#readPosted(bytes)
    checkMcpHeaders(request.headers, read.messages, read.isBatch, definitionOf)
    for (const message of read.messages) {
      this.#version ??= claimedVersion(message) ?? askedVersion(message)
      if (message.kind === 'request') this.#asked.set(message.id, outlineRequest(message))
    }
    return read
  }

  /** The answer where `readRequest` refused. */
  refuseRead(error: EgressError): McpAnswer {
    return refuseUnread(error, this.#readableId, this.#isJson, this.#options.context)
  }

  /**
   * The answer as the client may have it; of an event stream, each event as it comes.
   * @param response as it came, its framing read already
   * @throws response-malformed where it is no answer of MCP, and what broke the body off; the body is aborted then
   */
  async filterResponse(
    response: { readonly status: number; readonly headers: RawHeaders },
    body: Body,
  ): Promise<FilteredResponse> {
    try {
      return await this.#filterResponse(response, body)
    } catch (error) {
      if (error instanceof Error) body.abort(error)
      throw error
    }
  }

  #readPosted(bytes: Uint8Array): McpMessages {
    const { headers } = this.#options.request
    if (mediaKind(headers) !== 'json')
      throw new EgressError('malformed-body', { part: 'content-type' })
    if (!isIdentityCoded(headers))
      throw new EgressError('malformed-body', { part: 'content-encoding' })
    const value = readJson(bytes)
    this.#isJson = true
    this.#readableId = readableId(value)
    return readMessages(value, 'to-server', this.#options.bounds.mcpBatchMax)
  }

  async #filterResponse(
    { status, headers }: { readonly status: number; readonly headers: RawHeaders },
    body: Body,
  ): Promise<FilteredResponse> {
    if (status < 200) throw malformed('status')
    const kind = mediaKind(headers)
    const isSuccess = status < 300
    const carriesEvents = kind === 'events' || mentionsEvents(headers)
    if (!isSuccess && !carriesEvents && body.length !== 0 && mayBeJson(headers))
      return this.#filterFailure(headers, body)
    if (!carriesEvents && (!isSuccess || this.#mayPassUnread(status, kind, body)))
      return { headers: withoutFields(headers, NOT_KEPT), body, length: body.length }
    if (!isIdentityCoded(headers)) throw malformed('content-encoding')
    if (kind === 'events') return this.#filterEvents(headers, body)
    if (kind === 'json') return this.#filterJson(headers, body)
    // Nothing but nothing has no type.
    if (kind === 'none' && (await readWhole(body, 0, NOTHING)).length === 0)
      return wholeResponse(headers, new Uint8Array(), body)
    throw malformed('content-type')
  }

  // The clients of the old transport are told `Accepted`, in whatever type; no client reads what answers a DELETE.
  #mayPassUnread(status: number, kind: string, body: Body): boolean {
    if (body.length === 0 || status === 204) return true
    if (kind === 'json') return false
    return status === 202 || this.#options.request.method === 'DELETE'
  }

  #filterEvents(headers: RawHeaders, body: Body): FilteredResponse {
    const messages = this.#readServer()
    const { bounds, onKept = NOTHING } = this.#options
    const filter = (event: SseEvent): Uint8Array | undefined => this.#filterEvent(event, messages)
    const filtered = new EventBody(body, bounds.messageBytesMax, filter, onKept)
    return { headers: withoutFields(headers, OF_BYTES), body: filtered, length: undefined }
  }

  #filterEvent(event: SseEvent, messages: ServerMessages): Uint8Array | undefined {
    const { type = 'message', data } = event
    if (data === undefined || data.length === 0) return event.bytes
    if (type === 'endpoint' && this.#options.request.method === 'GET') {
      this.#noteEndpoint(Buffer.from(data).toString())
      return event.bytes
    }
    // No client of ours acts on other types; those that do would act on what was not judged.
    if (type !== 'message' && type !== '') return undefined
    const { value, isChanged } = messages.filter(readServerJson(data))
    if (!isChanged) return event.bytes
    if (value === undefined) return undefined
    return formatEvent({ ...event, data: Buffer.from(JSON.stringify(value)) })
  }

  #noteEndpoint(data: string): void {
    const { judge, request } = this.#options
    const { path, query } = readEndpoint(data, request.origin, request.path)
    judge.noteEndpoint(path, query)
  }

  async #filterJson(headers: RawHeaders, body: Body): Promise<FilteredResponse> {
    const bytes = await this.#readBody(body)
    if (bytes.length === 0) return wholeResponse(headers, bytes, body)
    const { value, isChanged } = this.#readServer().filter(readServerJson(bytes))
    // Who asked would wait for ever.
    if (value === undefined && this.#asked.size > 0) throw malformed('no answer')
    const text = isChanged ? Buffer.from(value === undefined ? '' : JSON.stringify(value)) : bytes
    return wholeResponse(headers, text, body, isChanged)
  }

  // Clients show what is wrong; those that do not look at the status read an answer in it.
  async #filterFailure(headers: RawHeaders, body: Body): Promise<FilteredResponse> {
    const bytes = await this.#readBody(body)
    const shown = filterFailure(headers, bytes, (value) => this.#readServer().filter(value))
    return wholeResponse(headers, shown, body, shown !== bytes)
  }

  #readBody(body: Body): Promise<Uint8Array> {
    const { bounds, onKept = NOTHING } = this.#options
    return readWhole(body, bounds.messageBytesMax, onKept)
  }

  #readServer(): ServerMessages {
    const { judge, context, request, bounds } = this.#options
    return new ServerMessages({
      judge,
      context,
      asked: this.#asked,
      carriesOtherAnswers: request.method === 'GET',
      batchMax: bounds.mcpBatchMax,
    })
  }
}

function readServerJson(bytes: Uint8Array): JsonValue {
  try {
    return readJson(bytes)
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    throw new EgressError('response-malformed', error.detail, { cause: error })
  }
}

function wholeResponse(
  headers: RawHeaders,
  bytes: Uint8Array,
  { trailers }: Body,
  isChanged = false,
): FilteredResponse {
  return {
    headers: withoutFields(headers, isChanged ? OF_BYTES : NOT_KEPT),
    body: new WholeBody(bytes, trailers),
    length: bytes.length,
  }
}

function malformed(part: string): EgressError {
  return new EgressError('response-malformed', { part })
}
