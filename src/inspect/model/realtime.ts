// OpenAI's realtime API over a WebSocket: tells it from the head of a handshake, and makes of its events what a record has of a
// question to a model and its answer. Deliberately blind to sounds. Pure; called by `understand/realtime.ts`.

import type { JsonValue } from '../fields.ts'
import { hasFewValues } from '../json-size.ts'
import type { JsonObject } from '../json-values.ts'
import type { ModelAnswerRead } from './answer.ts'
import type { ModelApi } from './api.ts'
import { countParts, type ModelMessage } from './messages.ts'
import { readItem } from './openai.ts'
import { isModelHost, readProvider } from './provider.ts'
import { MODEL_LENGTH_MAX, operationOf, type ModelRequest } from './request.ts'
import { asCount, asList, asObject, asText, listOf, memberOf, parseJson } from './shape.ts'

/** What is looked at of a handshake. */
export interface RealtimeHead {
  /** In normal form, without a port. */
  readonly host: string
  /** As sent, without the query. */
  readonly path: string
  /** As sent, without `?`. */
  readonly query: string | undefined
}

// `/v1/realtime`, and Azure's `/openai/realtime`.
const PATH = /\/(?:v1|openai)\/realtime\/?$/i
// Every other event is a piece of what one of these brings whole.
const FROM_CLIENT = /"(?:session\.update|conversation\.item\.create|response\.create)"/
const FROM_SERVER =
  /"(?:session\.(?:created|updated)|conversation\.created|conversation\.item\.input_audio_transcription\.completed|response\.done|error)"/
/** Names and ids that are listed, and characters of each. */
const LISTED_MAX = 64
const NAME_LENGTH_MAX = 256

/** The API that a handshake to a WebSocket asks for; undefined: another. */
export function recogniseRealtime({ host, path, query }: RealtimeHead): ModelApi | undefined {
  if (!PATH.test(path)) return undefined
  const parameters = new URLSearchParams(query ?? '')
  const model = parameters.get('model') ?? parameters.get('deployment')
  return {
    family: 'openai',
    endpoint: 'realtime',
    basis: 'path',
    provider: readProvider(host, 'openai'),
    isKnownHost: isModelHost(host),
    isPlain: true,
    ...(model !== null && model !== '' && { model }),
  }
}

/** What was said in one session, as it grows. */
export class RealtimeSession {
  readonly #api: ModelApi
  readonly #charactersMax: number
  #charactersLeft: number
  #model: string | undefined
  #sessionId: string | undefined
  readonly #responses: string[] = []
  readonly #finishReasons = new Set<string>()
  readonly #toolCalls: string[] = []
  readonly #serverTools = new Set<string>()
  readonly #said: ModelMessage[] = []
  readonly #answered: ModelMessage[] = []
  #inputTokens: number | undefined
  #outputTokens: number | undefined
  #maxTokens: number | undefined
  #errorType: string | undefined
  #isCut = false

  /** @param charactersMax of all events together whose words are kept */
  constructor(api: ModelApi, charactersMax: number) {
    this.#api = api
    this.#charactersMax = charactersMax
    this.#charactersLeft = charactersMax
  }

  /** The session's own id, as the server says it. */
  get sessionId(): string | undefined {
    return this.#sessionId
  }

  /** Ids of the responses, the first of them where they are many. */
  get responses(): readonly string[] {
    return this.#responses
  }

  /** Whether something was said that is not kept. */
  get isCut(): boolean {
    return this.#isCut
  }

  /** Takes an event of the client's. */
  takeAsked(text: string): void {
    const event = this.#read(text, FROM_CLIENT)
    const type = asText(memberOf(event, 'type'))
    if (type === 'conversation.item.create') {
      this.#say(this.#said, asObject(memberOf(event, 'item')), text.length)
      return
    }
    const settings = asObject(memberOf(event, type === 'session.update' ? 'session' : 'response'))
    if (settings === undefined) return
    this.#maxTokens = asCount(memberOf(settings, 'max_output_tokens')) ?? this.#maxTokens
    for (const tool of asList(memberOf(settings, 'tools')) ?? []) {
      const kind = asText(memberOf(asObject(tool), 'type'))
      if (kind !== undefined && kind !== 'function') addName(this.#serverTools, kind)
    }
    const instructions = asText(memberOf(settings, 'instructions'))
    if (instructions !== undefined)
      this.#say(
        this.#said,
        { type: 'message', role: 'system', content: instructions },
        instructions.length,
      )
    for (const item of asList(memberOf(settings, 'input')) ?? [])
      this.#say(this.#said, asObject(item), text.length)
  }

