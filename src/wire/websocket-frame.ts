// Reads the heads of a WebSocket's frames, however their bytes come. Deliberately judges neither kinds, order nor who masks: that
// is their readers'. Pure; used by `inspect/websocket.ts` and `inject/scrub/frames.ts`.

/** What kinds of frames there are; from `close` on a frame is a control frame. */
export const OPCODE = { continuation: 0x0, text: 0x1, binary: 0x2, close: 0x8, pong: 0xa } as const
/** Bytes of a control frame's payload, at the most. */
export const CONTROL_BYTES_MAX = 125
/** Of the reserved bits the one that says that a message is compressed (RFC 7692). */
export const COMPRESSED = 0x40

const HEAD_BYTES_MAX = 14
const FIN = 0x80
const RESERVED = 0x70
const KIND = 0x0f
const MASKED = 0x80
const MASK_BYTES = 4
const LENGTH = 0x7f
const LENGTH_16 = 126
const LENGTH_64 = 127

/** What a head says. */
export interface FrameHead {
  /** As they came. */
  readonly bytes: Buffer
  /** Whether the message ends with this frame. */
  readonly isLast: boolean
  /** The three reserved bits where they stood; 0 where none is set. */
  readonly reserved: number
  readonly opcode: number
  /** Undefined where the payload is not masked. */
  readonly mask: Buffer | undefined
  /** Of the payload; undefined where it is longer than anybody can count, or written longer than it has to be. */
  readonly length: number | undefined
}

/** Reads one head after the other. @see RFC 6455 section 5.2 */
export class FrameHeadReader {
  readonly #head: Buffer = Buffer.alloc(HEAD_BYTES_MAX)
  #bytes = 0
  /** As far as it is known: two bytes say the rest. */
  #bytesMax = 2

  /** Takes what of some bytes is the head's. @returns where the rest begins */
  take(bytes: Uint8Array, from: number): number {
    let at = from
    for (; at < bytes.length && this.#bytes < this.#bytesMax; at += 1) {
      this.#head[this.#bytes] = bytes[at]!
      this.#bytes += 1
      if (this.#bytes === 2) this.#bytesMax = headBytes(this.#head[1]!)
    }
    return at
  }

  /** Gives the head, once, when it is whole; undefined until then. What is taken behind it is another one's. */
  next(): FrameHead | undefined {
    if (this.#bytes < this.#bytesMax) return undefined
    const bytes = Buffer.from(this.#head.subarray(0, this.#bytes))
    this.#bytes = 0
    this.#bytesMax = 2
    const [first, second] = [bytes[0]!, bytes[1]!]
    return {
      bytes,
      isLast: (first & FIN) !== 0,
      reserved: first & RESERVED,
      opcode: first & KIND,
      mask: (second & MASKED) === 0 ? undefined : bytes.subarray(-MASK_BYTES),
      length: payloadLength(bytes),
    }
  }
}

function headBytes(second: number): number {
  const short = second & LENGTH
  const extended = short === LENGTH_16 ? 2 : short === LENGTH_64 ? 8 : 0
  return 2 + extended + ((second & MASKED) === 0 ? 0 : MASK_BYTES)
}

function payloadLength(head: Buffer): number | undefined {
  const short = head[1]! & LENGTH
  if (short < LENGTH_16) return short
  if (short === LENGTH_16) {
    const length = head.readUInt16BE(2)
    return length < LENGTH_16 ? undefined : length
  }
  const length = head.readBigUInt64BE(2)
  return length > 0xffffn && length <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(length) : undefined
}
