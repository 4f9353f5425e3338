// Undoes what Content-Encoding says, piece by piece and within a bound: a few layers, and not more bytes than so many times those
// that came. Made by `decoded-body.ts` and `checked-body.ts`.

import zlib from 'node:zlib'

import { EgressError } from '../../errors.ts'
import type { RawHeaders } from '../../wire/body.ts'
import { valuesOf } from '../../wire/headers.ts'

/** A coding that can be undone. */
export type Coding = 'gzip' | 'deflate' | 'br' | 'zstd'

type Stream = zlib.Gunzip | zlib.Inflate | zlib.BrotliDecompress | zlib.ZstdDecompress

const CODINGS: ReadonlyMap<string, Coding> = new Map([
  ['gzip', 'gzip'],
  ['x-gzip', 'gzip'],
  ['deflate', 'deflate'],
  ['br', 'br'],
  ['zstd', 'zstd'],
])
const LAYERS_MAX = 2
/** Bytes that may come of anything. */
const FREE_BYTES = 1024 * 1024
/** Bytes that are decoded in one go: what comes of them is in memory. */
const PIECE_BYTES = 4096
/** Bytes that may come of them, in all layers. */
const PIECE_MADE_BYTES_MAX = 8 * 1024 * 1024
// RFC 9659: what a decoder of the Web is to bear.
const ZSTD_WINDOW_LOG = 23
const ZLIB_METHOD = 8

/** The codings of a body, the outermost first; undefined where one of them cannot be undone. */
export function codingsOf(headers: RawHeaders): readonly Coding[] | undefined {
  const names = valuesOf(headers, 'content-encoding')
    .flatMap((value) => value.split(','))
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '' && name !== 'identity')
  const codings = names.map((name) => CODINGS.get(name)).filter((coding) => coding !== undefined)
  if (codings.length < names.length || names.length > LAYERS_MAX) return undefined
  return codings.toReversed()
}

/** Undoes the codings of one body. */
export class Decoder {
  readonly #layers: readonly Layer[]
  readonly #ratioMax: number
  #taken = 0
  #made = 0
  #ofPiece = 0

  /** @param codings the outermost first @param ratioMax bytes that may come of one, beyond the first MiB */
  constructor(codings: readonly Coding[], ratioMax: number) {
    this.#ratioMax = ratioMax
    this.#layers = codings.map((coding) => new Layer(coding, (bytes) => this.#count(bytes)))
  }

  /** What comes of some bytes, piece by piece. @throws response-malformed */
  async *decode(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      const piece = bytes.subarray(at, at + PIECE_BYTES)
      this.#taken += piece.length
      this.#ofPiece = 0
      yield* await this.#through(0, [piece])
    }
  }

  /** What comes when no more bytes will. @throws response-malformed */
  async end(): Promise<Uint8Array[]> {
    this.#ofPiece = 0
    let rest: Uint8Array[] = []
    for (const [at, layer] of this.#layers.entries()) {
      const outs = at === 0 ? [] : await this.#through(at, rest, at + 1)
      rest = [...outs, ...(await layer.end())]
    }
    return rest
  }

  /** Gives back what decoding takes. */
  close(): void {
    for (const layer of this.#layers) layer.close()
  }

  async #through(
    from: number,
    pieces: readonly Uint8Array[],
    to = this.#layers.length,
  ): Promise<Uint8Array[]> {
    let inputs = [...pieces]
    for (const layer of this.#layers.slice(from, to)) {
      const outs: Uint8Array[] = []
      for (const input of inputs) outs.push(...(await layer.write(input)))
      inputs = outs
    }
    return inputs
  }

  #count(bytes: number): void {
    this.#made += bytes
    this.#ofPiece += bytes
    if (this.#ofPiece > PIECE_MADE_BYTES_MAX)
      throw malformed({ pieceMadeBytesMax: PIECE_MADE_BYTES_MAX })
    if (this.#made > FREE_BYTES + this.#taken * this.#ratioMax)
      throw malformed({ ratioMax: this.#ratioMax })
  }
}

// One stream of zlib, written to and read from in turns.
class Layer {
  readonly #coding: Coding
  readonly #onBytes: (bytes: number) => void
  #stream: Stream | undefined
  #outs: Uint8Array[] = []
  #error: Error | undefined
  /** What its format ends with has come: nothing may follow. */
  #isOver = false
  #written = 0
  #settle: () => void = () => undefined

  constructor(coding: Coding, onBytes: (bytes: number) => void) {
    this.#coding = coding
    this.#onBytes = onBytes
  }

  async write(bytes: Uint8Array): Promise<Uint8Array[]> {
    if (bytes.length === 0) return []
    if (this.#isOver) {
      this.#checkBehind(bytes)
      return []
    }
    this.#stream ??= this.#open(bytes[0]!)
    const stream = this.#stream
    this.#written += bytes.length
    const outs = await this.#settled((done) => stream.write(bytes, done))
    // Where it ended within them, the stream has left the rest alone.
    const left = this.#written - stream.bytesWritten
    if (this.#isOver && left > 0) this.#checkBehind(bytes.subarray(-left))
    return outs
  }

  async end(): Promise<Uint8Array[]> {
    const stream = this.#stream
    // Nothing came: so does nothing.
    return stream === undefined || this.#isOver
      ? []
      : this.#settled((done) => stream.once('end', done).end())
  }

  close(): void {
    this.#stream?.destroy()
    this.#settle()
  }

  // Another reader may take it for more of the same. Zeros behind gzip are padding.
  #checkBehind(bytes: Uint8Array): void {
    if (this.#coding !== 'gzip' || bytes.some((byte) => byte !== 0)) throw malformed({ behind: 1 })
  }

  #open(first: number): Stream {
    const stream = openStream(this.#coding, first)
    stream.on('data', (bytes: Buffer) => {
      if (this.#error) return
      this.#outs.push(bytes)
      try {
        this.#onBytes(bytes.length)
      } catch (error) {
        stream.destroy(error instanceof Error ? error : malformed({}))
      }
    })
    stream.on('error', (error) => {
      this.#error ??= error instanceof EgressError ? error : malformed({})
      this.#settle()
    })
    stream.on('end', () => {
      this.#isOver = true
    })
    stream.on('close', () => {
      this.#isOver = true
      this.#settle()
    })
    return stream
  }

  async #settled(begin: (done: () => void) => void): Promise<Uint8Array[]> {
    if (!this.#error)
      await new Promise<void>((resolve) => {
        this.#settle = resolve
        begin(resolve)
      })
    if (this.#error) throw this.#error
    const outs = this.#outs
    this.#outs = []
    return outs
  }
}

function openStream(coding: Coding, first: number): Stream {
  if (coding === 'gzip') return zlib.createGunzip()
  if (coding === 'br') return zlib.createBrotliDecompress()
  if (coding === 'zstd')
    return zlib.createZstdDecompress({
      params: { [zlib.constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG },
    })
  // Some servers send it without the wrapper that its name means.
  return (first & 0x0f) === ZLIB_METHOD ? zlib.createInflate() : zlib.createInflateRaw()
}

function malformed(detail: Readonly<Record<string, number>>): EgressError {
  return new EgressError('response-malformed', { part: 'content-encoding', ...detail })
}
