// Splits a stream of server-sent events over raw bytes, chunk borders anywhere. An event that every reader reads alike keeps
// its bytes; any other is written anew from what the standard reads in it. Deliberately knows nothing of MCP. Called by
// `bodies.ts`.

import { Buffer } from 'node:buffer'

import { EgressError } from '../../errors.ts'
import { formatEvent, hasOddBreaks, isPlainLine, type SseFields } from './sse-format.ts'

/** A comment or an empty line between events: goes on at once. */
export interface SseFiller {
  readonly kind: 'filler'
  readonly bytes: Uint8Array
}

/** An event that is complete. */
export interface SseEvent extends SseFields {
  readonly kind: 'event'
  /** What goes on where nothing is changed; empty where nothing of it counts. */
  readonly bytes: Uint8Array
}

const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20
const COLON = 0x3a
const BYTE_ORDER_MARK = Uint8Array.of(0xef, 0xbb, 0xbf)
const LINE_END = Uint8Array.of(CR, LF)
const COMMENT = Buffer.from(':\n')
const FIRST_BYTES = 1024
const KEPT_BYTES = 65_536
const FIELD_LENGTH_MAX = 5
const RETRY = /^\d{1,9}$/
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Takes chunks, gives events; what is unfinished at the end is never dispatched and so dropped. */
export class SseReader {
  readonly #eventBytesMax: number
  // The event that is being read, its lines up to now.
  #buffer: Buffer = Buffer.allocUnsafe(FIRST_BYTES)
  #length = 0
  #lineStart = 0
  // How many bytes of a byte order mark have come; negative once the stream has begun.
  #markBytes = 0
  // The line before ended in CR: an LF now belongs to it.
  #endedInCr = false
  #data: [from: number, to: number][] = []
  #fields: { type?: string; id?: string; retry?: string } = {}
  #hasFields = false
  #isPlain = true

  /** @param eventBytesMax bytes of one event, its field names and line ends included */
  constructor(eventBytesMax: number) {
    this.#eventBytesMax = eventBytesMax
  }

  /** Memory that an unfinished event takes. */
  get keptBytes(): number {
    return this.#buffer.length
  }

  /** What the next chunk completes. @throws response-malformed where an event is larger than it may be */
  read(chunk: Uint8Array): readonly (SseFiller | SseEvent)[] {
    const items: (SseFiller | SseEvent)[] = []
    let at = this.#markBytes < 0 ? 0 : this.#skipMark(chunk)
    let lf = -1
    let cr = -1
    while (at < chunk.length) {
      if (this.#endedInCr) {
        this.#endedInCr = false
        if (chunk[at] === LF) {
          at += 1
          continue
        }
        // Not every reader ends a line at a CR alone. Of an event that is over, the LF went on with it.
        if (this.#length > 0) this.#isPlain = false
      }
      if (lf < at) lf = indexOrEnd(chunk, LF, at)
      if (cr < at) cr = indexOrEnd(chunk, CR, at)
      const end = Math.min(lf, cr)
      this.#append(chunk.subarray(at, end))
      if (end === chunk.length) break
      this.#endedInCr = end === cr
      this.#endLine(items)
      at = end + 1
    }
    return items
  }

  // The mark is not of the stream, and not every reader drops it.
  #skipMark(chunk: Uint8Array): number {
    let at = 0
    while (this.#markBytes >= 0 && at < chunk.length) {
      if (chunk[at] === BYTE_ORDER_MARK[this.#markBytes]) {
        at += 1
        this.#markBytes += 1
        if (this.#markBytes === BYTE_ORDER_MARK.length) this.#markBytes = -1
      } else {
        this.#append(BYTE_ORDER_MARK.subarray(0, this.#markBytes))
        this.#markBytes = -1
      }
    }
    return at
  }

  #append(bytes: Uint8Array): void {
    const length = this.#length + bytes.length
    if (length > this.#eventBytesMax)
      throw new EgressError('response-malformed', { part: 'event size' })
    if (length > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, 2 * this.#buffer.length))
      larger.set(this.#buffer.subarray(0, this.#length))
      this.#buffer = larger
    }
    this.#buffer.set(bytes, this.#length)
    this.#length = length
  }

  #endLine(items: (SseFiller | SseEvent)[]): void {
    const from = this.#lineStart
    const to = this.#length
    this.#append(this.#endedInCr ? LINE_END : LINE_END.subarray(1))
    this.#lineStart = this.#length
    if (from === to) {
      items.push(this.#hasFields ? this.#takeEvent() : { kind: 'filler', bytes: this.#take() })
      return
    }
    if (this.#buffer[from] !== COLON) {
      this.#readField(from, to)
      return
    }
    const isPlain = isPlainLine(this.#buffer.subarray(from, to))
    if (this.#hasFields) this.#isPlain &&= isPlain
    // A heartbeat does not wait for the event behind it.
    else {
      const bytes = this.#take()
      items.push({ kind: 'filler', bytes: isPlain ? bytes : COMMENT })
    }
  }

  #readField(from: number, to: number): void {
    this.#hasFields = true
    const line = this.#buffer.subarray(from, to)
    const colon = line.indexOf(COLON)
    const nameLength = colon < 0 ? line.length : colon
    const name = nameLength > FIELD_LENGTH_MAX ? '' : line.toString('latin1', 0, nameLength)
    let start = colon < 0 ? line.length : colon + 1
    if (line[start] === SPACE) start += 1
    if (name === 'data') this.#data.push([from + start, to])
    else if (name === 'event') this.#note('type', line.subarray(start))
    else if (name === 'id' || name === 'retry') this.#note(name, line.subarray(start))
    // Ignored by the standard, but not by everybody.
    else this.#isPlain = false
  }

  #note(name: 'type' | 'id' | 'retry', value: Uint8Array): void {
    // The last of a name counts for the standard, the first for somebody.
    if (this.#fields[name] !== undefined) this.#isPlain = false
    const text = isPlainLine(value) ? utf8.decode(value) : undefined
    if (text === undefined || (name === 'retry' && !RETRY.test(text))) this.#isPlain = false
    else this.#fields[name] = text
  }

  #takeEvent(): SseEvent {
    const data = this.#joinData()
    const fields: SseFields = { ...this.#fields, ...(data && { data }) }
    const isPlain = this.#isPlain && !hasOddBreaks(this.#buffer.subarray(0, this.#length))
    const bytes = this.#take()
    this.#data = []
    this.#fields = {}
    this.#hasFields = false
    this.#isPlain = true
    return { kind: 'event', ...fields, bytes: isPlain ? bytes : formatEvent(fields) }
  }

  #joinData(): Uint8Array | undefined {
    const [first] = this.#data
    if (first === undefined) return undefined
    const lines = this.#data.map(([from, to]) => this.#buffer.subarray(from, to))
    if (lines.length === 1) return Buffer.from(lines[0]!)
    const parts: Uint8Array[] = []
    for (const line of lines) parts.push(line, LINE_END.subarray(1))
    return Buffer.concat(parts.slice(0, -1))
  }

  #take(): Buffer {
    const bytes = Buffer.from(this.#buffer.subarray(0, this.#length))
    this.#length = 0
    this.#lineStart = 0
    // One large event must not be paid for as long as the stream is open.
    if (this.#buffer.length > KEPT_BYTES) this.#buffer = Buffer.allocUnsafe(FIRST_BYTES)
    return bytes
  }
}

function indexOrEnd(chunk: Uint8Array, byte: number, from: number): number {
  const at = chunk.indexOf(byte, from)
  return at < 0 ? chunk.length : at
}
