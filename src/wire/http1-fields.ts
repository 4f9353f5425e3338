// The lines of a message head or a trailer section, read byte by byte as they arrive: strict, incremental, the same outcome
// however the bytes are cut. Pure. The start line is whose head it is: `http1-head.ts`; trailers: `http1-body.ts`.

import { EgressError, type Reason } from '../errors.ts'

/** What is wrong with a line, and where. */
export interface LineFault {
  readonly reason: Reason
  readonly part: string
}

/** Bounds of a section, and the reasons of what is wrong with it. */
export interface SectionOptions {
  /** Bytes, the empty line at the end included. */
  readonly bytesMax: number
  readonly malformed: Reason
  readonly tooLarge: Reason
}

const CR = 0x0d
const LF = 0x0a
const SPACE = 0x20
const TAB = 0x09
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
// RFC 9110 section 5.5 without obs-fold: visible characters, space, tab, bytes above ASCII.
// eslint-disable-next-line no-control-regex
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
// Whole lines with a name and a value each, up to the empty one: what nearly every section is, seen in one look.
const SOUND_LINES =
  // eslint-disable-next-line no-control-regex
  /^(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n$/
// A CR or LF that is not the two together; a CR at the very end may yet become them.
const BARE_LINE_END = /\n|\r(?!$)/
// How long the names of the framing fields are.
const FRAMING: ReadonlySet<number> = new Set(['content-length'.length, 'transfer-encoding'.length])
const END = Buffer.from('\r\n\r\n')

/**
 * Reads lines up to an empty one. Reused from message to message by its owner: `begin` first.
 * A line's fault is told as soon as the line is there, at the first byte order has it, whatever comes behind it.
 */
export class FieldSection {
  /** Names and values in order and spelling, latin1. A new list for each section. */
  headers: string[] = []
  readonly #options: SectionOptions
  readonly #readStart: ((line: string) => LineFault | undefined) | undefined
  #started = false
  /** Bytes of this section that came without its end. */
  #held: Buffer | undefined
  #heldBytes = 0
  /** Where the first line begins that has not been read, from the section's first byte. */
  #readBytes = 0

  /** @param readStart takes the first line, and refuses one with a CR or LF in it; none in a trailer section */
  constructor(options: SectionOptions, readStart?: (line: string) => LineFault | undefined) {
    this.#options = options
    this.#readStart = readStart
  }

  /** Whether a byte of the section has come. */
  get hasBegun(): boolean {
    return this.#heldBytes > 0
  }

  /** Forgets the last section. */
  begin(): void {
    this.headers = []
    this.#started = this.#readStart === undefined
    this.#held = undefined
    this.#heldBytes = 0
    this.#readBytes = 0
  }

  /**
   * Takes bytes.
   * @returns where the section ended in `bytes`, behind its empty line; -1 where it goes on: then all of them were taken
   * @throws EgressError with `part` and `offset` (bytes from the section's beginning to its line)
   */
  read(bytes: Buffer, at: number): number {
    if (this.#held !== undefined) return this.#readHeld(bytes, at)
    const end = this.#endOf(bytes, at, at)
    if (end >= 0) {
      this.#readLines(bytes, at, end, end - at)
      return end
    }
    if (at < bytes.length) this.#hold(bytes, at)
    return -1
  }

  #readHeld(bytes: Buffer, at: number): number {
    const before = this.#heldBytes
    const searchFrom = Math.max(0, before - (END.length - 1))
    const all = this.#append(bytes, at)
    const sectionBytes = this.#endOf(all, 0, searchFrom)
    if (sectionBytes < 0) {
      // A line that comes byte by byte is not read anew with each of them.
      const isTold = all[before - 1] === CR || bytes.includes(CR, at) || bytes.includes(LF, at)
      if (isTold || all.length > this.#options.bytesMax)
        this.#readLines(all, this.#readBytes, all.length, all.length)
      return -1
    }
    this.#readLines(all, this.#readBytes, sectionBytes, sectionBytes)
    return at + sectionBytes - before
  }

  // A trailer section without a field is an empty line alone.
  #endOf(bytes: Buffer, at: number, searchFrom: number): number {
    if (this.#readStart === undefined && bytes[at] === CR && bytes[at + 1] === LF) return at + 2
    const end = bytes.indexOf(END, searchFrom)
    return end < 0 ? -1 : end + END.length
  }

  #hold(bytes: Buffer, at: number): void {
    const length = bytes.length - at
    this.#held = Buffer.allocUnsafe(Math.max(1024, length * 2))
    bytes.copy(this.#held, 0, at)
    this.#heldBytes = length
    this.#readLines(this.#held, 0, length, length)
  }

  #append(bytes: Buffer, at: number): Buffer {
    const length = this.#heldBytes + bytes.length - at
    let held = this.#held!
    if (held.length < length) {
      held = Buffer.allocUnsafe(length * 2)
      this.#held!.copy(held, 0, 0, this.#heldBytes)
      this.#held = held
    }
    bytes.copy(held, this.#heldBytes, at)
    this.#heldBytes = length
    return held.subarray(0, length)
  }

  /** @param sectionBytes how far the section is known to reach: beyond the bound it is refused, but for a fault before that */
  #readLines(bytes: Buffer, from: number, to: number, sectionBytes: number): void {
    const { bytesMax, tooLarge } = this.#options
    const excess = sectionBytes - bytesMax
    const text = bytes.toString('latin1', from, excess > 0 ? Math.max(from, to - excess) : to)
    let at = 0
    if (!this.#started) {
      const end = text.indexOf('\r\n')
      if (end >= 0) {
        this.#readLine(text, 0, end)
        at = end + 2
      }
    }
    const isSound = this.#started && SOUND_LINES.test(at === 0 ? text : text.slice(at))
    for (;;) {
      const end = text.indexOf('\r\n', at)
      if (end < 0) break
      if (end > at || !this.#started) this.#readLine(text, at, end, isSound)
      at = end + 2
    }
    if (!isSound) this.#checkBegun(text, at)
    this.#readBytes += at
    if (excess > 0) throw new EgressError(tooLarge, { bytesMax })
  }

  #readLine(text: string, at: number, end: number, isSound = false): void {
    if (this.#started) this.#readField(text, at, end, isSound)
    else {
      const fault = this.#readStart!(text.slice(at, end))
      if (fault) throw this.#refuse(fault, at)
      this.#started = true
    }
  }

  #readField(text: string, at: number, end: number, isSound: boolean): void {
    const colon = text.indexOf(':', at)
    if (colon <= at || colon >= end) throw this.#refuseField(at)
    const name = text.slice(at, colon)
    let from = colon + 1
    let to = end
    while (from < to && isBlank(text.charCodeAt(from))) from += 1
    while (to > from && isBlank(text.charCodeAt(to - 1))) to -= 1
    const value = text.slice(from, to)
    if (!isSound && (!TOKEN.test(name) || !VALUE.test(value))) throw this.#refuseField(at)
    // There are parsers to which `chunked` with a tab behind it is another coding.
    if (FRAMING.has(name.length) && text.slice(colon, end).includes('\t')) this.#refuseTab(name, at)
    this.headers.push(name, value)
  }

  #refuseTab(name: string, at: number): void {
    if (/^(?:content-length|transfer-encoding)$/i.test(name)) throw this.#refuseField(at)
  }

  // A line that is not whole yet but can never be right: what is refused late would be waited for until a time-out.
  #checkBegun(text: string, at: number): void {
    if (at === text.length) return
    if (BARE_LINE_END.test(at === 0 ? text : text.slice(at))) this.#readLine(text, at, text.length)
    else if (!this.#started && !TOKEN.test(text[at]!)) this.#readLine(text, at, at + 1)
  }

  #refuseField(at: number): EgressError {
    return this.#refuse({ reason: this.#options.malformed, part: 'field' }, at)
  }

  #refuse({ reason, part }: LineFault, at: number): EgressError {
    return new EgressError(reason, { part, offset: this.#readBytes + at })
  }
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB
}
