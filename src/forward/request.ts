// Sends one HTTP request upstream over a pooled connection and hands the response back as soon as its head is there.
// One retry, and only where the request cannot have had an effect: a safe method without a body on a connection that
// turns out dead. Called by `pipeline.ts` with a permit; the head arrives finished from `inject/`.

import type { Readable } from 'node:stream'

import type { Call, Prepared, UpstreamResponse } from '../call.ts'
import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import type { CallPermit } from '../net/permit.ts'
import type { Body, RawHeaders } from '../wire/body.ts'
import type { CanonicalRequest } from '../wire/receive.ts'
import { discard, type UpstreamConnection, type UpstreamPool } from './pool.ts'
import { ResponseReader } from './response.ts'

/** What sending needs. */
export interface SendOptions {
  readonly pool: UpstreamPool
  readonly limits: Limits
  readonly permit: CallPermit
  readonly request: CanonicalRequest
  readonly body: Body
  readonly onInformational: (status: number, headers: RawHeaders) => void
}

const RETRYABLE = new Set(['response-incomplete'])

/**
 * Sends the call's outgoing head and body; resolves with the response's head, its body still arriving.
 * @throws EgressError of the stage `forwarded`
 */
export async function sendRequest(
  call: Call & Prepared,
  options: SendOptions,
): Promise<UpstreamResponse> {
  const { request, body } = options
  const safe = (request.method === 'GET' || request.method === 'HEAD') && body.length === 0
  const connection = await connect(call, options, false)
  if (!safe || !connection.reused) return exchange(call, options, connection)
  try {
    return await exchange(call, options, connection)
  } catch (error) {
    if (!(error instanceof EgressError && RETRYABLE.has(error.reason)) || call.cutReason)
      throw error
    return exchange(call, options, await connect(call, options, true))
  }
}

async function connect(
  call: Call,
  options: SendOptions,
  fresh: boolean,
): Promise<UpstreamConnection> {
  const kept = fresh ? undefined : options.pool.takeIdle(options.permit)
  const connection = kept ?? (await open(call, options))
  const { address, port, tlsVersion } = connection.dialed
  call.upstream = tlsVersion === undefined ? { address, port } : { address, port, tlsVersion }
  return connection
}

async function open(call: Call, options: SendOptions): Promise<UpstreamConnection> {
  const abort = new AbortController()
  call.onCut(() => abort.abort())
  const connection = await options.pool.open(options.permit, abort.signal)
  if (call.cutReason) {
    discard(connection)
    throw new EgressError(call.cutReason)
  }
  return connection
}

function exchange(
  call: Call & Prepared,
  options: SendOptions,
  connection: UpstreamConnection,
): Promise<UpstreamResponse> {
  const { request, body, pool, limits } = options
  return new Promise((resolve, reject) => {
    const reader = new ResponseReader({
      method: request.method,
      bufferBytesMax: limits.bufferBytesMax,
      onInformational: options.onInformational,
      onHead: resolve,
      onOver: (error) => {
        if (error) {
          discard(connection)
          reject(error)
        } else pool.release(connection)
      },
    })
    call.onCut(() => reader.abort(new EgressError(call.cutReason ?? 'internal')))
    try {
      connection.client.dispatch(
        {
          method: request.method,
          path: call.outgoing.path,
          headers: frameHead(call.outgoing.headers, request),
          body: frameBody(call, body, request),
        },
        reader,
      )
    } catch (error) {
      // Refused while its first bytes were read: nothing was sent, and nobody else would give the connection back.
      discard(connection)
      reject(error instanceof Error ? error : new EgressError('internal'))
    }
  })
}

// Nothing of the incoming framing survives: the length is written anew, chunking is the client's business.
function frameHead(headers: readonly string[], request: CanonicalRequest): string[] {
  const out: string[] = []
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!
    if (name.length === 6 && name.toLowerCase() === 'expect') continue
    if (name.length === 14 && name.toLowerCase() === 'content-length') continue
    out.push(name, headers[at + 1]!)
  }
  if (request.framing.kind === 'length') out.push('content-length', String(request.framing.length))
  return out
}

function frameBody(call: Call, body: Body, request: CanonicalRequest): Buffer | Readable | null {
  if (request.framing.kind === 'none' || body.length === 0) return null
  const first = body.read()
  if (first === null) return null
  // A small body that is all here goes out in one piece with the head.
  if (first !== undefined && first.length === body.length) {
    call.bytesOut += first.length
    return Buffer.from(first.buffer, first.byteOffset, first.byteLength)
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- undici takes any async iterable, its types only streams
  return pull(call, body, first) as unknown as Readable
}

async function* pull(
  call: Call,
  body: Body,
  first: Uint8Array | undefined,
): AsyncGenerator<Uint8Array> {
  let chunk: Uint8Array | null | undefined = first
  for (;;) {
    if (chunk === null) return
    if (chunk === undefined) await body.wait()
    else {
      call.bytesOut += chunk.length
      yield chunk
    }
    chunk = body.read()
  }
}
