// Reads a model's answer while it flows on untouched: for the record alone, so nothing here fails or waits. Deliberately
// bounded: what is beyond is not kept, and the record says so. Made by
// `understand/model.ts`, which pushes what passes by.

import { Buffer } from 'node:buffer'
import {
  brotliDecompressSync,
  constants,
  gunzipSync,
  inflateSync,
  zstdDecompressSync,
} from 'node:zlib'

import type { RawHeaders } from '../../wire/body.ts'
import { valuesOf } from '../../wire/headers.ts'
import { hasFewValues } from '../json-size.ts'
import { AnswerDraft } from './answer-draft.ts'
import { readAnthropicAnswer, readResponsesAnswer } from './answer-read-events.ts'
import {
  readAnswerError,
  readChatAnswer,
  readGeminiAnswer,
  readOllamaAnswer,
} from './answer-read.ts'
import { EventSplitter, ValueSplitter, type AnswerSplitter } from './answer-split.ts'
import type { ModelApi } from './api.ts'
import type { ModelMessage } from './messages.ts'
import type { JsonObject } from '../json-values.ts'
import { asObject, parseJson } from './shape.ts'

/** What an answer said. */
export interface ModelAnswerRead {
  readonly id: string | undefined
  readonly model: string | undefined
  readonly finishReasons: readonly string[]
  readonly inputTokens: number | undefined
  readonly outputTokens: number | undefined
  /** In the normal form, reasoning left out. */
  readonly messages: readonly ModelMessage[]
  /** Tools that the client is asked to call, by name, each as often as it is asked for. */
  readonly toolCalls: readonly string[]
  /** Texts were cut. */
  readonly isCut: boolean
  /** The API's word for what went wrong, otherwise the status. */
  readonly errorType: string | undefined
  /** Why not all of it was read: `encoded`, `format`, `malformed`, `incomplete`, `too-large`. */
  readonly unread: string | undefined
}

type Decoder = (bytes: Uint8Array, bytesMax: number) => Uint8Array
// What broke off is decoded as far as it goes.
const gunzip: Decoder = (bytes, bytesMax) =>
  gunzipSync(bytes, { maxOutputLength: bytesMax, finishFlush: constants.Z_SYNC_FLUSH })
const DECODERS: ReadonlyMap<string, Decoder> = new Map([
  ['gzip', gunzip],
  ['x-gzip', gunzip],
  [
    'deflate',
    (bytes, bytesMax) =>
      inflateSync(bytes, { maxOutputLength: bytesMax, finishFlush: constants.Z_SYNC_FLUSH }),
  ],
  [
    'br',
    (bytes, bytesMax) =>
      brotliDecompressSync(bytes, {
        maxOutputLength: bytesMax,
        finishFlush: constants.BROTLI_OPERATION_FLUSH,
      }),
  ],
  [
    'zstd',
    (bytes, bytesMax) =>
      zstdDecompressSync(bytes, {
        maxOutputLength: bytesMax,
        finishFlush: constants.ZSTD_e_flush,
      }),
  ],
])

/** One answer, read as it passes. */
export class ModelAnswer {
  readonly #api: ModelApi
  readonly #status: number
  readonly #bytesMax: number
  readonly #coding: string
  readonly #draft: AnswerDraft
  readonly #decoder = new TextDecoder()
  #splitter: AnswerSplitter | undefined
  #unread: string | undefined
  #encoded: Uint8Array[] = []
  #encodedBytes = 0
  #goodValues = 0
  #badValues = 0