  /** Takes an event of the server's. */
  takeAnswered(text: string): void {
    const event = this.#read(text, FROM_SERVER)
    switch (asText(memberOf(event, 'type')) ?? '') {
      case 'session.created':
      case 'session.updated': {
        const session = asObject(memberOf(event, 'session'))
        this.#sessionId = named(memberOf(session, 'id')) ?? this.#sessionId
        this.#model = named(memberOf(session, 'model')) ?? this.#model
        break
      }
      case 'conversation.item.input_audio_transcription.completed': {
        const content = memberOf(event, 'transcript') ?? null
        this.#say(this.#said, { type: 'message', role: 'user', content }, text.length)
        break
      }
      case 'response.done':
        this.#end(asObject(memberOf(event, 'response')), text.length)
        break
      case 'error':
        this.#fail(asObject(memberOf(event, 'error')))
        break
      default:
    }
  }

  /** What was asked, all of it as one question. */
  question(): ModelRequest {
    const api = this.#api
    const operation = operationOf(api)
    const model = api.model ?? this.#model
    const maxTokens = this.#maxTokens
    return {
      api,
      subject: {
        operation,
        model,
        hasOutput: true,
        maxTokens,
        serverTools: [...this.#serverTools],
      },
      fields: {
        gen_ai: {
          operation: { name: operation },
          provider: { name: api.provider },
          request: {
            ...(model !== undefined && { model: model.slice(0, MODEL_LENGTH_MAX) }),
            ...(maxTokens !== undefined && { max_tokens: maxTokens }),
            stream: true,
          },
        },
      },
      prompt: this.#said,
      toolResults: countParts(this.#said, 'tool_call_response'),
      stream: true,
    }
  }

  /** What was answered, all of it as one answer. @param unread why not all of it was read */
  answer(unread: string | undefined): ModelAnswerRead {
    return {
      id: this.#responses.at(-1),
      model: this.#model,
      finishReasons: [...this.#finishReasons],
      inputTokens: this.#inputTokens,
      outputTokens: this.#outputTokens,
      messages: this.#answered,
      toolCalls: this.#toolCalls,
      isCut: this.#isCut,
      errorType: this.#errorType,
      unread,
    }
  }

  #read(text: string, wanted: RegExp): JsonObject | undefined {
    if (!wanted.test(text)) return undefined
    if (hasFewValues(text)) return asObject(parseJson(text))
    this.#isCut = true
    return undefined
  }

  #end(response: JsonObject | undefined, length: number): void {
    const id = named(memberOf(response, 'id'))
    if (id !== undefined && this.#responses.length < LISTED_MAX) this.#responses.push(id)
    const usage = asObject(memberOf(response, 'usage'))
    this.#inputTokens = sum(this.#inputTokens, asCount(memberOf(usage, 'input_tokens')))
    this.#outputTokens = sum(this.#outputTokens, asCount(memberOf(usage, 'output_tokens')))
    const details = asObject(memberOf(response, 'status_details'))
    const reason = named(memberOf(details, 'reason')) ?? named(memberOf(response, 'status'))
    if (reason !== undefined) addName(this.#finishReasons, reason)
    this.#fail(asObject(memberOf(details, 'error')))
    for (const item of asList(memberOf(response, 'output')) ?? []) {
      const made = asObject(item)
      if (asText(memberOf(made, 'type')) === 'function_call') {
        const name = named(memberOf(made, 'name'))
        if (name !== undefined && this.#toolCalls.length < LISTED_MAX) this.#toolCalls.push(name)
      }
      this.#say(this.#answered, made, length)
    }
  }

  #fail(error: JsonObject | undefined): void {
    const word = named(memberOf(error, 'code')) ?? named(memberOf(error, 'type'))
    if (word !== undefined) this.#errorType = word
  }

  #say(messages: ModelMessage[], item: JsonObject | undefined, length: number): void {
    if (item === undefined) return
    if (this.#charactersLeft < length || messages.length >= this.#charactersMax) {
      this.#isCut = true
      return
    }
    this.#charactersLeft -= length
    messages.push(readItem(withoutSound(item)))
  }
}

// A part that is sound has its words in it, or says no more than that it was one.
function withoutSound(item: JsonObject): JsonObject {
  const content = memberOf(item, 'content')
  if (content === undefined || typeof content === 'string') return item
  return { ...item, content: listOf(content).map((part) => silence(part)) }
}

function silence(part: JsonValue): JsonValue {
  const known = asObject(part)
  const type = asText(memberOf(known, 'type'))
  if (known === undefined || type?.endsWith('audio') !== true) return part
  const transcript = asText(memberOf(known, 'transcript'))
  return transcript === undefined ? { type } : { type: 'text', text: transcript }
}

function named(value: JsonValue | undefined): string | undefined {
  return asText(value)?.slice(0, NAME_LENGTH_MAX)
}

function addName(names: Set<string>, name: string): void {
  if (names.size < LISTED_MAX) names.add(name.slice(0, NAME_LENGTH_MAX))
}

function sum(one: number | undefined, other: number | undefined): number | undefined {
  return other === undefined ? one : (one ?? 0) + other
}
