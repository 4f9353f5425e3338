// One HTTP/2 connection inside an intercepted tunnel: hands each stream to the pipeline as a call of its own, keeps the
// connection within its bounds, and sees to its end, however it comes: session, socket and calls are let go together.
// Made by `server.ts`; what is written back is `http2-side.ts`'s, what passes is seen by `http2-gate.ts`.

import {
  constants,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Socket } from 'node:net'

import { NEVER } from '../deadlines.ts'
import { EgressError, type Reason } from '../errors.ts'
import { runRequest } from '../pipeline.ts'
import { END_STREAM, FRAME, type Frame } from '../wire/http2-frames.ts'
import { rawHttp2Head } from '../wire/http2-head.ts'
import type { RequestHead } from '../wire/receive.ts'
import { Http2Bounds, endsBlock } from './http2-bounds.ts'
import { Http2Gate } from './http2-gate.ts'
import { sessionOptions } from './http2-options.ts'
import { Http2Side } from './http2-side.ts'
import type { ConnectionOrigin, Http2Host, ServedConnection } from './served-connection.ts'

const { NGHTTP2_NO_ERROR, NGHTTP2_ENHANCE_YOUR_CALM } = constants
// What the library says of a stream that it refuses by itself.
const REFUSED_BY: ReadonlyMap<number, Reason> = new Map([
  [constants.NGHTTP2_REFUSED_STREAM, 'busy'],
  [NGHTTP2_ENHANCE_YOUR_CALM, 'head-too-large'],
])

/** Serves one connection. */
export class Http2Connection implements ServedConnection {
  dueSweep: number
  readonly #socket: Socket
  readonly #origin: ConnectionOrigin
  readonly #host: Http2Host
  readonly #bounds: Http2Bounds
  readonly #gate: Http2Gate
  readonly #session: ServerHttp2Session
  /** Streams whose head has come and that are not over, by their ids. */
  readonly #sides: Map<number, Http2Side> = new Map()
  /** Streams whose head has come and of which the library has said nothing yet; frames of theirs that came since. */
  readonly #unserved: Map<number, Frame[]> = new Map()
  #lastStreamId = 0
  #isFirst = true
  #isInBlock = false
  /** Whether the library has told the client what is wrong with its connection. */
  #isTold = false
  #isOver = false