  /**
   * @param api settled, as `readModelRequest` gives it
   * @param bytesMax of texts that are kept, of one event, and of an answer in a content coding
   */
  constructor(
    api: ModelApi,
    head: { readonly status: number; readonly headers: RawHeaders },
    bytesMax: number,
  ) {
    this.#api = api
    this.#status = head.status
    this.#bytesMax = bytesMax
    this.#draft = new AnswerDraft(bytesMax)
    const codings = valuesOf(head.headers, 'content-encoding').join(',').toLowerCase().trim()
    this.#coding = codings === 'identity' ? '' : codings
    if (this.#coding !== '' && !DECODERS.has(this.#coding)) this.#unread = 'encoded'
  }

  /** Takes the next bytes of the body; they are not changed and not held beyond the bound. */
  push(chunk: Uint8Array): void {
    if (this.#unread !== undefined) return
    if (this.#coding === '') this.#take(this.#decoder.decode(chunk, { stream: true }))
    else this.#hold(chunk)
  }

  /** Says what was read; nothing is to be pushed after it. */
  end(): ModelAnswerRead {
    this.#decode()
    if (this.#unread === undefined) this.#take(this.#decoder.decode())
    const badBefore = this.#badValues
    this.#splitter?.end()
    if (this.#splitter?.isCut === true) this.#unread ??= 'too-large'
    if (this.#badValues > badBefore) this.#unread ??= 'incomplete'
    if (this.#badValues > 0 || (this.#splitter && this.#goodValues === 0))
      this.#unread ??= 'malformed'
    const draft = this.#draft
    return {
      id: draft.id,
      model: draft.model,
      finishReasons: draft.finishReasons(),
      inputTokens: draft.inputTokens,
      outputTokens: draft.outputTokens,
      messages: draft.messages(),
      toolCalls: draft.toolCalls(),
      isCut: draft.isCut,
      errorType: draft.errorType ?? (this.#status >= 400 ? String(this.#status) : undefined),
      unread: this.#unread,
    }
  }

  #hold(chunk: Uint8Array): void {
    this.#encodedBytes += chunk.byteLength
    if (this.#encodedBytes > this.#bytesMax) {
      this.#unread = 'too-large'
      this.#encoded = []
    } else this.#encoded.push(Uint8Array.from(chunk))
  }

  #decode(): void {
    const decode = DECODERS.get(this.#coding)
    if (!decode || this.#unread !== undefined) return
    try {
      const bytes = decode(Buffer.concat(this.#encoded), this.#bytesMax)
      this.#take(this.#decoder.decode(bytes, { stream: true }))
    } catch (error) {
      const isTooLarge = error instanceof RangeError && 'code' in error
      this.#unread = isTooLarge ? 'too-large' : 'encoded'
    } finally {
      this.#encoded = []
    }
  }

  // What the first character says holds, whatever the content type claims.
  #take(text: string): void {
    if (this.#splitter === undefined) {
      const first = /\S/.exec(text)?.[0]
      if (first === undefined) return
      if (first === '{' || first === '[')
        this.#splitter = new ValueSplitter(this.#bytesMax, (value) => this.#read(value))
      else if (/[deir:]/.test(first))
        this.#splitter = new EventSplitter(this.#bytesMax, (data) => this.#read(data))
      else {
        this.#unread = 'format'
        return
      }
    }
    this.#splitter.push(text)
  }

  #read(text: string): void {
    if (text === '[DONE]') return
    if (!hasFewValues(text)) {
      this.#unread ??= 'too-large'
      return
    }
    const value = asObject(parseJson(text))
    if (value === undefined) {
      this.#badValues += 1
      return
    }
    this.#goodValues += 1
    readAnswerError(value, this.#draft)
    this.#readValue(value)
  }

  #readValue(value: JsonObject): void {
    const draft = this.#draft
    switch (this.#api.family) {
      case 'openai':
        if (this.#api.endpoint.startsWith('responses')) readResponsesAnswer(value, draft)
        else readChatAnswer(value, draft)
        break
      case 'anthropic':
        readAnthropicAnswer(value, draft)
        break
      case 'gemini':
        readGeminiAnswer(value, draft)
        break
      case 'ollama':
        readOllamaAnswer(value, draft)
        break
    }
  }
}
