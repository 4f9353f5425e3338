// Bodies in S3's own chunks, each signed by the one before it: signed anew while they pass, chunk by chunk, in as many bytes.
// A chunk is held until it is whole, because its signature goes before it; what does not keep to the framing breaks the call off.
// Called by `sign-aws.ts`.
// @see https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html

import { EgressError } from '../errors.ts'
import { joinChunks } from '../inspect/whole-body.ts'
import { overBody, type Body } from '../wire/body.ts'
import type { ChunkSigner } from '../wire/sigv4.ts'

// The longest chunk that is held; SDKs send 64 to 128 KiB.
const AWS_CHUNK_BYTES_MAX = 1024 * 1024
const HEAD = /^([0-9a-fA-F]{1,8});chunk-signature=[0-9a-fA-F]{64}$/
const HEAD_BYTES_MAX = 8 + ';chunk-signature='.length + 64
const TRAILERS_BYTES_MAX = 8192
const TRAILER = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}):([\t\x20-\x7e]*)$/
const TRAILER_SIGNATURE = /(?<=^x-amz-trailer-signature:[ \t]*)[0-9a-f]{64}(?=[ \t]*\r?$)/gim
const LINE_END = '\r\n'

/** The same body with signatures of ours. @param hasTrailers whether signed fields follow the last chunk */
export function signAnew(body: Body, signer: ChunkSigner, hasTrailers: boolean): Body {
  const chunks = new SignedChunks(signer, hasTrailers)
  let left = body.length ?? Infinity
  let isOver = false
  return overBody(body, () => {
    for (;;) {
      const signed = isOver ? undefined : chunks.take()
      if (left <= 0 && chunks.isCutShort) throw malformed('end')
      if (signed !== undefined) return signed
      const bytes = body.read()
      if (bytes === null && !isOver) {
        isOver = true
        return chunks.takeRest()
      }
      if (bytes === null || bytes === undefined) return bytes
      left -= bytes.length
      chunks.push(bytes)
    }
  })
}

class SignedChunks {
  readonly #signer: ChunkSigner
  readonly #hasTrailers: boolean
  /** What arrived and has not left, and how much of it there is. */
  #held: Uint8Array[] = []
  #bytes = 0
  /** The chunk whose head has arrived: its size as it was written, and in bytes. */
  #chunk: { readonly size: string; readonly length: number } | undefined
  #isLast = false
  /** The last chunk, which leaves once all behind it is right. */
  #last: Uint8Array = Buffer.alloc(0)

  constructor(signer: ChunkSigner, hasTrailers: boolean) {
    this.#signer = signer
    this.#hasTrailers = hasTrailers
  }

  /** Whether nothing is held and the last chunk has not been there. */
  get isCutShort(): boolean {
    return this.#bytes === 0 && !this.#isLast
  }

  push(bytes: Uint8Array): void {
    this.#held.push(bytes)
    this.#bytes += bytes.length
  }

  /** Takes the next whole chunk, signed; undefined where more has to arrive. */
  take(): Uint8Array | undefined {
    if (this.#isLast) {
      if (this.#bytes > TRAILERS_BYTES_MAX) throw malformed('trailers')
      return undefined
    }
    this.#chunk ??= this.#readHead()
    if (this.#chunk === undefined) return undefined
    const { size, length } = this.#chunk
    this.#isLast = length === 0
    if (this.#isLast) {
      this.#last = this.#sign(size, Buffer.alloc(0))
      return undefined
    }
    const whole = length + LINE_END.length
    if (this.#bytes < whole) return undefined
    const held = this.#join()
    if (held.toString('latin1', length, whole) !== LINE_END) throw malformed('chunk')
    this.#hold(held.subarray(whole))
    this.#chunk = undefined
    return this.#sign(size, held.subarray(0, whole), length)
  }

  /** Takes the last chunk and what is behind it, once nothing more arrives. */
  takeRest(): Uint8Array {
    const rest = this.#join().toString('latin1')
    if (!this.#isLast || this.#bytes > TRAILERS_BYTES_MAX) throw malformed('end')
    if (!this.#hasTrailers && rest !== LINE_END) throw malformed('end')
    const text = this.#hasTrailers ? this.#signTrailers(rest) : rest
    return Buffer.concat([this.#last, Buffer.from(text, 'latin1')])
  }

  #readHead(): { readonly size: string; readonly length: number } | undefined {
    const held = this.#join()
    const end = held.indexOf(LINE_END)
    if (end < 0 && held.length <= HEAD_BYTES_MAX + LINE_END.length) return undefined
    const [, size] = HEAD.exec(held.toString('latin1', 0, Math.max(end, 0))) ?? []
    if (size === undefined) throw malformed('chunk head')
    const length = Number.parseInt(size, 16)
    if (length > AWS_CHUNK_BYTES_MAX)
      throw new EgressError('body-too-large', { bytesMax: AWS_CHUNK_BYTES_MAX })
    this.#hold(held.subarray(end + LINE_END.length))
    return { size, length }
  }

  // @param bytes of the chunk, with its line's end where it has one
  #sign(size: string, bytes: Buffer, length = 0): Uint8Array {
    const signature = this.#signer.sign(bytes.subarray(0, length))
    return Buffer.concat([Buffer.from(`${size};chunk-signature=${signature}${LINE_END}`), bytes])
  }

  #signTrailers(rest: string): string {
    const lines = rest.split(/\r?\n/).filter((line) => line !== '')
    const fields = lines.map((line) => TRAILER.exec(line))
    if (!rest.endsWith(LINE_END) || rest.match(TRAILER_SIGNATURE)?.length !== 1)
      throw malformed('trailers')
    const signed = fields.map((field) => {
      if (field === null) throw malformed('trailers')
      return `${field[1]!.toLowerCase()}:${field[2]!.trim()}\n`
    })
    const others = signed.filter((line) => !line.startsWith('x-amz-trailer-signature:'))
    if (others.length !== signed.length - 1) throw malformed('trailers')
    const signature = this.#signer.signTrailers(others.toSorted().join(''))
    return rest.replace(TRAILER_SIGNATURE, signature)
  }

  #join(): Buffer {
    const joined = Buffer.from(joinChunks(this.#held))
    this.#held = [joined]
    return joined
  }

  #hold(rest: Buffer): void {
    this.#held = [rest]
    this.#bytes = rest.length
  }
}

function malformed(part: string): EgressError {
  return new EgressError('malformed-body', { part: `aws ${part}` })
}
