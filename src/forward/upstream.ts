// One upstream connection: its socket, one exchange at a time on it, and the watch over it while it is idle. Whatever comes
// unasked ends it, so that no answer is ever taken for another's. Made by `pool.ts`; used by `request.ts`.

import { EgressError } from '../errors.ts'
import { NEVER, type Timed } from '../deadlines.ts'
import type { Dialed } from '../net/dial.ts'
import { resetSocket } from '../net/reset.ts'
import type { AddressPolicy } from '../policy/decision.ts'
import type { BodySource } from '../wire/body-queue.ts'
import { ResponseHeadReader } from '../wire/http1-head.ts'
import { ResponseReader, type ResponseOptions } from './response.ts'

/** What an exchange is told of its end. */
export interface ExchangeEvents {
  /** The connection, or the upstream on it, failed; what has been told of the response fails with it. */
  readonly onFailure: (error: Error) => void
  /** The response is complete; the request may still be on its way. */
  readonly onDone: () => void
}

/** What a connection tells its pool. */
export interface UpstreamOwner {
  /** The exchange is over, and another may follow on this connection. */
  onIdle(connection: UpstreamConnection): void
  onClosed(connection: UpstreamConnection): void
}

interface Exchange {
  readonly reader: ResponseReader
  readonly events: ExchangeEvents
  isSent: boolean
}

const NOTHING = (): void => undefined

/** One connection; belongs to one call at a time. */
export class UpstreamConnection implements BodySource, Timed {
  readonly dialed: Dialed
  /** The rules' word on addresses under which it was dialed. */
  readonly addresses: AddressPolicy
  /** Whether it has served a call before. */
  reused = false
  dueSweep: number = NEVER
  readonly #owner: UpstreamOwner
  readonly #heads: ResponseHeadReader
  #exchange: Exchange | undefined
  #drained: () => void = NOTHING

  constructor(
    dialed: Dialed,
    addresses: AddressPolicy,
    responseHeadBytesMax: number,
    owner: UpstreamOwner,
  ) {
    this.dialed = dialed
    this.addresses = addresses
    this.#owner = owner
    this.#heads = new ResponseHeadReader(responseHeadBytesMax)
    const { socket } = dialed
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    socket.on('end', () => this.#onEnd())
    socket.on('error', (error) => this.#fail(describe(error, this.#exchange)))
    socket.on('close', () => this.#onClose())
    socket.on('drain', () => this.#onDrain())
  }

  /** Whether nothing can be sent on it any more. */
  get isClosed(): boolean {
    return this.dialed.socket.destroyed
  }

  /** Whether the request of the exchange has been written whole. */
  get isSent(): boolean {
    return this.#exchange?.isSent === true
  }

  /** Begins an exchange on an idle connection; its request is then written by `write`. */
  begin(options: ResponseOptions, events: ExchangeEvents): void {
    const reader = new ResponseReader(this.#heads, this, options)
    this.#exchange = { reader, events, isSent: false }
    this.dueSweep = NEVER
  }

  /** Writes a piece of the request; false where it is better to wait for `drained`. */
  write(bytes: Uint8Array | string): boolean {
    const { socket } = this.dialed
    return typeof bytes === 'string' ? socket.write(bytes, 'latin1') : socket.write(bytes)
  }

  /** Resolves once what was written has left, or the connection is closed. */
  drained(): Promise<void> {
    const { socket } = this.dialed
    if (socket.destroyed || !socket.writableNeedDrain) return Promise.resolve()
    return new Promise((resolve) => {
      this.#drained = resolve
    })
  }

  /** The whole request has been written. @param dueSweep by when the response's head is to be there */
  sent(dueSweep: number): void {
    const exchange = this.#exchange
    if (exchange === undefined) return
    exchange.isSent = true
    if (!exchange.reader.isHeadRead) this.dueSweep = dueSweep
    if (exchange.reader.isDone) this.#finish(exchange)
  }

  pause(): void {
    this.dialed.socket.pause()
  }

  resume(): void {
    this.dialed.socket.resume()
  }

  /** Ends the connection; an exchange on it fails with the cause. */
  abort(cause: Error): void {
    this.#exchange?.reader.drop(cause)
    resetSocket(this.dialed.socket)
    this.#fail(cause)
  }

  /** Ends the connection where nobody uses it. */
  close(): void {
    this.dialed.socket.destroy()
  }

  onDeadline(): void {
    this.#fail(new EgressError('response-timeout'))
  }

  #onData(chunk: Buffer): void {
    const exchange = this.#exchange
    if (exchange === undefined) {
      this.close()
      return
    }
    const { reader } = exchange
    let read: number
    try {
      read = reader.read(chunk)
    } catch (error) {
      this.#fail(error instanceof Error ? error : new EgressError('internal'))
      return
    }
    if (reader.isHeadRead) this.dueSweep = NEVER
    if (!reader.isDone) return
    exchange.events.onDone()
    // What comes behind a whole response answers nothing: nothing else is read from a peer that sends it.
    if (read < chunk.length) this.#discard()
    else if (exchange.isSent) this.#finish(exchange)
  }

  #onEnd(): void {
    const exchange = this.#exchange
    if (exchange === undefined || exchange.reader.isDone) {
      this.#discard()
      return
    }
    try {
      exchange.reader.end()
    } catch (error) {
      this.#fail(error instanceof Error ? error : new EgressError('internal'))
      return
    }
    exchange.events.onDone()
    this.#discard()
  }

  #finish(exchange: Exchange): void {
    if (exchange.reader.isLast) {
      this.#discard()
      return
    }
    this.#exchange = undefined
    this.dueSweep = NEVER
    this.#owner.onIdle(this)
  }

  // The exchange is over in order; the connection is not used again.
  #discard(): void {
    this.#exchange = undefined
    this.close()
  }

  #fail(error: Error): void {
    const exchange = this.#exchange
    this.#exchange = undefined
    this.dueSweep = NEVER
    this.close()
    if (exchange === undefined || exchange.reader.isDone) return
    exchange.reader.fail(error)
    exchange.events.onFailure(error)
  }

  #onClose(): void {
    this.#fail(closed(this.#exchange))
    this.#onDrain()
    this.#owner.onClosed(this)
  }

  #onDrain(): void {
    const drained = this.#drained
    this.#drained = NOTHING
    drained()
  }
}

function closed(exchange: Exchange | undefined): EgressError {
  return new EgressError(reasonOf(exchange), { code: 'closed' })
}

function describe(error: Error, exchange: Exchange | undefined): EgressError {
  const code = 'code' in error ? String(error.code) : error.name
  return new EgressError(reasonOf(exchange), { code }, { cause: error })
}

function reasonOf(exchange: Exchange | undefined): 'upstream-gone' | 'response-incomplete' {
  return exchange?.reader.isHeadRead === true ? 'upstream-gone' : 'response-incomplete'
}
