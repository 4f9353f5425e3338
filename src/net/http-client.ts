// The operator's HTTP client: posts what sinks deliver, over connections that `dial.ts` opened with an operator's permit.
// Follows no redirect and heeds no proxy variable. Undici is loaded by the first post: few sidecars have an HTTP sink.
// Made by `config/sinks.ts`.

import type { Client } from 'undici'

import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import { formatAuthority } from '../wire/authority.ts'
import type { Dialer } from './dial.ts'
import type { OperatorPermit } from './permit.ts'

/** Posts to one URL. */
export class HttpPoster {
  readonly #dialer: Dialer
  readonly #permit: OperatorPermit
  readonly #path: string
  readonly #timeoutMs: number
  #client: Promise<Client> | undefined

  /** @param path with its query */
  constructor(
    dialer: Dialer,
    permit: OperatorPermit,
    path: string,
    limits: Pick<Limits, 'sinkTimeoutMs'>,
  ) {
    this.#dialer = dialer
    this.#permit = permit
    this.#path = path
    this.#timeoutMs = limits.sinkTimeoutMs
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
    this.#client ??= this.#makeClient()
    const client = await this.#client
    const { statusCode, body: answer } = await client.request({
      method: 'POST',
      path: this.#path,
      headers: {
        host: formatAuthority(this.#permit.endpoint, this.#permit.tls ? 443 : 80),
        ...headers,
      },
      body,
      signal,
    })
    await answer.dump()
    return { status: statusCode }
  }

  /** Ends the connection. */
  async close(): Promise<void> {
    await (await this.#client)?.destroy()
  }

  async #makeClient(): Promise<Client> {
    const { Client } = await import('undici')
    const permit = this.#permit
    return new Client('http://operator.invalid', {
      allowH2: false,
      pipelining: 1,
      headersTimeout: this.#timeoutMs,
      bodyTimeout: this.#timeoutMs,
      connect: (_options, onConnection) => {
        this.#dialer
          .dial(permit, { tls: permit.tls, signal: AbortSignal.timeout(this.#timeoutMs) })
          .then(
            ({ socket }) => onConnection(null, socket),
            (error: unknown) =>
              onConnection(error instanceof Error ? error : new EgressError('internal'), null),
          )
      },
    })
  }
}
