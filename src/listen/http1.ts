// The client's side of an HTTP call over node's HTTP server: its body is pulled, its response written with back-pressure.
// Driven by `pipeline.ts`; made by `server.ts`.

import type { IncomingMessage, ServerResponse } from 'node:http'

import type { Call, ClientSide, UpstreamResponse } from '../call.ts'
import { EgressError, type Reason } from '../errors.ts'
import type { Limits } from '../limits.ts'
import { isSent } from '../stages.ts'
import { NO_BODY, type Body, type RawHeaders } from '../wire/body.ts'
import { makeAnswer } from './answer.ts'
import { lingerClose } from './linger.ts'
import { RequestBody } from './request-body.ts'

/** One request and its response. */
export class Http1Side implements ClientSide {
  readonly body: Body
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #call: Call

  constructor(
    call: Call,
    request: IncomingMessage,
    response: ServerResponse,
    limits: Pick<Limits, 'trailerBytesMax'>,
  ) {
    this.#call = call
    this.#request = request
    this.#response = response
    this.body = bodyOf(request, limits.trailerBytesMax)
    response.sendDate = false
    response.on('close', () => {
      if (!response.writableFinished) call.cut('client-gone')
    })
    call.onCut(() => this.body.abort(new EgressError(call.cutReason ?? 'client-gone')))
  }

  sendContinue(): void {
    this.#response.writeContinue()
  }

  sendInformational(status: number, headers: RawHeaders): void {
    const response = this.#response
    // A pipelined response that is not at the head of the line has no socket yet, and HTTP/1.0 knows no 1xx.
    if (response.headersSent || !response.socket || this.#request.httpVersion === '1.0') return
    let head = `HTTP/1.1 ${status} \r\n`
    for (let at = 0; at < headers.length; at += 2) head += `${headers[at]}: ${headers[at + 1]}\r\n`
    response.socket.write(`${head}\r\n`, 'latin1')
  }

  async sendResponse(upstream: UpstreamResponse): Promise<void> {
    const response = this.#response
    const { body } = upstream
    this.#writeHead(upstream)
    let chunk = body.read()
    let flushed = false
    for (;;) {
      if (chunk === null) break
      if (chunk === undefined) {
        // The head must not wait for the first byte of a body that takes its time.
        if (!flushed) response.flushHeaders()
        flushed = true
        await body.wait()
        chunk = body.read()
        continue
      }
      this.#call.bytesIn += chunk.length
      const next = body.read()
      if (next === null && body.trailers.length === 0) {
        await this.#end(chunk)
        return
      }
      flushed = true
      if (!response.write(chunk)) await this.#drained()
      chunk = next === undefined ? body.read() : next
    }
    if (body.trailers.length > 0) response.addTrailers(pairsOf(body.trailers))
    await this.#end(undefined)
  }

  sendRefusal(reason: Reason, call: Call): boolean {
    const response = this.#response
    if (response.headersSent || response.destroyed || !isSent(reason)) {
      // Half a response is told by breaking the connection off: a clean end would pass for the whole.
      this.#request.socket.destroy()
      return false
    }
    const answer = makeAnswer(reason, call)
    const unread = !this.#request.complete
    if (unread) response.shouldKeepAlive = false
    response.writeHead(answer.status, answer.statusText, [...answer.headers])
    const { socket } = response
    if (unread && socket) {
      socket.destroySoon = () => lingerClose(socket)
    }
    response.end(answer.body)
    return true
  }

  #writeHead({ status, statusText, headers }: UpstreamResponse): void {
    try {
      this.#response.writeHead(status, statusText, headers)
    } catch (error) {
      throw new EgressError('response-malformed', {}, { cause: error })
    }
  }

  #drained(): Promise<void> {
    const response = this.#response
    if (response.destroyed) return Promise.reject(new EgressError('client-gone'))
    return new Promise((resolve, reject) => {
      const done = (): void => {
        response.off('drain', done)
        response.off('close', done)
        if (response.destroyed) reject(new EgressError('client-gone'))
        else resolve()
      }
      response.on('drain', done)
      response.on('close', done)
    })
  }

  // Resolves without waiting for the kernel where all of it fitted; a client that leaves now has had its answer written.
  #end(chunk: Uint8Array | undefined): Promise<void> {
    const response = this.#response
    if (response.destroyed) return Promise.reject(new EgressError('client-gone'))
    if (chunk === undefined) response.end()
    else response.end(chunk)
    if (response.writableFinished || !response.writableNeedDrain) return Promise.resolve()
    return new Promise((resolve, reject) => {
      response.on('close', () =>
        response.writableFinished ? resolve() : reject(new EgressError('client-gone')),
      )
    })
  }
}

function bodyOf(request: IncomingMessage, trailerBytesMax: number): Body {
  const length = request.headers['content-length']
  if (request.headers['transfer-encoding'] !== undefined)
    return new RequestBody(request, undefined, trailerBytesMax)
  if (length === undefined || length === '0') return NO_BODY
  return new RequestBody(request, Number(length), trailerBytesMax)
}

function pairsOf(headers: RawHeaders): [string, string][] {
  const pairs: [string, string][] = []
  for (let at = 0; at < headers.length; at += 2) pairs.push([headers[at]!, headers[at + 1]!])
  return pairs
}
