// What comes back: undici's events turned into a response head and a pulled body, with back-pressure and strict framing.
// Made by `forward/request.ts`, one a request sent.

import type { Dispatcher } from 'undici'

import type { UpstreamResponse } from '../call.ts'
import { EgressError } from '../errors.ts'
import type { Body, RawHeaders } from '../wire/body.ts'
import { responseFraming, stripResponseHead } from '../wire/headers.ts'

/** What the handler of one exchange is told about it. */
export interface ExchangeOptions {
  readonly method: string
  /** Bytes kept before the upstream is paused. */
  readonly bufferBytesMax: number
  readonly onInformational: (status: number, headers: RawHeaders) => void
  readonly onHead: (response: UpstreamResponse) => void
  /** Called once, when the exchange is over; the error where it broke off. */
  readonly onOver: (error: Error | undefined) => void
}

const NOTHING = (): void => undefined

/** One response as it arrives: undici's handler on one side, a Body on the other. */
export class ResponseReader implements Dispatcher.DispatchHandler, Body {
  length: number | undefined
  trailers: RawHeaders = []
  readonly #options: ExchangeOptions
  #controller: Dispatcher.DispatchController | undefined
  readonly #chunks: Uint8Array[] = []
  #queuedBytes = 0
  #state: 'waiting' | 'body' | 'ended' | 'failed' = 'waiting'
  #error: Error | undefined
  #wake: () => void = NOTHING
  #over = false

  constructor(options: ExchangeOptions) {
    this.#options = options
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#error) controller.abort(this.#error)
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    _headers: unknown,
    statusText?: string,
  ): void {
    const headers = toLatin1(controller.rawHeaders)
    if (status < 200) {
      this.#options.onInformational(status, stripResponseHead(headers))
      return
    }
    const framing = responseFraming(headers, status, this.#options.method)
    this.length =
      framing.kind === 'length' ? framing.length : framing.kind === 'none' ? 0 : undefined
    this.#state = 'body'
    this.#options.onHead({
      status,
      statusText: printable(statusText),
      headers: stripResponseHead(headers),
      body: this,
    })
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#queuedBytes += chunk.length
    if (this.#queuedBytes > this.#options.bufferBytesMax) controller.pause()
    this.#notify()
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    this.trailers = toLatin1(controller.rawTrailers)
    this.#over = true
    if (this.#state !== 'failed') this.#state = 'ended'
    this.#options.onOver(undefined)
    this.#notify()
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#over) return
    this.#over = true
    this.#fail(this.#error ?? explainFailure(error, this.#state === 'body'))
    this.#options.onOver(this.#error)
  }

  read(): Uint8Array | null | undefined {
    const chunk = this.#chunks.shift()
    if (chunk !== undefined) {
      this.#queuedBytes -= chunk.length
      if (this.#controller?.paused && this.#queuedBytes < this.#options.bufferBytesMax / 2)
        this.#controller.resume()
      return chunk
    }
    if (this.#state === 'ended') return null
    if (this.#state === 'failed') throw this.#error!
    return undefined
  }

  wait(): Promise<void> {
    if (this.#chunks.length > 0 || this.#state === 'ended' || this.#state === 'failed')
      return Promise.resolve()
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  abort(cause: Error): void {
    if (this.#error) return
    this.#chunks.length = 0
    this.#fail(cause)
    this.#controller?.abort(cause)
  }

  #fail(error: Error): void {
    this.#error ??= error
    this.#state = 'failed'
    this.#notify()
  }

  #notify(): void {
    const wake = this.#wake
    this.#wake = NOTHING
    wake()
  }
}

function toLatin1(raw: unknown): string[] {
  if (!Array.isArray(raw)) return []
  const list: (Buffer | string)[] = raw
  return list.map((part) => (typeof part === 'string' ? part : part.toString('latin1')))
}

// A reason phrase is for people; one that could break our own status line is dropped.
function printable(text: string | undefined): string {
  return text !== undefined && /^[\t\x20-\x7e]*$/.test(text) ? text : ''
}

/** Names what undici calls a failure. `begun`: the head had arrived. */
function explainFailure(error: Error, begun: boolean): Error {
  if (error instanceof EgressError) return error
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const detail = { code: code || error.name }
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT')
    return new EgressError('response-timeout', detail, { cause: error })
  if (
    error.name === 'HTTPParserError' ||
    code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH' ||
    code === 'UND_ERR_HEADERS_OVERFLOW' ||
    /bad (?:response|upgrade)/.test(error.message)
  )
    return new EgressError('response-malformed', detail, { cause: error })
  if (code.startsWith('UND_ERR_INVALID_ARG') || code === 'ERR_ASSERTION')
    return new EgressError('internal', detail, { cause: error })
  return new EgressError(begun ? 'upstream-gone' : 'response-incomplete', detail, { cause: error })
}
