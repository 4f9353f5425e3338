// Reads a pack object by object as its bytes arrive, for as long as somebody wants to know more of its commits. A pack that
// is not well formed only ends the reading: whether it is one is the server's to judge. Nothing costs more than its bounds,
// whatever the pack says. Called by `push.ts`.

import { Budget, type PushBounds } from './bounds.ts'
import { ByteQueue } from './byte-queue.ts'
import { ID_LENGTHS, type ObjectFormat } from './command-list.ts'
import { PackCommits, type OnCommit } from './pack-commits.ts'
import { inflateEntry, readEntryHeader, type EntryHeader } from './pack-entry.ts'

const PACK_HEADER_BYTES = 12
const VERSIONS: ReadonlySet<number> = new Set([2, 3])
// Fewer bytes than this are not worth a try at inflating them, as long as more may come.
const FIRST_TRY_BYTES = 64
// zlib makes no more of a byte.
const INFLATION_MAX = 1032

/** Reads one pack. */
export class PackReader {
  readonly #bounds: PushBounds
  readonly #idBytes: number
  readonly #budget: Budget
  readonly #commits: PackCommits
  readonly #bytes = new ByteQueue()
  /** Where in the pack the bytes begin. */
  #offset = 0
  #takenBytes = 0
  #objectsLeft: number | undefined
  #objectsRead = 0
  /** Bytes of an entry that are there before it is tried again: twice as many as were not enough. */
  #tryAtBytes = FIRST_TRY_BYTES
  #hasEnded = false

  constructor(format: ObjectFormat, bounds: PushBounds, onCommit: OnCommit) {
    this.#bounds = bounds
    this.#idBytes = ID_LENGTHS[format] / 2
    this.#budget = new Budget(bounds.inflatedBytesMax)
    this.#commits = new PackCommits(format, bounds, this.#budget, onCommit)
  }

  /** Whether nothing more can be learned: the pack's end, a fault in it, or a bound. */
  get hasEnded(): boolean {
    return this.#hasEnded
  }

  /** Takes the next bytes and reads what they complete, while `wanted` says so. */
  push(chunk: Uint8Array, wanted: () => boolean): void {
    if (this.#hasEnded) return
    const room = this.#bounds.packBytesMax - this.#takenBytes
    const taken = chunk.subarray(0, room)
    this.#takenBytes += taken.length
    this.#bytes.append(taken)
    this.#readOn(wanted, this.#takenBytes === this.#bounds.packBytesMax)
    if (this.#takenBytes >= this.#bounds.packBytesMax) this.#hasEnded = true
  }

  /** No more bytes come. */
  end(wanted: () => boolean): void {
    if (!this.#hasEnded) this.#readOn(wanted, true)
    this.#hasEnded = true
  }

  #readOn(wanted: () => boolean, isLast: boolean): void {
    if (this.#objectsLeft === undefined && !this.#readHeader()) return
    while (!this.#hasEnded && wanted()) {
      if (this.#objectsLeft === 0 || this.#objectsRead >= this.#bounds.objectsMax) {
        this.#hasEnded = true
        return
      }
      if (!this.#readEntry(isLast)) return
    }
  }

  #readHeader(): boolean {
    const view = this.#bytes.view()
    if (view.length < PACK_HEADER_BYTES) return false
    if (view.toString('latin1', 0, 4) !== 'PACK' || !VERSIONS.has(view.readUInt32BE(4))) {
      this.#hasEnded = true
      return false
    }
    this.#objectsLeft = view.readUInt32BE(8)
    this.#drop(PACK_HEADER_BYTES)
    return true
  }

  // Whether one was read; false: bytes are missing, or the reading has ended.
  #readEntry(isLast: boolean): boolean {
    if (this.#bytes.length < this.#tryAtBytes && !isLast) return false
    const view = this.#bytes.view()
    const header = readEntryHeader(view, this.#idBytes)
    if (typeof header === 'string') return this.#lack(header, view.length)
    // A try that fails for want of bytes costs as much as one that does not.
    if (!this.#budget.spend(Math.min(header.size, view.length * INFLATION_MAX)))
      return this.#lack('fault', 0)
    const inflated = inflateEntry(view.subarray(header.headerBytes), header.size)
    if (typeof inflated === 'string') return this.#lack(inflated, view.length)
    this.#take(header, inflated.content)
    this.#drop(header.headerBytes + inflated.deflatedBytes)
    this.#tryAtBytes = FIRST_TRY_BYTES
    this.#objectsRead += 1
    this.#objectsLeft! -= 1
    return true
  }

  #lack(lack: 'more' | 'fault', hadBytes: number): false {
    if (lack === 'fault') this.#hasEnded = true
    this.#tryAtBytes = Math.max(FIRST_TRY_BYTES, hadBytes * 2)
    return false
  }

  #take({ type, base }: EntryHeader, content: Buffer): void {
    if (content.length > this.#bounds.commitBytesMax) return
    if (type === 'commit') this.#commits.addCommit(this.#offset, content)
    if (type !== 'delta' || base === undefined) return
    const baseOrOffset = typeof base === 'number' ? this.#offset - base : base
    this.#commits.addDelta(this.#offset, baseOrOffset, content)
  }

  #drop(count: number): void {
    this.#bytes.drop(count)
    this.#offset += count
  }
}
