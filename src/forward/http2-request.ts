// Sends one request that came by HTTP/2: by HTTP/2 where the upstream speaks it, else by HTTP/1.1. Repeated once, where the
// upstream did nothing of it (RFC 9113 section 8.7) or a kept connection turns out dead under a safe one. Called by
// `request.ts`.

import type { Call, Prepared, UpstreamResponse } from '../call.ts'
import { EgressError } from '../errors.ts'
import { upstreamOf } from '../net/dialed.ts'
import type { RawHeaders } from '../wire/body.ts'
import { grpcStatusName } from '../wire/grpc.ts'
import { firstValue } from '../wire/headers.ts'
import { exactBody } from './exact-body.ts'
import { Http2Exchange } from './http2-exchange.ts'
import { formatHttp2Head } from './http2-head.ts'
import { UpstreamSession } from './http2-session.ts'
import type { SendOptions } from './send-options.ts'
import type { UpstreamConnection } from './upstream.ts'

/** How a request is sent that turns out to go by HTTP/1.1. */
export type SendByHttp1 = (connection: UpstreamConnection) => Promise<UpstreamResponse>

/**
 * Sends the call's outgoing head and body by what the upstream speaks; resolves with the response's head, its body still
 * arriving.
 * @throws EgressError of the stage `forwarded`
 */
export async function sendHttp2Request(
  call: Call & Prepared,
  options: SendOptions,
  sendByHttp1: SendByHttp1,
): Promise<UpstreamResponse> {
  const { pool, permit } = options
  const abort = new AbortController()
  call.onCut(() => abort.abort())
  for (let attempt = 1; ; attempt += 1) {
    const upstream = await pool.reach(permit, abort.signal).catch((error: unknown) => {
      throw call.cutReason === undefined ? error : new EgressError(call.cutReason)
    })
    if (!(upstream instanceof UpstreamSession)) return sendByHttp1(upstream)
    const wasUsed = upstream.isUsed
    const outcome = await new Http2Sending(call, options, upstream).outcome
    if (!(outcome instanceof Failure)) return outcome
    const { error, isUnprocessed, isConnectionLost } = outcome
    const mayRetry = isUnprocessed || (wasUsed && isConnectionLost && isSafe(options))
    if (attempt > 1 || !mayRetry || call.cutReason !== undefined) throw error
  }
}

function isSafe({ request, body }: SendOptions): boolean {
  return (request.method === 'GET' || request.method === 'HEAD') && body.length === 0
}

// For the record: of a gRPC call the status of HTTP says nothing.
function noteStatus(call: Call & Prepared, fields: RawHeaders): void {
  const name = grpcStatusName(firstValue(fields, 'grpc-status'))
  if (name === undefined) return
  call.inspected = { ...call.inspected, rpc: { response: { status_code: name } } }
}

/** Why there is no response. */
class Failure {
  readonly error: Error
  readonly isUnprocessed: boolean
  readonly isConnectionLost: boolean

  constructor(error: Error, exchange?: Http2Exchange) {
    this.error = error
    this.isUnprocessed = exchange?.isUnprocessed ?? true
    this.isConnectionLost = exchange?.isConnectionLost ?? false
  }
}

/** One attempt on a session. */
class Http2Sending {
  /** The response with its body still arriving, or why there is none. */
  readonly outcome: Promise<UpstreamResponse | Failure>
  #settle: (outcome: UpstreamResponse | Failure) => void = () => undefined

  constructor(call: Call & Prepared, options: SendOptions, session: UpstreamSession) {
    this.outcome = new Promise((resolve) => {
      this.#settle = resolve
    })
    if (call.cutReason === undefined) this.#begin(call, options, session)
    else {
      session.release()
      this.#settle(new Failure(new EgressError(call.cutReason)))
    }
  }

  #begin(call: Call & Prepared, options: SendOptions, session: UpstreamSession): void {
    const { pool, request, body, limits, onInformational } = options
    call.upstream = upstreamOf(session.dialed)
    const { method, headers: received } = request
    const { headers, path, framing = request.framing } = call.outgoing
    let exchange: Http2Exchange
    try {
      exchange = new Http2Exchange(session, {
        method,
        head: formatHttp2Head({ method, path, headers, framing, received }),
        body: exactBody(body, framing),
        responseHeadBytesMax: limits.responseHeadBytesMax,
        trailerBytesMax: pool.body.trailerBytesMax,
        onInformational,
        onHead: (response) => this.#settle(response),
        onEnd: (fields) => noteStatus(call, fields),
        onSent: (bytes) => {
          call.bytesOut += bytes
        },
        responseDueSweep: () => pool.responseDueSweep,
        leaveDueSweep: () => pool.leaveDueSweep,
        onFailure: (error) => this.#settle(new Failure(error, exchange)),
        onClosed: () => {
          pool.sweep.items.delete(exchange)
          session.release()
        },
      })
    } catch (error) {
      session.release()
      const cause = error instanceof Error ? error : undefined
      this.#settle(new Failure(new EgressError('response-incomplete', { code: 'head' }, { cause })))
      return
    }
    pool.sweep.items.add(exchange)
    call.onCut(() => exchange.cancel(new EgressError(call.cutReason ?? 'internal')))
    exchange.begin()
  }
}
