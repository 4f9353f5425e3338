// What a WebSocket's server says without values of credentials: texts have asterisks in their place, across frames; a binary message
// that has one is not passed on. Lengths stay, so frames do. Made by `brokering/upgrade.ts`, one an upgraded connection.

import { EgressError } from '../../errors.ts'
import {
  CONTROL_BYTES_MAX,
  FrameHeadReader,
  OPCODE,
  type FrameHead,
} from '../../wire/websocket-frame.ts'
import { Scrubber } from './scrubber.ts'
import type { Watch } from './watch.ts'

/** Bytes that wait behind a text that may have begun a value. */
const WAITING_BYTES_MAX = 64 * 1024
/** What a piece that waits takes beside its bytes. */
const WAITING_PIECE_BYTES = 10

/** Looks through the frames of a server. @see RFC 6455 section 5.2 */
export class FrameScrubber {
  readonly #watch: Watch
  #scrubber: Scrubber | undefined
  readonly #head = new FrameHeadReader()
  /** Of the frame's payload, yet to come; undefined between frames. */
  #left: number | undefined
  #isLast = false
  /** Of the message that has begun and not ended; undefined where none has. */
  #message: number | undefined
  /** The payload of a control frame so far; undefined where it is none. */
  #control: Buffer[] | undefined
  /** In the order in which they came: bytes, or how many of the text the scrubber has yet to give back. */
  readonly #queue: (Uint8Array | number)[] = []
  #waitingBytes = 0
  #outs: Uint8Array[] = []

  constructor(watch: Watch) {
    this.#watch = watch
  }

  /** Takes the next bytes. @returns what may go on @throws credential-echoed, response-malformed */
  push(bytes: Uint8Array): Uint8Array {
    let at = 0
    while (at < bytes.length)
      at = this.#left === undefined ? this.#readHead(bytes, at) : this.#readPayload(bytes, at)
    const outs = this.#outs
    this.#outs = []
    return outs.length === 1 ? outs[0]! : Buffer.concat(outs)
  }

  #readHead(bytes: Uint8Array, from: number): number {
    const at = this.#head.take(bytes, from)
    const head = this.#head.next()
    if (head) this.#beginFrame(head)
    return at
  }

  #beginFrame({ bytes, isLast, reserved, opcode, mask, length }: FrameHead): void {
    this.#isLast = isLast
    // No extension was offered, and a server masks nothing.
    if (reserved !== 0 || mask !== undefined || length === undefined) throw malformed()
    if (opcode >= OPCODE.close) {
      if (length > CONTROL_BYTES_MAX || !isLast) throw malformed()
      this.#control = []
    } else this.#beginData(opcode)
    this.#enqueue(bytes)
    this.#left = length
    if (length === 0) this.#endFrame()
  }

  #beginData(opcode: number): void {
    if ((opcode === OPCODE.continuation) !== (this.#message !== undefined)) throw malformed()
    if (opcode === OPCODE.continuation) return
    if (opcode !== OPCODE.text && opcode !== OPCODE.binary) throw malformed()
    this.#message = opcode
    this.#scrubber = new Scrubber(this.#watch.finder(), (credential) => this.#find(credential))
  }

  #readPayload(bytes: Uint8Array, at: number): number {
    const left = this.#left ?? 0
    const end = Math.min(bytes.length, at + left)
    const piece = bytes.subarray(at, end)
    if (this.#control) this.#control.push(Buffer.from(piece))
    else {
      this.#scrubber!.use(this.#watch.finder())
      this.#expect(piece.length)
      this.#giveBack(this.#scrubber!.push(piece))
    }
    this.#left = left - piece.length
    if (this.#left === 0) this.#endFrame()
    return end
  }

  #endFrame(): void {
    this.#left = undefined
    const control = this.#control
    this.#control = undefined
    if (control) {
      const scrubber = new Scrubber(this.#watch.finder(), (credential) =>
        this.#watch.onFound(credential, 'message'),
      )
      this.#enqueue(scrubber.scrub(Buffer.concat(control)))
    } else if (this.#isLast) {
      this.#giveBack(this.#scrubber!.end())
      this.#message = undefined
      this.#scrubber = undefined
    }
  }

  #find(credential: string): void {
    this.#watch.onFound(credential, 'message')
    if (this.#message === OPCODE.binary)
      throw new EgressError('credential-echoed', { credential, place: 'message' })
  }

  #expect(bytes: number): void {
    const last = this.#queue.length - 1
    const before = this.#queue[last]
    if (typeof before === 'number') this.#queue[last] = before + bytes
    else this.#queue.push(bytes)
  }

  #enqueue(bytes: Uint8Array): void {
    if (this.#queue.length === 0) {
      if (bytes.length > 0) this.#outs.push(bytes)
      return
    }
    this.#queue.push(bytes)
    this.#waitingBytes += bytes.length + WAITING_PIECE_BYTES
    if (this.#waitingBytes > WAITING_BYTES_MAX) throw malformed()
  }

  #giveBack(bytes: Uint8Array): void {
    let at = 0
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (typeof next === 'number') {
        const taken = Math.min(next, bytes.length - at)
        if (taken > 0) this.#outs.push(bytes.subarray(at, at + taken))
        at += taken
        if (taken < next) {
          this.#queue[0] = next - taken
          return
        }
      } else {
        this.#outs.push(next)
        this.#waitingBytes -= next.length + WAITING_PIECE_BYTES
      }
      this.#queue.shift()
    }
  }
}

function malformed(): EgressError {
  return new EgressError('response-malformed', { part: 'frame' })
}
