// What a sink does not get: how far it may skip, and the record that says exactly what was left out. A record of regulated
// data that it wanted is never skipped. Called by `feed.ts`.

import { makeUlid } from '../../wire/ulid.ts'
import type { RecordBody } from '../body.ts'
import { chainOf } from '../chain.ts'
import { eventRecord } from '../ecs.ts'
import { actionOf, ACTION_WITHIN } from '../line.ts'
import type { JournalReader, ReadLimit } from '../reader.ts'
import type { SinkCursor } from './cursor.ts'
import { isRegulatedLine } from './filter.ts'

/** Records that a sink was not given. */
export interface Gap {
  /** `event.id` of the record that tells of it: the same after a crash. */
  readonly id: string
  /** Sequence numbers of the first and the last record that were skipped. */
  readonly from: number
  readonly to: number
  /** Those among them that the sink would have got. */
  readonly count: number
  /** The same by `event.action`. */
  readonly actions: Readonly<Record<string, number>>
}

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
  /** Undefined where nothing was skipped that the sink wanted. */
  readonly gap: Gap | undefined
  /** Whether a record stands in the way that must not be skipped. */
  readonly isBlocked: boolean
}

const LINES = 1000
const BYTES = 1024 * 1024

/** Reads ahead of a cursor, counts what the sink would have got, and stops before a record of regulated data. */
export async function planSkip(reader: JournalReader, options: SkipOptions): Promise<Skip> {
  const { cursor, end, bytes: wanted, accepts, taken } = options
  const lost = new LostRecords(options)
  let { seq, firstSeq, offset } = cursor
  let bytes = 0
  let isBlocked = false
  while (bytes < wanted && !isBlocked) {
    const { lines, place } = await reader.read({ firstSeq, offset }, LINES, end, BYTES)
    if (lines.length === 0) break
    // All lines of one read are of one segment, so the place before any of them is known.
    let at = place.offset - lines.reduce((sum, line) => sum + line.length + 1, 0)
    for (const line of lines) {
      const lineSeq = chainOf(line)?.seq ?? seq + 1
      const isLost = accepts(line) && !taken.has(lineSeq)
      isBlocked = isLost && isRegulatedLine(line)
      if (isBlocked || bytes >= wanted) break
      if (isLost) lost.add(line)
      seq = lineSeq
      at += line.length + 1
      bytes += line.length + 1
    }
    firstSeq = place.firstSeq
    offset = at
  }
  return { cursor: { seq, firstSeq, offset }, bytes, gap: lost.gapTo(seq), isBlocked }
}

/** The record that tells of a gap; every sink gets it. */
export function gapRecord(sinkName: string, gap: Gap, now: number): RecordBody {
  const { id, from, to, count, actions } = gap
  const detail = { sink: sinkName, from, to, count, actions }
  const record = eventRecord('sink-gap', { now, reason: 'audit-unavailable', detail })
  return { ...record, event: { ...record.event, id } }
}

/** Counts what is skipped. An earlier gap of the same sink that it was never told of becomes part of this one. */
class LostRecords {
  readonly #sinkName: string
  readonly #now: number
  readonly #actions = new Map<string, number>()
  #from: number

  constructor({ sinkName, cursor, now }: SkipOptions) {
    this.#sinkName = sinkName
    this.#now = now
    this.#from = cursor.seq + 1
  }

  add(line: Buffer): void {
    const action = actionOf(line.toString('latin1', 0, ACTION_WITHIN)) ?? ''
    if (action !== 'sink-gap' || !this.#isMerged(line)) this.#count(action, 1)
  }

  gapTo(to: number): Gap | undefined {
    const count = [...this.#actions.values()].reduce((sum, each) => sum + each, 0)
    if (count === 0) return undefined
    const actions = Object.fromEntries(this.#actions)
    return { id: makeUlid(this.#now), from: this.#from, to, count, actions }
  }

  #isMerged(line: Buffer): boolean {
    const { sallyport }: RecordBody = JSON.parse(line.toString())
    const { sink, from, actions } = sallyport.detail ?? {}
    if (sink !== this.#sinkName || typeof from !== 'number') return false
    this.#from = Math.min(this.#from, from)
    for (const [action, count] of Object.entries(actions ?? {})) this.#count(action, Number(count))
    return true
  }

  #count(action: string, count: number): void {
    this.#actions.set(action, (this.#actions.get(action) ?? 0) + count)
  }
}
