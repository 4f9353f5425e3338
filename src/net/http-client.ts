// The operator's HTTP client: posts what sinks deliver and gets what the configuration names, over connections that `dial.ts`
// opened with an operator's permit. Follows no redirect and heeds no proxy variable; trusts no answer to be short or true.
// Undici is loaded by the first request: few sidecars have an HTTP sink. Made by `config/`.

import type { Client, Dispatcher } from 'undici'

import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import { formatAuthority } from '../wire/authority.ts'
import type { Dialer } from './dial.ts'
import type { OperatorPermit } from './permit.ts'

/** The bounds of one client. */
interface ClientBounds {
  readonly timeoutMs: number
  /** Of an answer's body; undefined where it is not kept. */
  readonly bodyBytesMax?: number
}

/** What one request says besides where it goes. */
interface OperatorRequest {
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly signal: AbortSignal
  /** On the same endpoint, with its query; default: the client's own. */
  readonly path?: string
}

/** A body to send, and how much of the answer is wanted. */
export interface PostedBody {
  readonly body: Uint8Array
  readonly headers: Readonly<Record<string, string>>
  /** On the same endpoint, with its query; default: the client's own. */
  readonly path?: string
  /** Bytes of the answer's body that are kept at the most. */
  readonly answerBytesMax: number
}

/** What came back. */
export interface PostAnswer {
  readonly status: number
  /** Undefined where it is longer than was wanted: a part of it would mean something else. */
  readonly body: Buffer | undefined
  /** How long the receiver asks to be left alone, at most five minutes; undefined where it does not ask. */
  readonly retryAfterMs: number | undefined
}

/** Nobody may silence a sink for longer by a header field. */
const RETRY_AFTER_MAX_MS = 300_000

/** Asks one URL over a connection of its own. */
class OperatorClient {
  readonly #dialer: Dialer
  readonly #permit: OperatorPermit
  readonly #path: string
  readonly #bounds: ClientBounds
  #client: Promise<Client> | undefined

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

  async #makeClient(): Promise<Client> {
    const { Client } = await import('undici')
    const permit = this.#permit
    const { timeoutMs, bodyBytesMax } = this.#bounds
    return new Client('http://operator.invalid', {
      allowH2: false,
      pipelining: 1,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      ...(bodyBytesMax !== undefined && { maxResponseSize: bodyBytesMax }),
      connect: (_options, onConnection) => {
        this.#dialer.dial(permit, { tls: permit.tls, signal: AbortSignal.timeout(timeoutMs) }).then(
          ({ socket }) => onConnection(null, socket),
          (error: unknown) =>
            onConnection(error instanceof Error ? error : new EgressError('internal'), null),
        )
      },
    })
  }
}

/** Posts to one URL, and to others of the same endpoint. */
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
   * Sends a body and waits for the status; the answer's body is read and dropped.
   * @throws EgressError of dialing; Error of the connection
   */
  async post(
    body: Uint8Array,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<{ status: number }> {
    const answer = await this.request({ method: 'POST', headers, body, signal })
    await answer.body.dump()
    return { status: answer.statusCode }
  }

  /**
   * Sends a body and reads the answer, as far as it is wanted; the signal ends the reading too.
   * @throws EgressError of dialing; Error of the connection, also where the answer breaks off
   */
  async exchange(
    { answerBytesMax, ...sent }: PostedBody,
    signal: AbortSignal,
  ): Promise<PostAnswer> {
    const answer = await this.request({ method: 'POST', ...sent, signal })
    const retryAfterMs = retryAfter(answer.headers['retry-after'], Date.now())
    return { status: answer.statusCode, body: await readUpTo(answer, answerBytesMax), retryAfterMs }
  }
}

async function readUpTo(
  { body }: Dispatcher.ResponseData,
  bytesMax: number,
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body) {
    const piece = Buffer.from(chunk)
    bytes += piece.length
    // Leaving the loop ends the connection: what is left of the answer is not even read.
    if (bytes > bytesMax) return undefined
    chunks.push(piece)
  }
  return Buffer.concat(chunks)
}

/**
 * How long a `Retry-After` asks to wait, in milliseconds: seconds or a date.
 * @param now epoch milliseconds
 * @see https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
 */
function retryAfter(field: string | string[] | undefined, now: number): number | undefined {
  if (typeof field !== 'string' || field.length > 64) return undefined
  const waitMs = /^\d{1,9}$/.test(field) ? Number(field) * 1000 : Date.parse(field) - now
  return Number.isNaN(waitMs) ? undefined : Math.min(Math.max(0, waitMs), RETRY_AFTER_MAX_MS)
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
    bounds: Required<ClientBounds>,
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
