// The records that one read of the journal gave a sink, until it has all of them. Called by `feed.ts`.

import { chainOf, lineDigest } from '../journal/chain.ts'
import { eventIdOf } from '../line.ts'
import type { ReadLines } from '../read/reader.ts'
import type { SinkCursor } from './cursor.ts'
import type { SinkRecord } from './delivery.ts'
import { readRecord } from './filter.ts'

/** Records on their way; the cursor moves behind them once none is left. */
export class Pending {
  /** Where the cursor goes. */
  readonly cursor: SinkCursor
  /** Bytes of the journal that it then leaves behind. */
  readonly bytes: number
  /** Sequence numbers of those that the sink needs no more. */
  readonly taken: Set<number> = new Set()
  /** When the oldest of them was made, epoch milliseconds. */
  readonly since: number | undefined
  #records: readonly SinkRecord[]

  constructor({ lines, place }: ReadLines, seqBefore: number, accepts: (line: Buffer) => boolean) {
    const last = lines.at(-1)
    const lastSeq = (last && chainOf(last)?.seq) ?? seqBefore + lines.length
    this.cursor = { ...place, seq: lastSeq, hash: last && lineDigest(last) }
    this.bytes = lines.reduce((sum, line) => sum + line.length + 1, 0)
    this.since = lines[0] && timeOf(lines[0])
    this.#records = lines.filter(accepts).map(sinkRecord)
  }

  /** Whether the sink has all of them. */
  get isEmpty(): boolean {
    return this.#records.length === 0
  }

  /** The next ones, in order, so many at the most. */
  first(count: number): readonly SinkRecord[] {
    return this.#records.slice(0, count)
  }

  /** Those that are no JSON any more. */
  damaged(): readonly SinkRecord[] {
    return this.#records.filter(({ line }) => readRecord(line) === undefined)
  }

  /** Takes those out that the sink has, or never wants. */
  settle(records: readonly SinkRecord[]): void {
    for (const { seq } of records) this.taken.add(seq)
    this.#records = this.#records.filter(({ seq }) => !this.taken.has(seq))
  }
}

function sinkRecord(line: Buffer): SinkRecord {
  return {
    line,
    seq: chainOf(line)?.seq ?? 0,
    id: eventIdOf(line.toString('latin1', 0, 256)) ?? '',
  }
}

function timeOf(line: Buffer): number | undefined {
  const time = /^\{"@timestamp":"([^"]{20,30})"/.exec(line.toString('latin1', 0, 64))?.[1]
  return time === undefined ? undefined : Date.parse(time)
}
