// The operator's HTTP client: posts what sinks deliver and gets what the configuration names, over connections that `dial.ts`
// opened with an operator's permit. Follows no redirect and heeds no proxy variable. Undici is loaded by the first request:
// few sidecars have an HTTP sink. Made by `config/`.

import type { Dispatcher } from 'undici'

import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import { formatAuthority } from '../wire/authority.ts'
import type { Dialer } from './dial.ts'
import type { OperatorPermit } from './permit.ts'
import type { TlsClient } from './upstream-tls.ts'

/** The bounds of one client. */
interface ClientBounds {
  readonly timeoutMs: number
  /** Of an answer's body; undefined where it is not kept. */
  readonly bodyBytesMax?: number
  /** What this side shows and trusts by TLS. */
  readonly tlsClient?: TlsClient
  /** Requests at once, each over a connection of its own; more wait. By default one. */
  readonly connectionsMax?: number
}

/** What one request says besides where it goes. */
interface OperatorRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string
  readonly signal: AbortSignal
  /** Another path than the client's own. */
  readonly path?: string
}

/** Of a body that nobody asked for so much is read for the connection's sake. */
const DROPPED_BYTES_MAX = 128 * 1024

/** Asks one URL over connections of its own. */
class OperatorClient {
  readonly #dialer: Dialer
  readonly #permit: OperatorPermit
  readonly #path: string
  readonly #bounds: ClientBounds
  #client: Promise<Dispatcher> | undefined

  /** @param path with its query */
  constructor(dialer: Dialer, permit: OperatorPermit, path: string, bounds: ClientBounds) {
    this.#dialer = dialer
    this.#permit = permit
    this.#path = path
    this.#bounds = bounds
  }

  /** Ends the connection. */
  async close(): Promise<void> {
    await (await this.#client)?.destroy()
  }

  protected async request(asked: OperatorRequest): Promise<Dispatcher.ResponseData> {
    this.#client ??= this.#makeClient()
    const client = await this.#client
    const host = formatAuthority(this.#permit.endpoint, this.#permit.tls ? 443 : 80)
    return client.request({ path: this.#path, ...asked, headers: { host, ...asked.headers } })
  }

  async #makeClient(): Promise<Dispatcher> {
    const { Pool } = await import('undici')
    const permit = this.#permit
    const { timeoutMs, bodyBytesMax, tlsClient, connectionsMax = 1 } = this.#bounds
    return new Pool('http://operator.invalid', {
      connections: connectionsMax,
      allowH2: false,
      pipelining: 1,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      ...(bodyBytesMax !== undefined && { maxResponseSize: bodyBytesMax }),
      connect: (_options, onConnection) => {
        const signal = AbortSignal.timeout(timeoutMs)
        const options = { tls: permit.tls, signal, ...(tlsClient && { client: tlsClient }) }
        this.#dialer.dial(permit, options).then(
          ({ socket }) => onConnection(null, socket),
          (error: unknown) =>
            onConnection(error instanceof Error ? error : new EgressError('internal'), null),
        )
      },
    })
  }
}

/** What a receiver answered. */
export interface PostAnswer {
  readonly status: number
  /** The field `Retry-After` as it was sent. */
  readonly retryAfter?: string
  /** Those fields that were asked for and are there once, by name. */
  readonly fields?: Readonly<Record<string, string>>
  /** What was to be kept of the body, cut where it was longer. */
  readonly body: Buffer
}

/** What of an answer is kept, and where it is asked for. */
interface PostKeep {
  /** Of the body, by default none. */
  readonly bytesMax?: number
  /** Another path than the poster's own. */
  readonly path?: string
  /** Names of fields in lower case. */
  readonly fields?: readonly string[]
}

/** Posts to one URL. */
export class HttpPoster extends OperatorClient {
  /** @param path with its query */
  constructor(
    dialer: Dialer,
    permit: OperatorPermit,
    path: string,
    limits: Pick<Limits, 'sinkTimeoutMs'>,
  ) {
    super(dialer, permit, path, { timeoutMs: limits.sinkTimeoutMs })
  }

  /**
   * Sends a body and waits for the answer; what is not kept of the answer's body is dropped.
   * @throws EgressError of dialing; Error of the connection
   */
  async post(
    body: Uint8Array,
    headers: Record<string, string>,
    signal: AbortSignal,
    keep: PostKeep = {},
  ): Promise<PostAnswer> {
    const { bytesMax = 0, path, fields } = keep
    const answer = await this.request({
      method: 'POST',
      headers,
      body,
      signal,
      ...(path !== undefined && { path }),
    })
    const retryAfter = answer.headers['retry-after']
    return {
      status: answer.statusCode,
      ...(typeof retryAfter === 'string' && { retryAfter }),
      ...(fields && { fields: pickFields(answer.headers, fields) }),
      body: await readUpTo(answer.body, bytesMax),
    }
  }
}

function pickFields(
  headers: Dispatcher.ResponseData['headers'],
  names: readonly string[],
): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = headers[name]
      return typeof value === 'string' ? [[name, value]] : []
    }),
  )
}

/** Reads the beginning of a body; a receiver that says more than is kept loses the connection for it. */
async function readUpTo(body: Dispatcher.ResponseData['body'], bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    if (bytes < bytesMax) chunks.push(chunk.subarray(0, bytesMax - bytes))
    bytes += chunk.length
    if (bytes > Math.max(bytesMax, DROPPED_BYTES_MAX)) break
  }
  return Buffer.concat(chunks)
}

/** Gets one URL. */
export class HttpGetter extends OperatorClient {
  readonly #timeoutMs: number

  /**
   * @param path with its query
   * @param bounds `timeoutMs` is for the whole of one get
   */
  constructor(
    dialer: Dialer,
    permit: OperatorPermit,
    path: string,
    bounds: Required<Pick<ClientBounds, 'timeoutMs' | 'bodyBytesMax'>>,
  ) {
    super(dialer, permit, path, bounds)
    this.#timeoutMs = bounds.timeoutMs
  }

  /**
   * Asks, and reads the whole answer.
   * @throws EgressError of dialing; Error of the connection, of a body that is too large, of the time
   */
  async get(accept: string): Promise<{ status: number; body: Uint8Array }> {
    const signal = AbortSignal.timeout(this.#timeoutMs)
    const answer = await this.request({ method: 'GET', headers: { accept }, signal })
    return { status: answer.statusCode, body: await answer.body.bytes() }
  }
}

/** Asks one origin whatever is to be asked. */
export class HttpAsker extends OperatorClient {
  readonly #timeoutMs: number

  /** @param bounds `timeoutMs` is for the whole of one question and its answer */
  constructor(
    dialer: Dialer,
    permit: OperatorPermit,
    bounds: ClientBounds & { readonly bodyBytesMax: number },
  ) {
    super(dialer, permit, '/', bounds)
    this.#timeoutMs = bounds.timeoutMs
  }

  /**
   * Asks, and reads the whole answer.
   * @throws EgressError of dialing; Error of the connection, of a body that is too large, of the time
   */
  async ask(asked: OperatorRequest): Promise<{
    readonly status: number
    readonly headers: Readonly<Record<string, string>>
    readonly body: Buffer
  }> {
    const signal = AbortSignal.any([asked.signal, AbortSignal.timeout(this.#timeoutMs)])
    const answer = await this.request({ ...asked, signal })
    const headers = Object.entries(answer.headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, String(value)] as const],
    )
    return {
      status: answer.statusCode,
      headers: Object.fromEntries(headers),
      body: Buffer.from(await answer.body.arrayBuffer()),
    }
  }
}
