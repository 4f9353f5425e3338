// What a sink does not get: how far it may skip, and the record that says exactly what was left out. A record of regulated
// data that it wanted is never skipped. Called by `feed.ts`.

import { makeUlid } from '../../wire/ulid.ts'
import type { RecordBody } from '../body.ts'
import { chainOf, lineDigest } from '../journal/chain.ts'
import { eventRecord } from '../ecs.ts'
import { actionOf, ACTION_WITHIN } from '../line.ts'
import type { JournalReader, ReadLimit } from '../read/reader.ts'
import type { Gap, SinkCursor } from './cursor.ts'
import { isRegulatedLine, readRecord } from './filter.ts'

/** From where and how far a sink is to skip. */
interface SkipOptions {
  readonly sinkName: string
  readonly cursor: SinkCursor
  readonly end: ReadLimit
  readonly bytes: number
  /** What the sink asks for. */
  readonly accepts: (line: Buffer) => boolean
  /** Sequence numbers of records behind the cursor that the sink has already. */
  readonly taken: ReadonlySet<number>
  readonly now: number
}

/** How far a sink may skip. */
export interface Skip {
  readonly cursor: SinkCursor
  readonly bytes: number
  /** What is to be told, none of them bordering on another; none where nothing was skipped that the sink wanted. */
  readonly gaps: readonly Gap[]
  /** Records that were skipped and that the sink wanted. */
  readonly count: number
  /** Whether a record stands in the way that must not be skipped. */
  readonly isBlocked: boolean
}

const LINES = 1000
const BYTES = 1024 * 1024

/** Reads ahead of a cursor, counts what the sink would have got, and stops before a record of regulated data. */
export async function planSkip(reader: JournalReader, options: SkipOptions): Promise<Skip> {
  const { cursor, end, bytes: wanted, accepts, taken } = options
  const lost = new LostRecords(options)
  let { seq, firstSeq, offset, hash } = cursor
  let bytes = 0
  let isBlocked = false
  while (bytes < wanted && !isBlocked) {
    const { lines, place } = await reader.read({ firstSeq, offset }, LINES, end, BYTES)
    if (lines.length === 0) break
    // All lines of one read are of one segment, so the place before any of them is known.
    let at = place.offset - lines.reduce((sum, line) => sum + line.length + 1, 0)
    let last: Buffer | undefined
    for (const line of lines) {
      const lineSeq = chainOf(line)?.seq ?? seq + 1
      const isLost = accepts(line) && !taken.has(lineSeq)
      isBlocked = isLost && isRegulatedLine(line)
      if (isBlocked || bytes >= wanted) break
      if (isLost) lost.add(line)
      seq = lineSeq
      last = line
      at += line.length + 1
      bytes += line.length + 1
    }
    firstSeq = place.firstSeq
    offset = at
    if (last !== undefined) hash = lineDigest(last)
  }
  return {
    cursor: { seq, firstSeq, offset, hash },
    bytes,
    gaps: lost.gapsTo(seq),
    count: lost.count,
    isBlocked,
  }
}

/** The record that tells of a gap; every sink gets it. */
export function gapRecord(sinkName: string, gap: Gap, now: number): RecordBody {
  const { id, from, to, count, actions } = gap
  const detail = { sink: sinkName, from, to, count, actions }
  const record = eventRecord('sink-gap', { now, reason: 'audit-unavailable', detail })
  return { ...record, event: { ...record.event, id } }
}

/** Counts what is skipped. A gap that its sink was not told of yet is told again, or is part of the one it borders on. */
class LostRecords {
  readonly #options: SkipOptions
  readonly #actions = new Map<string, number>()
  readonly #untold: Gap[] = []

  constructor(options: SkipOptions) {
    this.#options = options
  }

  add(line: Buffer): void {
    const action = actionOf(line.toString('latin1', 0, ACTION_WITHIN)) ?? ''
    const untold = action === 'sink-gap' ? this.#ownGap(line) : undefined
    if (untold === undefined) this.#actions.set(action, (this.#actions.get(action) ?? 0) + 1)
    else this.#untold.push(untold)
  }

  get count(): number {
    return [...this.#actions.values()].reduce((sum, each) => sum + each, 0)
  }

  gapsTo(to: number): Gap[] {
    const { cursor, now } = this.#options
    const actions = Object.fromEntries(this.#actions)
    const { count } = this
    const gaps = [...this.#untold]
    if (count > 0) gaps.push({ id: makeUlid(now), from: cursor.seq + 1, to, count, actions })
    const joined: Gap[] = []
    for (const gap of gaps.toSorted((one, other) => one.from - other.from)) {
      const before = joined.at(-1)
      if (before === undefined || before.to + 1 < gap.from) joined.push(gap)
      else joined.splice(-1, 1, joinGaps(before, gap, now))
    }
    return joined
  }

  #ownGap(line: Buffer): Gap | undefined {
    const record = readRecord(line)
    if (record === undefined) return undefined
    const { event, sallyport } = record
    const { sink, from, to, count, actions } = sallyport.detail ?? {}
    if (sink !== this.#options.sinkName || actions === null || typeof actions !== 'object')
      return undefined
    const counts = Object.entries(actions).map(([name, each]): [string, number] => [
      name,
      Number(each),
    ])
    return {
      id: event.id,
      from: Number(from),
      to: Number(to),
      count: Number(count),
      actions: Object.fromEntries(counts),
    }
  }
}

function joinGaps(one: Gap, other: Gap, now: number): Gap {
  // The same one, told twice.
  if (one.from === other.from && one.to === other.to) return one
  const actions: Record<string, number> = { ...one.actions }
  for (const [action, count] of Object.entries(other.actions))
    actions[action] = (actions[action] ?? 0) + count
  return {
    id: makeUlid(now),
    from: one.from,
    to: other.to,
    count: one.count + other.count,
    actions,
  }
}
