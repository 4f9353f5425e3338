// What a WebSocket's server says without values of credentials: texts have asterisks in their place, across frames; a binary message
// that has one is not passed on. Lengths stay, so frames do. Made by `brokering/upgrade.ts`, one an upgraded connection.

import { EgressError } from '../../errors.ts'
import { Scrubber } from './scrubber.ts'
import type { Watch } from './watch.ts'

const FIN = 0x80
const RESERVED = 0x70
const OPCODE = 0x0f
const MASKED = 0x80
const LENGTH = 0x7f
const LENGTH_16 = 126
const LENGTH_64 = 127
const CONTINUATION = 0x0
const TEXT = 0x1
const BINARY = 0x2
const CONTROL = 0x8
const CONTROL_BYTES_MAX = 125
const HEAD_BYTES_MAX = 10
/** Bytes that wait behind a text that may have begun a value. */
const WAITING_BYTES_MAX = 64 * 1024

/** Looks through the frames of a server. @see RFC 6455 section 5.2 */
export class FrameScrubber {
  readonly #watch: Watch
  #scrubber: Scrubber | undefined
  readonly #head: Buffer = Buffer.alloc(HEAD_BYTES_MAX)
  #headBytes = 0
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
    let at = from
    for (; at < bytes.length && this.#headBytes < this.#headLength(); at += 1) {
      this.#head[this.#headBytes] = bytes[at]!
      this.#headBytes += 1
    }
    if (this.#headBytes >= this.#headLength()) this.#beginFrame()
    return at
  }

  // As far as it is known: two bytes say the rest.
  #headLength(): number {
    if (this.#headBytes < 2) return 2
    const short = this.#head[1]! & LENGTH
    return short < LENGTH_16 ? 2 : short === LENGTH_64 ? 10 : 4
  }

  #beginFrame(): void {
    const head = Buffer.from(this.#head.subarray(0, this.#headBytes))
    const opcode = head[0]! & OPCODE
    const short = head[1]! & LENGTH
    const length =
      short < LENGTH_16
        ? short
        : short === LENGTH_16
          ? head.readUInt16BE(2)
          : Number(head.readBigUInt64BE(2))
    this.#headBytes = 0
    this.#isLast = (head[0]! & FIN) !== 0
    // No extension was offered, and a server masks nothing.
    if ((head[0]! & RESERVED) !== 0 || (head[1]! & MASKED) !== 0) throw malformed()
    if (!Number.isSafeInteger(length)) throw malformed()
    if (opcode >= CONTROL) {
      if (length > CONTROL_BYTES_MAX || !this.#isLast) throw malformed()
      this.#control = []
    } else this.#beginData(opcode)
    this.#enqueue(head)
    this.#left = length
    if (length === 0) this.#endFrame()
  }

  #beginData(opcode: number): void {
    if ((opcode === CONTINUATION) !== (this.#message !== undefined)) throw malformed()
    if (opcode === CONTINUATION) return
    if (opcode !== TEXT && opcode !== BINARY) throw malformed()
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
    if (this.#message === BINARY)
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
    // What an empty frame takes beside its bytes.
    this.#waitingBytes += bytes.length + HEAD_BYTES_MAX
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
        this.#waitingBytes -= next.length + HEAD_BYTES_MAX
      }
      this.#queue.shift()
    }
  }
}

function malformed(): EgressError {
  return new EgressError('response-malformed', { part: 'frame' })
}
