// How much a client of HTTP/2 may ask of its connection without asking for anything: header blocks, streams that it resets before
// they are answered, frames that carry nothing. Counts frames; says which bound is reached. Made by `http2-connection.ts`.

import { END_HEADERS, END_STREAM, FRAME, type Frame } from '../wire/http2-frames.ts'
import type { Limits } from '../limits.ts'

/** The bounds that are looked at here. */
export type Http2Limits = Pick<
  Limits,
  'headBytesMax' | 'http2ResetsPerMinute' | 'http2ControlFramesPerSecond'
>

/** The counts of one connection. Times are milliseconds of one clock that never goes back. */
export class Http2Bounds {
  readonly #limits: Http2Limits
  readonly #resets: WindowCount
  readonly #control: WindowCount
  #blockBytes = 0

  constructor(limits: Http2Limits) {
    this.#limits = limits
    this.#resets = new WindowCount(60_000, limits.http2ResetsPerMinute)
    this.#control = new WindowCount(1000, limits.http2ControlFramesPerSecond)
  }

  /** Takes a frame of the client's. @returns the bound that it is beyond, undefined where it is within all */
  take(frame: Frame, now: number): keyof Http2Limits | undefined {
    const { type, flags, length } = frame
    if (type === FRAME.headers || type === FRAME.continuation) {
      this.#blockBytes = type === FRAME.headers ? length : this.#blockBytes + length
      if (this.#blockBytes > this.#limits.headBytesMax) return 'headBytesMax'
      return undefined
    }
    const carries =
      type === FRAME.windowUpdate ||
      (type === FRAME.data && (length > 0 || (flags & END_STREAM) !== 0))
    if (!carries && this.#control.isBeyond(now)) return 'http2ControlFramesPerSecond'
    return undefined
  }

  /** Counts a stream that ended before it was answered. @returns whether there were too many */
  countReset(now: number): boolean {
    return this.#resets.isBeyond(now)
  }
}

/** Whether a frame ends a header block. */
export function endsBlock({ type, flags }: Frame): boolean {
  return (type === FRAME.headers || type === FRAME.continuation) && (flags & END_HEADERS) !== 0
}

class WindowCount {
  readonly #windowMs: number
  readonly #most: number
  #since = 0
  #count = 0

  constructor(windowMs: number, most: number) {
    this.#windowMs = windowMs
    this.#most = most
  }

  isBeyond(now: number): boolean {
    if (now - this.#since >= this.#windowMs) {
      this.#since = now
      this.#count = 0
    }
    this.#count += 1
    return this.#count > this.#most
  }
}
