// One client connection, or the inside of one tunnel, as bytes: finds request heads and bodies, hands each request to its
// stage of the pipeline, one after the other, and holds what is pipelined until its turn. Made by `server.ts`; what is
// written back is `http1-side.ts`'s.

import type { Socket } from 'node:net'

import type { Call, CallKind } from '../call.ts'
import { NEVER, type DeadlineSweep } from '../deadlines.ts'
import { EgressError, type Reason } from '../errors.ts'
import {
  runRequest,
  runTunnel,
  runUpgrade,
  type TunnelSide,
  type UpgradeSide,
} from '../pipeline.ts'
import type { Parts } from '../stages.ts'
import { RequestHeadReader } from '../wire/http1-head.ts'
import type { RequestHead } from '../wire/receive.ts'
import { formatAnswer, makeProblem } from './answer.ts'
import { Http1Side, type SideConnection, type SideHost } from './http1-side.ts'
import { lingerClose } from './linger.ts'
import type { ConnectionOrigin, ServedConnection } from './served-connection.ts'

/** What a connection needs of its door. */
export interface ConnectionHost extends SideHost {
  readonly parts: Parts
  readonly deadlines: DeadlineSweep<ServedConnection>
  makeCall(origin: ConnectionOrigin, kind: CallKind): Call
  /** Counts a call as open. @throws EgressError draining, busy */
  openCall(call: Call): void
  closeCall(call: Call): void
  tunnelSide(call: Call, head: RequestHead, connection: Http1Connection): TunnelSide
  upgradeSide(call: Call, connection: Http1Connection): UpgradeSide
}

const NO_BYTES = Buffer.alloc(0)

/** Reads one connection. */
export class Http1Connection implements SideConnection, ServedConnection {
  readonly socket: Socket
  dueSweep: number
  readonly #origin: ConnectionOrigin
  readonly #host: ConnectionHost
  readonly #heads: RequestHeadReader
  /** Bytes that have come and are not read yet. */
  #unread: Buffer = NO_BYTES
  #side: Http1Side | undefined
  /** Of the request that is being answered, or of the one that took the socket away. */
  #call: Call | undefined
  #isOver = false
  #hasEnded = false
  #isPaused = false
  #isFirst = true
  readonly #onData = (chunk: Buffer): void => this.#take(chunk)
  readonly #onEnd = (): void => this.#end()
  readonly #onDrain = (): void => this.#side?.onDrain()

