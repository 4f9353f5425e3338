// Judges what a server says, message by message, and makes what the client gets of it: lists without what the task may not
// use, refusals in place of what it may not have. Deliberately knows no HTTP. Called by `exchange.ts`.

import type { Reason } from '../../errors.ts'
import type { JsonValue } from '../fields.ts'
import type { AnswerContext, McpJudge } from './judge.ts'
import { filterLists, hasLongList, hasResultTwins } from './lists.ts'
import {
  type McpMessage,
  type McpNotification,
  type McpRequest,
  type McpResponse,
  type MessageId,
  readInnerRequest,
  readMessages,
  refusal,
  UNASKED_SUBJECT,
  URL_ELICITATION_REQUIRED,
} from './messages.ts'
import { errorFor, type RefusalContext, refusedRequest } from './refusal.ts'
import { isObject, type JsonObject, own } from '../json-values.ts'

/** What the client gets of one body or one event. */
export interface FilteredMessages {
  /** Undefined where nothing is left. */
  readonly value: JsonValue | undefined
  /** False: its bytes may go on as they came. */
  readonly isChanged: boolean
}

/** Where the messages come from. */
export interface ServerMessagesOptions {
  readonly judge: McpJudge
  readonly context: RefusalContext
  /** The client's requests on this call. */
  readonly asked: ReadonlyMap<MessageId, McpRequest>
  /** Whether answers to other calls' requests come here: on the GET stream. */
  readonly carriesOtherAnswers: boolean
  /** Messages of one batch. */
  readonly batchMax: number
}

const INPUT_REQUESTS_MAX = 100

/** Judges and rewrites what a server says on one call. */
export class ServerMessages {
  readonly #options: ServerMessagesOptions

  constructor(options: ServerMessagesOptions) {
    this.#options = options
  }

  /** @throws response-malformed where it is no JSON-RPC message, and what the judge throws */
  filter(value: JsonValue): FilteredMessages {
    const { messages, isBatch } = readMessages(value, 'to-client', this.#options.batchMax)
    const kept: JsonValue[] = []
    let isChanged = false
    for (const message of messages) {
      const passed = this.#filterMessage(message)
      if (passed !== message.value) isChanged = true
      if (passed !== undefined) kept.push(passed)
    }
    if (kept.length === 0) return { value: undefined, isChanged }
    return { value: isBatch ? kept : kept[0], isChanged }
  }

  #filterMessage(message: McpMessage): JsonValue | undefined {
    if (message.kind === 'request') {
      const reason = this.#options.judge.judge(message, {})
      return reason === 'allowed' ? message.value : refusedRequest(message, reason)
    }
    return message.kind === 'notification'
      ? this.#filterNotification(message)
      : this.#filterResponse(message)
  }

  #filterNotification(message: McpNotification): JsonValue | undefined {
    if (this.#options.judge.judge(message, {}) !== 'allowed') return undefined
    // A task that waits for input says so, with what it asks for.
    const reason = message.params ? this.#judgeInner(message.params, {}) : 'allowed'
    return reason === 'allowed' ? message.value : undefined
  }

  #filterResponse(message: McpResponse): JsonValue | undefined {
    const { judge, context } = this.#options
    if (message.result && hasLongList(message.result)) throw refusal('to-client', 'list size')
    const answered = this.#findRequest(message)
    if (answered === undefined) {
      const unasked = { ...message, subject: UNASKED_SUBJECT, subjects: [UNASKED_SUBJECT] }
      if (judge.judge(unasked, {}) !== 'allowed') return undefined
    } else {
      const reason = judge.judge(message, answered)
      if (reason !== 'allowed') return errorFor(message.id, reason, context)
    }
    const about = answered ?? {}
    const reason = this.#judgeContent(message, about)
    if (reason !== 'allowed') return errorFor(message.id, reason, context)
    if (message.result === undefined) return message.value
    const result = filterLists(message.result, about.method, judge)
    return result === message.result ? message.value : { ...message.value, result }
  }

  // Undefined: nobody asked for it here. An error without an id says that a message could not be read.
  #findRequest({ id }: McpResponse): AnswerContext | undefined {
    if (id === null) return {}
    const request = this.#options.asked.get(id)
    if (request) return { request, method: request.method }
    if (!this.#options.carriesOtherAnswers) return undefined
    const method = this.#options.judge.methodOf(id)
    return method === undefined ? {} : { method }
  }

  #judgeContent({ result, error }: McpResponse, about: AnswerContext): Reason {
    if (result) {
      if (hasResultTwins(result)) return 'response-malformed'
      return this.#judgeInner(result, about)
    }
    if (!error || own(error, 'code') !== URL_ELICITATION_REQUIRED) return 'allowed'
    const params = own(error, 'data') ?? {}
    if (!isObject(params)) return 'response-malformed'
    return this.#judgeRequests([['url', { method: 'elicitation/create', params }]], about)
  }

  #judgeInner(holder: JsonObject, about: AnswerContext): Reason {
    if (!Object.hasOwn(holder, 'inputRequests')) return 'allowed'
    const requests = own(holder, 'inputRequests')
    if (!isObject(requests)) throw refusal('to-client', 'inputRequests')
    return this.#judgeRequests(Object.entries(requests), about)
  }

  // All are judged, so that each is on record.
  #judgeRequests(
    requests: readonly (readonly [string, JsonValue])[],
    about: AnswerContext,
  ): Reason {
    if (requests.length > INPUT_REQUESTS_MAX) throw refusal('to-client', 'inputRequests')
    const outcomes = requests
      .map(([key, value]) => readInnerRequest(key, value))
      .map((request) => this.#options.judge.judge(request, about))
    return outcomes.find((reason) => reason !== 'allowed') ?? 'allowed'
  }
}
