// Sends one HTTP request upstream over a pooled connection and hands the response back as soon as its head is there.
// One retry, and only where the request cannot have had an effect: a safe method without a body on a kept connection that
// turns out dead. Called by `pipeline.ts` with a permit; the head arrives finished from `inject/`.

import type { Call, Prepared, UpstreamResponse } from '../call.ts'
import { EgressError } from '../errors.ts'
import { upstreamOf } from '../net/dialed.ts'
import { proxyRefusal } from '../net/proxy-above.ts'
import { formatRequestHead, LAST_CHUNK, writePiece } from '../wire/http1-write.ts'
import { exactBody } from './exact-body.ts'
import { joinCookies } from './http2-head.ts'
import { sendHttp2Request } from './http2-request.ts'
import type { SendOptions } from './send-options.ts'
import type { UpstreamConnection } from './upstream.ts'

/**
 * Sends the call's outgoing head and body; resolves with the response's head, its body still arriving.
 * @throws EgressError of the stage `forwarded`
 */
export function sendRequest(
  call: Call & Prepared,
  options: SendOptions,
): Promise<UpstreamResponse> {
  if (options.request.version === '2' && options.permit.tls)
    return sendHttp2Request(call, options, (connection) =>
      send(call, options, (sending) => sending.beginOn(connection)),
    )
  return send(call, options, (sending) => sending.begin())
}

function send(
  call: Call & Prepared,
  options: SendOptions,
  begin: (sending: Sending) => void,
): Promise<UpstreamResponse> {
  return new Promise((resolve, reject) => begin(new Sending(call, options, resolve, reject)))
}

class Sending {
  readonly #call: Call & Prepared
  readonly #options: SendOptions
  readonly #resolve: (response: UpstreamResponse) => void
  readonly #reject: (error: unknown) => void
  #connection: UpstreamConnection | undefined
  /** The exchange is over: nothing more of the request is worth sending. */
  #isOver = false

  constructor(
    call: Call & Prepared,
    options: SendOptions,
    resolve: (response: UpstreamResponse) => void,
    reject: (error: unknown) => void,
  ) {
    this.#call = call
    this.#options = options
    this.#resolve = resolve
    this.#reject = reject
  }

  begin(): void {
    if (!this.#mayBegin()) return
    const kept = this.#options.pool.takeIdle(this.#options.permit)
    if (kept) this.#send(kept)
    else this.#sendOnFresh()
  }

  /** Sends a request that came by HTTP/2 on a connection that is not in use. */
  beginOn(connection: UpstreamConnection): void {
    if (this.#mayBegin()) this.#send(connection)
    else connection.close()
  }

  // While its start was put on record or its secret was fetched: nothing of it leaves.
  #mayBegin(): boolean {
    const { cutReason } = this.#call
    if (cutReason !== undefined) this.#reject(new EgressError(cutReason))
    else this.#call.onCut(() => this.#abort(new EgressError(this.#call.cutReason ?? 'internal')))
    return cutReason === undefined
  }

  #sendOnFresh(): void {
    const { pool, permit } = this.#options
    const call = this.#call
    const abort = new AbortController()
    call.onCut(() => abort.abort())
    pool
      .open(permit, abort.signal)
      .then((connection) => this.#sendUnlessCut(connection))
      .catch(this.#reject)
  }

  #sendUnlessCut(connection: UpstreamConnection): void {
    const { cutReason } = this.#call
    if (cutReason !== undefined) {
      connection.close()
      throw new EgressError(cutReason)
    }
    this.#send(connection)
  }

  #send(connection: UpstreamConnection): void {
    const call = this.#call
    const { request, pool, limits, onInformational } = this.#options
    call.upstream = upstreamOf(connection.dialed)
    this.#connection = connection
    connection.begin(
      {
        method: request.method,
        body: pool.body,
        bufferBytesMax: limits.bufferBytesMax,
        onInformational,
        onHead: (response) => this.#answer(response, connection),
      },
      {
        onFailure: (error) => this.#fail(error, connection),
        onDone: () => this.#finish(),
      },
    )
    this.#write(connection)
  }

  #write(connection: UpstreamConnection): void {
    const { request, body, pool } = this.#options
    const { headers: outgoing, path, framing = request.framing } = this.#call.outgoing
    const { method, version } = request
    const { addressHead } = connection.dialed
    const written = { target: path, headers: version === '2' ? joinCookies(outgoing) : outgoing }
    const { target, headers } = addressHead ? addressHead(written) : written
    const head = formatRequestHead({ method, target, headers, framing })
    if (body.length === 0) {
      connection.write(head)
      connection.sent(pool.responseDueSweep)
      return
    }
    this.#pump(connection, head).then(
      () => connection.sent(pool.responseDueSweep),
      // What broke the request's body off, or held it back, ends the exchange too.
      (error: unknown) => this.#abort(error instanceof Error ? error : new EgressError('internal')),
    )
  }

  async #pump(connection: UpstreamConnection, head: string): Promise<void> {
    const { request } = this.#options
    const framing = this.#call.outgoing.framing ?? request.framing
    const body = exactBody(this.#options.body, framing)
    const isChunked = framing.kind === 'chunked'
    let chunk = body.read()
    let before = head
    for (;;) {
      if (chunk === undefined) {
        // The upstream may answer to the head alone.
        if (before !== '') connection.write(before)
        before = ''
        await body.wait()
      } else {
        if (chunk === null) break
        this.#call.bytesOut += chunk.length
        if (isChunked) before += `${chunk.length.toString(16)}\r\n`
        const after = isChunked ? '\r\n' : ''
        if (!writePiece(connection, before, chunk, after)) await connection.drained()
        before = ''
      }
      if (this.#isOver) return
      chunk = body.read()
    }
    if (isChunked) before += LAST_CHUNK
    if (before !== '') connection.write(before)
  }

  #answer(response: UpstreamResponse, connection: UpstreamConnection): void {
    const isProxys = connection.dialed.addressHead !== undefined
    const refusal = isProxys ? proxyRefusal(response.status) : undefined
    if (refusal === undefined) this.#resolve(response)
    else this.#abort(refusal)
  }

  #finish(): void {
    const isSent = this.#connection?.isSent === true
    this.#isOver = true
    // The answer is there before all of the request is: the upstream wants no more of it.
    if (!isSent) this.#connection?.close()
  }

  #abort(error: Error): void {
    if (this.#isOver) return
    this.#connection?.abort(error)
    this.#reject(error)
  }

  #fail(error: Error, connection: UpstreamConnection): void {
    if (this.#isOver) return
    if (connection.reused && this.#mayRetry(error)) {
      this.#sendOnFresh()
      return
    }
    this.#isOver = true
    this.#reject(error)
  }

  #mayRetry(error: Error): boolean {
    const { request, body } = this.#options
    return (
      (request.method === 'GET' || request.method === 'HEAD') &&
      body.length === 0 &&
      error instanceof EgressError &&
      error.reason === 'response-incomplete' &&
      this.#call.cutReason === undefined
    )
  }
}
