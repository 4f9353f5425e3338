// Takes values out of bytes that stream by: whatever way they are cut, as they are and escaped, every byte of a value becomes an
// asterisk, so that lengths, frames and JSON stay as they were. Only bytes that may have begun a value wait for the next. Pure;
// made by `watched-body.ts`, `frames.ts` and `head.ts`.

import { ESCAPINGS } from './escapes.ts'
import type { FormFinder } from './form-finder.ts'
import { forgetWindow, indexOf, readWindow, whereRead } from './unescape.ts'

const MASK = 0x2a
const NOTHING = new Uint8Array(0)
/** Bytes of a beginning that may go on before it is known what they begin. */
const FLUSHED_BYTES_MAX = 3

/** Scrubs one stream of bytes. */
export class Scrubber {
  #finder: FormFinder
  readonly #onFound: (owner: string) => void
  /** What has come and may be the beginning of a value, as it came. */
  #held: Uint8Array = NOTHING
  /** Before where in it nothing begins a value: as it is, then by each escaping. */
  readonly #from: number[] = [0, ...ESCAPINGS.map(() => 0)]
  /** Bytes of it that have gone on already. */
  #flushed = 0
  /** Starts and ends of values that were found in it. */
  #marks: number[] = []

  /** @param onFound told of a value's owner each time one is found */
  constructor(finder: FormFinder, onFound: (owner: string) => void) {
    this.#finder = finder
    this.#onFound = onFound
  }

  /** Bytes that wait. */
  get heldBytes(): number {
    return this.#held.length
  }

  /** Whether bytes wait that are few enough for `flush`. */
  get canFlush(): boolean {
    const few = this.#held.length
    return few > this.#flushed && few <= FLUSHED_BYTES_MAX && this.#marks.length === 0
  }

  /** Looks for other values from here on. */
  use(finder: FormFinder): void {
    this.#finder = finder
  }

  /** Takes the next bytes, which stay as they are. @returns what may go on */
  push(chunk: Uint8Array): Uint8Array {
    return this.#scan(this.#held.length === 0 ? chunk : join(this.#held, chunk), false)
  }

  /** Lets bytes that wait go on where they are few; they stay looked at, and a value shows no more than these of itself then. */
  flush(): Uint8Array {
    if (!this.canFlush) return NOTHING
    const out = this.#held.subarray(this.#flushed)
    this.#flushed = this.#held.length
    return out
  }

  /** No more bytes will come. @returns the rest */
  end(): Uint8Array {
    return this.#held.length === 0 ? NOTHING : this.#scan(this.#held, true)
  }

  /** All of some bytes at once. */
  scrub(bytes: Uint8Array): Uint8Array {
    return this.#scan(bytes, true)
  }

  #scan(bytes: Uint8Array, isLast: boolean): Uint8Array {
    const to = bytes.length
    const finder = this.#finder
    const from = this.#from
    finder.find(bytes, from[0]!, to, this.#markPlain)
    const plain = isLast ? to : finder.beginning(bytes, from[0]!, to)
    from[0] = plain
    let hold = plain
    for (let way = 0; way < ESCAPINGS.length; way += 1) {
      const start = this.#scanEscaped(bytes, way, isLast, plain)
      from[way + 1] = start
      if (start < hold) hold = start
    }
    return this.#release(bytes, hold)
  }

  /** @returns before where nothing begins a value that is escaped this way */
  #scanEscaped(bytes: Uint8Array, way: number, isLast: boolean, plain: number): number {
    const to = bytes.length
    const finder = this.#finder
    const escaping = ESCAPINGS[way]!
    const reach = finder.lengthMax - 1
    let at = this.#from[way + 1]!
    // Behind a window nothing is escaped: what begins there begins as it is.
    let floor = at
    let marker = indexOf(bytes, escaping.marker, at)
    while (marker >= 0) {
      const start = Math.max(at, marker - reach)
      const window = readWindow(bytes, start, to, escaping, reach, isLast)
      finder.find(window.bytes, 0, window.length, (found, length, owner) => {
        this.#mark(whereRead(window, found), whereRead(window, found + length), owner)
      })
      if (window.isOpen) {
        const begun = isLast ? window.length : finder.beginning(window.bytes, 0, window.length)
        return isLast ? to : whereRead(window, begun)
      }
      at = window.end
      floor = plain
      marker = indexOf(bytes, escaping.marker, at)
    }
    return Math.max(floor, plain)
  }

  #markPlain = (at: number, length: number, owner: string): void => {
    this.#mark(at, at + length, owner)
  }

  #mark(from: number, to: number, owner: string): void {
    this.#marks.push(from, to)
    this.#onFound(owner)
  }

  #release(bytes: Uint8Array, hold: number): Uint8Array {
    const out = this.#marks.length === 0 ? bytes.subarray(0, hold) : this.#masked(bytes, hold)
    this.#held = hold === bytes.length ? NOTHING : bytes.slice(hold)
    for (let way = 0; way < this.#from.length; way += 1) this.#from[way]! -= hold
    const gone = Math.min(this.#flushed, hold)
    this.#flushed -= gone
    return gone === 0 ? out : out.subarray(gone)
  }

  #masked(bytes: Uint8Array, hold: number): Uint8Array {
    const out = Uint8Array.prototype.slice.call(bytes, 0, hold)
    const left: number[] = []
    for (let at = 0; at < this.#marks.length; at += 2) {
      const [from, to] = [this.#marks[at]!, this.#marks[at + 1]!]
      if (from < hold) out.fill(MASK, from, Math.min(to, hold))
      if (to > hold) left.push(Math.max(0, from - hold), to - hold)
    }
    this.#marks = left
    forgetWindow()
    return out
  }
}

function join(before: Uint8Array, bytes: Uint8Array): Uint8Array {
  const joined = new Uint8Array(before.length + bytes.length)
  joined.set(before)
  joined.set(bytes, before.length)
  return joined
}