  constructor(socket: Socket, origin: ConnectionOrigin, host: Http2Host) {
    const { limits } = host.parts
    this.#socket = socket
    this.#origin = origin
    this.#host = host
    this.#bounds = new Http2Bounds(limits)
    this.dueSweep = host.deadlines.after(limits.headTimeoutMs)
    host.deadlines.items.add(this)
    this.#gate = new Http2Gate(socket, {
      onFrameIn: (frame) => this.#attempt(() => this.#takeFrame(frame)) ?? false,
      onFrameOut: (frame) => this.#attempt(() => this.#noteOut(frame)),
    })
    socket.on('close', () => this.#attempt(() => this.#onClose()))
    // A client that closes its half has left: what it asked for is not worth its price any more.
    socket.on('end', () => this.#attempt(() => this.#end(NGHTTP2_NO_ERROR)))
    this.#session = performServerHandshake(this.#gate, sessionOptions(limits))
    this.#session.on('error', (error) => this.#attempt(() => this.#onError(error)))
    this.#session.on('close', () => this.#attempt(() => this.#end(NGHTTP2_NO_ERROR)))
    this.#session.on('stream', (stream, _headers, flags, fields) => {
      stream.on('error', () => undefined)
      const head = rawHttp2Head(fields, (flags & END_STREAM) !== 0)
      this.#attempt(() => this.#serve(stream, head))
    })
    // The inside of a tunnel comes paused, with its first bytes unread again.
    socket.resume()
  }

  /** Takes no new stream; those that are open finish. */
  endIfIdle(): void {
    if (this.#isOver) return
    // It ends by itself once everything is written; nobody waits for it longer than for a head.
    this.#session.close()
    if (this.#sides.size === 0) this.#dueAfter('headTimeoutMs')
  }

  onDeadline(): void {
    if (this.#isOver) this.#socket.destroy()
    else if (this.#isFirst || this.#isInBlock) this.#refuse('head-timeout', {})
    else if (this.#session.closed) this.#end(NGHTTP2_NO_ERROR)
    else this.endIfIdle()
  }

  #serve(stream: ServerHttp2Stream, head: RequestHead): void {
    const { id = 0 } = stream
    const frames = this.#unserved.get(id)
    // It was over before it was told of, and is on record.
    if (frames === undefined || this.#isOver) {
      stream.destroy()
      return
    }
    this.#unserved.delete(id)
    this.#isFirst = false
    this.dueSweep = NEVER
    const { parts } = this.#host
    const call = this.#host.makeCall(this.#origin, this.#origin.kind)
    const side = new Http2Side(call, head, stream, parts.limits.bufferBytesMax)
    for (const frame of frames) side.noteFrame(frame)
    this.#sides.set(id, side)
    stream.on('close', () => this.#onStreamClose(side, stream))
    if (stream.destroyed || stream.closed) this.#onStreamClose(side, stream)
    void this.#follow(id, side, this.#run(side, head))
  }

  async #run(side: Http2Side, head: RequestHead): Promise<void> {
    const { call } = side
    try {
      this.#checkMemory()
      this.#host.openCall(call)
    } catch (error) {
      call.reason = error instanceof EgressError ? error.reason : 'internal'
      if (error instanceof EgressError) call.detail = error.detail
      side.sendRefusal(call.reason, call)
      this.#host.parts.recorder.recordEnd(call)
      return
    }
    await runRequest(call, head, this.#origin.scope, side, this.#host.parts)
  }

  // What clients let out too slowly waits here, a little for each stream.
  #checkMemory(): void {
    const { http2SessionBytesMax } = this.#host.parts.limits
    let bytes = 0
    for (const side of this.#sides.values()) bytes += side.heldBytes
    if (bytes > http2SessionBytesMax)
      throw new EgressError('busy', { bound: 'http2SessionBytesMax' })
  }

  async #follow(id: number, side: Http2Side, run: Promise<void>): Promise<void> {
    const { call } = side
    try {
      await run
    } catch (error) {
      this.#host.parts.onUnexpected(error, call)
      this.#socket.destroy()
    }
    this.#host.closeCall(call)
    this.#sides.delete(id)
    if (this.#isOver) return
    // On a connection that a client does not let us write to, nothing else is begun.
    const isStuck = call.cutReason === 'idle-timeout'
    if (isStuck) this.#session.close()
    if (this.#sides.size > 0) return
    if (isStuck) this.#end(NGHTTP2_NO_ERROR)
    else this.#dueAfter(this.#session.closed ? 'headTimeoutMs' : 'keepAliveTimeoutMs')
  }

  // Told of every stream that is over, before its answer was or behind it.
  #onStreamClose({ call, isDone, isReset }: Http2Side, { rstCode }: ServerHttp2Stream): void {
    if (isDone) return
    // The library holds a body to the length that its head says.
    const isMalformed = rstCode === constants.NGHTTP2_PROTOCOL_ERROR && !isReset
    call.cut(isMalformed ? 'malformed-body' : 'client-gone')
  }

  #takeFrame(frame: Frame): boolean {
    if (this.#isOver) return false
    const { type, streamId } = frame
    const bound = this.#bounds.take(frame, performance.now())
    if (bound !== undefined) {
      const reason = bound === 'headBytesMax' ? 'head-too-large' : 'busy'
      this.#refuse(reason, { bound }, NGHTTP2_ENHANCE_YOUR_CALM)
      return false
    }
    if (type === FRAME.headers && streamId > this.#lastStreamId) {
      this.#lastStreamId = streamId
      // The library says nothing of what comes behind its GOAWAY.
      if (!this.#session.closed) this.#unserved.set(streamId, [])
      else if (this.#countReset()) this.#record('draining', { stream: streamId })
      else return false
    }
    if (type === FRAME.headers || type === FRAME.continuation) this.#noteBlock(endsBlock(frame))
    const side = this.#sides.get(streamId)
    if (side) side.noteFrame(frame)
    else this.#unserved.get(streamId)?.push(frame)
    const isUnanswered = side ? !side.isAnswered : this.#unserved.has(streamId)
    return type !== FRAME.resetStream || !isUnanswered || this.#countReset()
  }

  // The library refuses what is malformed, and what is too much, before anybody hears of it.
  #noteOut({ type, streamId, errorCode }: Frame): void {
    if (this.#isOver) return
    if (type === FRAME.goAway && errorCode !== NGHTTP2_NO_ERROR) {
      this.#isTold = true
      setImmediate(() => this.#attempt(() => this.#refuseBytes({ code: errorCode })))
    }
    if (type !== FRAME.resetStream) return
    const reason = REFUSED_BY.get(errorCode) ?? 'malformed-header'
    setImmediate(() => this.#attempt(() => this.#noteRefused(streamId, reason)))
  }

  #noteRefused(streamId: number, reason: Reason): void {
    if (!this.#unserved.delete(streamId)) return
    this.#isFirst = false
    this.#record(reason, { stream: streamId })
    if (!this.#isOver) this.#countReset()
  }

  #countReset(): boolean {
    if (!this.#bounds.countReset(performance.now())) return true
    this.#refuse('busy', { bound: 'http2ResetsPerMinute' }, NGHTTP2_ENHANCE_YOUR_CALM)
    return false
  }

  #noteBlock(isWhole: boolean): void {
    this.#isInBlock = !isWhole
    if (!isWhole) this.#dueAfter('headTimeoutMs')
    else if (this.#sides.size > 0) this.dueSweep = NEVER
  }

  #onError(error: Error): void {
    if (this.#isOver) return
    const code = 'code' in error ? String(error.code) : error.name
    // What a client says of its own end is no fault of what it sent.
    if (code === 'ERR_HTTP2_SESSION_ERROR') this.#end(NGHTTP2_NO_ERROR)
    else this.#refuseBytes({ code })
  }

  #refuseBytes(detail: { readonly code: number | string }): void {
    if (this.#isOver) return
    // What one stream has done, its call says.
    const isSaid = [...this.#sides.values()].some(({ call }) => call.cutReason === 'malformed-body')
    if (isSaid) this.#end(NGHTTP2_NO_ERROR)
    else this.#refuse('malformed-header', { part: 'frame', ...detail })
  }

  // What the library calls must not throw: nobody would catch it.
  #attempt<Result>(run: () => Result): Result | undefined {
    try {
      return run()
    } catch (error) {
      const call = this.#host.makeCall(this.#origin, this.#origin.kind)
      call.reason = 'internal'
      this.#host.parts.onUnexpected(error, call)
      this.#host.parts.recorder.recordEnd(call)
      this.#socket.destroy()
      return undefined
    }
  }

  // Ends the connection for what came on it. One record, unless the streams say it.
  #refuse(
    reason: Reason,
    detail: Readonly<Record<string, string | number>>,
    code: number = NGHTTP2_NO_ERROR,
  ): void {
    const unserved = this.#unserved.size
    for (let at = 0; at < Math.max(1, unserved); at += 1) this.#record(reason, detail)
    this.#unserved.clear()
    this.#end(code)
  }

  #record(reason: Reason, detail: Readonly<Record<string, string | number>>): void {
    const call = this.#host.makeCall(this.#origin, this.#origin.kind)
    call.reason = reason
    call.detail = detail
    if (this.#origin.boundTo) call.task = this.#origin.boundTo.task
    this.#host.parts.recorder.recordEnd(call)
  }

  #end(code: number): void {
    if (this.#isOver) return
    this.#isOver = true
    // By then the socket is gone, whoever is to blame that it is not.
    this.#dueAfter('headTimeoutMs')
    for (const { call, isDone } of this.#sides.values()) if (!isDone) call.cut('client-gone')
    for (let at = this.#unserved.size; at > 0; at -= 1) this.#record('client-gone', {})
    this.#unserved.clear()
    this.#gate.finish(this.#isTold ? undefined : code, this.#lastStreamId)
    this.#session.destroy()
  }

  #dueAfter(timeout: 'headTimeoutMs' | 'keepAliveTimeoutMs'): void {
    this.dueSweep = this.#host.deadlines.after(this.#host.parts.limits[timeout])
  }

  #onClose(): void {
    this.#end(NGHTTP2_NO_ERROR)
    this.dueSweep = NEVER
    this.#host.deadlines.items.delete(this)
  }
}
