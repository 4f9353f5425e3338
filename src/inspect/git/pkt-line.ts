// The pkt-line framing of git's protocols: four hexadecimal digits of length, then that much. Strict where git is: no length
// that the protocol does not have. Deliberately knows no line's meaning. Called by `push.ts` and `refusal.ts`.

import { EgressError } from '../../errors.ts'
import { ByteQueue } from './byte-queue.ts'

/** One packet: a line with its bytes, or one of the three that are only marks. */
export type PktLine =
  | { readonly kind: 'data'; readonly bytes: Buffer }
  | { readonly kind: 'flush' | 'delimiter' | 'response-end' }

/** Most bytes of a packet, its length included. */
export const PKT_BYTES_MAX = 65_520

/** The mark that ends a list. */
export const FLUSH: Buffer = Buffer.from('0000')

const LENGTH_BYTES = 4
const MARKS = ['flush', 'delimiter', 'response-end'] as const

/** Reads packets out of bytes that arrive in pieces of any size. */
export class PktLineReader {
  readonly #bytes = new ByteQueue()
  #consumedBytes = 0

  /** Bytes of all packets that were read. */
  get consumedBytes(): number {
    return this.#consumedBytes
  }

  /** Adds bytes. */
  append(chunk: Uint8Array): void {
    this.#bytes.append(chunk)
  }

  /**
   * The next packet, its bytes valid until the next `append`; undefined: not all of it has arrived.
   * @throws malformed-body: a length that is none
   */
  next(): PktLine | undefined {
    if (this.#bytes.length < LENGTH_BYTES) return undefined
    const view = this.#bytes.view()
    const length = readLength(view)
    const mark = MARKS[length]
    const size = mark === undefined ? length : LENGTH_BYTES
    if (size < LENGTH_BYTES || size > PKT_BYTES_MAX)
      throw new EgressError('malformed-body', { part: 'pkt-line', length })
    if (view.length < size) return undefined
    this.#bytes.drop(size)
    this.#consumedBytes += size
    return mark === undefined
      ? { kind: 'data', bytes: view.subarray(LENGTH_BYTES, size) }
      : { kind: mark }
  }

  /** What has arrived behind the packets that were read, which is no longer here then. */
  takeRest(): Buffer {
    const rest = this.#bytes.view()
    this.#bytes.drop(rest.length)
    return rest
  }
}

/** Bytes as one packet; at most `PKT_BYTES_MAX` less four. */
export function formatPktLine(bytes: string | Buffer): Buffer {
  const payload = Buffer.from(bytes)
  const length = (payload.length + LENGTH_BYTES).toString(16).padStart(LENGTH_BYTES, '0')
  return Buffer.concat([Buffer.from(length), payload])
}

function readLength(view: Buffer): number {
  const text = view.toString('latin1', 0, LENGTH_BYTES)
  if (!/^[0-9a-fA-F]{4}$/.test(text))
    throw new EgressError('malformed-body', { part: 'pkt-line', why: 'digits' })
  return Number.parseInt(text, 16)
}