  constructor(socket: Socket, origin: ConnectionOrigin, host: ConnectionHost) {
    const { headBytesMax, headTimeoutMs } = host.parts.limits
    this.socket = socket
    this.#origin = origin
    this.#host = host
    this.#heads = new RequestHeadReader(headBytesMax)
    this.dueSweep = host.deadlines.after(headTimeoutMs)
    host.deadlines.items.add(this)
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('drain', this.#onDrain)
    socket.on('close', () => this.#onClose())
    // The inside of a tunnel comes paused, with its first bytes unread again.
    socket.resume()
  }

  /** Refuses the connection: what came is no request that is read any further. One record. */
  refuse(reason: Reason, detail?: EgressError['detail']): void {
    const call = this.#host.makeCall(this.#origin, this.#origin.kind)
    call.reason = reason
    if (detail) call.detail = detail
    this.#retire()
    if (this.socket.writable) this.socket.write(formatAnswer(makeProblem(reason, call)), 'latin1')
    lingerClose(this.socket)
    this.#host.parts.recorder.recordEnd(call)
  }

  endIfIdle(): void {
    if (this.#call === undefined && !this.#heads.hasBegun && !this.#isOver) this.#close()
  }

  /** Gives the socket away, paused, with what was read of it. */
  detach(): Buffer {
    const { socket } = this
    const unread = this.#unread
    this.#retire()
    socket.pause()
    socket.off('data', this.#onData)
    socket.off('end', this.#onEnd)
    socket.off('drain', this.#onDrain)
    return unread
  }

  /** Reads as much of the request's body as is there. */
  readBody(): void {
    const side = this.#side
    if (side === undefined || this.#unread.length === 0) return
    const bytes = this.#unread
    try {
      const read = side.takeBody(bytes)
      this.#unread = read === bytes.length ? NO_BYTES : bytes.subarray(read)
    } catch (error) {
      this.#unread = NO_BYTES
      side.endsConnection = true
      side.call.cut(error instanceof EgressError ? error.reason : 'malformed-body')
    }
    this.#holdBack()
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    if (!this.#isPaused) this.socket.resume()
  }

  /** The rest of a body that nobody wants is not read: the connection ends behind the answer. */
  abort(): void {
    if (this.#side) this.#side.endsConnection = true
  }

  onDeadline(): void {
    if (this.#heads.hasBegun || this.#isFirst) this.refuse('head-timeout')
    else this.#close()
  }

  #take(chunk: Buffer): void {
    this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk])
    if (this.#side) this.readBody()
    else this.#advance()
  }

  // Never within a call: what is behind it has its turn when it is over.
  #advance(): void {
    const bytes = this.#unread
    if (this.#call !== undefined || this.#isOver || bytes.length === 0) return
    const begins = !this.#heads.hasBegun
    let end: number
    try {
      end = this.#heads.read(bytes, 0)
    } catch (error) {
      if (error instanceof EgressError) this.refuse(error.reason, error.detail)
      else this.refuse('internal')
      return
    }
    if (end < 0) {
      this.#unread = NO_BYTES
      if (begins && !this.#isFirst)
        this.dueSweep = this.#host.deadlines.after(this.#host.parts.limits.headTimeoutMs)
      return
    }
    this.#unread = end === bytes.length ? NO_BYTES : bytes.subarray(end)
    this.dueSweep = NEVER
    this.#isFirst = false
    this.#serve(this.#heads.take())
  }

  #serve(head: RequestHead): void {
    const { kind, scope } = this.#origin
    const { parts } = this.#host
    if (head.method === 'CONNECT') {
      const call = this.#begin('tunnel')
      const side = this.#host.tunnelSide(call, head, this)
      if (!this.#open(call, side)) return
      // A tunnel inside a tunnel would be judged by nobody, and nobody asks one of a server.
      if (scope.tunnel || scope.direct) this.#refuseEarly(call, side, 'protocol-not-allowed')
      else void this.#follow(call, runTunnel(call, head, side, parts))
    } else if (head.upgrade) {
      const call = this.#begin('upgrade')
      const side = this.#host.upgradeSide(call, this)
      if (this.#open(call, side))
        void this.#follow(call, runUpgrade(call, head, scope, side, parts))
    } else {
      const call = this.#begin(kind)
      const side = new Http1Side(call, head, this, this.#host)
      this.#side = side
      if (this.#open(call, side)) {
        void this.#follow(call, runRequest(call, head, scope, side, parts), side)
        this.readBody()
      }
      // Not at once: many refused in one go would each be a frame on the stack.
      else queueMicrotask(() => this.#finish(side))
    }
  }

  #begin(kind: CallKind): Call {
    const call = this.#host.makeCall(this.#origin, kind)
    this.#call = call
    return call
  }

  async #follow(call: Call, run: Promise<void>, side?: Http1Side): Promise<void> {
    try {
      await run
    } catch (error) {
      this.#host.parts.onUnexpected(error, call)
      this.socket.destroy()
    }
    this.#host.closeCall(call)
    if (side) this.#finish(side)
  }

  // False where the call was refused at once.
  #open(call: Call, side: Pick<TunnelSide, 'sendRefusal'>): boolean {
    try {
      this.#host.openCall(call)
      return true
    } catch (error) {
      this.#refuseEarly(call, side, error instanceof EgressError ? error.reason : 'internal')
      return false
    }
  }

  #refuseEarly(call: Call, side: Pick<TunnelSide, 'sendRefusal'>, reason: Reason): void {
    call.reason = reason
    side.sendRefusal(reason, call)
    this.#host.parts.recorder.recordEnd(call)
    this.#host.closeCall(call)
  }

  // The answer is written: on to the next request, or to the end of the connection.
  #finish(side: Http1Side): void {
    this.#side = undefined
    this.#call = undefined
    if (this.#isOver) return
    if (side.isLast || this.#hasEnded) {
      this.#close()
      return
    }
    this.dueSweep = this.#host.deadlines.after(this.#host.parts.limits.keepAliveTimeoutMs)
    if (this.#isPaused) {
      this.#isPaused = false
      this.socket.resume()
    }
    this.#advance()
  }

  // Requests that wait behind the one that is answered are not collected without end.
  #holdBack(): void {
    if (this.#isPaused || this.#unread.length <= this.#host.parts.limits.bufferBytesMax) return
    this.#isPaused = true
    this.socket.pause()
  }

  // A client of HTTP that closes its half has left: what it asked for is not worth its price any more.
  #end(): void {
    this.#hasEnded = true
    if (this.#side) {
      if (!this.#side.isDone) this.#side.call.cut('client-gone')
    } else if (this.#call === undefined && !this.#isOver) {
      if (this.#heads.hasBegun) this.refuse(this.#heads.truncated)
      else this.#close()
    }
  }

  #onClose(): void {
    const call = this.#side?.call
    const isDone = this.#side?.isDone === true
    this.#retire()
    if (call && !isDone) call.cut('client-gone')
    this.#side?.onDrain()
  }

  #close(): void {
    this.#retire()
    lingerClose(this.socket)
  }

  #retire(): void {
    this.#isOver = true
    this.dueSweep = NEVER
    this.#unread = NO_BYTES
    this.#host.deadlines.items.delete(this)
  }
}
