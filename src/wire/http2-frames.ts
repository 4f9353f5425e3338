// Frames of HTTP/2 as they pass: where each begins, what it is and how long, whatever the bytes are cut into. Looks at frame
// heads, and into the two kinds of frames that end something. Pure; called by `listen/` for both directions of a connection.
// Deliberately not here: what a header block says, which is the library's.

/** One frame. @see RFC 9113 section 4.1 */
export interface Frame {
  readonly type: number
  readonly flags: number
  readonly streamId: number
  /** Bytes of its payload. */
  readonly length: number
  /** What RST_STREAM and GOAWAY say; 0 of all others. */
  readonly errorCode: number
}

/** The types of frames, as far as somebody asks. @see RFC 9113 section 6 */
export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  resetStream: 3,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

/** The stream ends with this frame (DATA, HEADERS). */
export const END_STREAM = 1
/** Not all of the payload is the frame's own (DATA, HEADERS). */
export const PADDED = 8
/** The header block ends with this frame (HEADERS, CONTINUATION). */
export const END_HEADERS = 4

const PREFACE_BYTES = 24
const HEAD_BYTES = 9
const CODE_BYTES = 4
// In front of the code: the last stream.
const GOAWAY_BYTES = 4 + CODE_BYTES

/** Follows one direction of a connection. */
export class FrameReader {
  readonly #onFrame: (frame: Frame) => void
  readonly #held = Buffer.allocUnsafe(HEAD_BYTES + GOAWAY_BYTES)
  #heldBytes = 0
  /** Of a payload, or of the preface, still to pass. */
  #skip: number

  /** @param begins `client`: with the preface of a client */
  constructor(begins: 'client' | 'server', onFrame: (frame: Frame) => void) {
    this.#skip = begins === 'client' ? PREFACE_BYTES : 0
    this.#onFrame = onFrame
  }

  /** Whether the last byte that passed was the end of a frame. */
  get isBetween(): boolean {
    return this.#skip === 0 && this.#heldBytes === 0
  }

  /** Takes bytes that pass; each frame is told once its head is whole, one with a code once that is. */
  read(bytes: Uint8Array): void {
    let at = 0
    while (at < bytes.length) {
      if (this.#skip > 0) {
        const passed = Math.min(this.#skip, bytes.length - at)
        this.#skip -= passed
        at += passed
        continue
      }
      const wanted = Math.min(this.#wanted - this.#heldBytes, bytes.length - at)
      this.#held.set(bytes.subarray(at, at + wanted), this.#heldBytes)
      this.#heldBytes += wanted
      at += wanted
      if (this.#heldBytes === this.#wanted) this.#tell()
    }
  }

  // How much of the frame has to be there to say what it is.
  get #wanted(): number {
    if (this.#heldBytes < HEAD_BYTES) return HEAD_BYTES
    return HEAD_BYTES + Math.min(codeEnd(this.#held[3]!), this.#held.readUIntBE(0, 3))
  }

  #tell(): void {
    const held = this.#held
    const length = held.readUIntBE(0, 3)
    const read = this.#heldBytes - HEAD_BYTES
    const hasCode = read > 0 && read === codeEnd(held[3]!)
    this.#heldBytes = 0
    this.#skip = length - read
    this.#onFrame({
      type: held[3]!,
      flags: held[4]!,
      streamId: held.readUInt32BE(5) & 0x7fffffff,
      length,
      errorCode: hasCode ? held.readUInt32BE(HEAD_BYTES + read - CODE_BYTES) : 0,
    })
  }
}

/** The word that a connection ends. */
export function goAwayFrame(errorCode: number, lastStreamId: number): Buffer {
  const frame = Buffer.alloc(HEAD_BYTES + GOAWAY_BYTES)
  frame[2] = GOAWAY_BYTES
  frame[3] = FRAME.goAway
  frame.writeUInt32BE(lastStreamId, HEAD_BYTES)
  frame.writeUInt32BE(errorCode, HEAD_BYTES + CODE_BYTES)
  return frame
}

// Where in the payload the code ends; 0 where there is none.
function codeEnd(type: number): number {
  if (type === FRAME.resetStream) return CODE_BYTES
  return type === FRAME.goAway ? GOAWAY_BYTES : 0
}
