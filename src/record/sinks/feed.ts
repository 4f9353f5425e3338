// Feeds one sink from the journal: reads behind a durable cursor, in batches, at least once and in order, and keeps
// trying for as long as it takes. Never in the way of the journal: it only reads its files. `http.ts` and `stdout.ts`
// say how a batch is delivered. Started and closed by `sidecar.ts`.

import { setTimeout as sleep } from 'node:timers/promises'

import type { Limits } from '../../limits.ts'
import type { RecordLog } from '../journal.ts'
import { JournalReader, type ReadLimit } from '../reader.ts'
import { listSegments } from '../segments.ts'
import { chainOf } from '../chain.ts'
import { eventIdOf } from '../line.ts'
import { cursorPath, loadCursor, saveCursor, type SinkCursor } from './cursor.ts'
import type { Deliver, Delivery, SinkRecord } from './delivery.ts'
import { lineFilter, type SinkFilter } from './filter.ts'

/** What a sink sees of the journal. */
interface JournalSource {
  readonly dir: string
  readonly head: ReadLimit & { readonly seq: number }
  passed(sinkName: string, seq: number): void
  onWritten(listener: () => void): () => void
}

/** How a sink is fed. */
export interface FeedOptions {
  /** Unique, lower-case letters, digits and `-`. */
  readonly name: string
  readonly journal: JournalSource
  readonly stateDir: string
  /** Also `call-started` and `call-progress`. */
  readonly all?: boolean
  readonly filter?: SinkFilter
  readonly limits: Pick<Limits, 'sinkBatchMax'>
  readonly log: RecordLog
  readonly now: () => number
}

/** Numbers for metrics and `/readyz`. */
export interface SinkStats {
  readonly name: string
  /** Records behind the cursor, those that the sink will not get included. */
  readonly backlog: number
  /** Age of the oldest record that is not delivered, 0 where there is none. */
  readonly lagMs: number
  /** Records delivered since the start. */
  readonly sent: number
  /** Deliveries that failed and are tried again. */
  readonly failures: number
  /** Deliveries that the sink refused as wrong; tried again slowly. */
  readonly refusals: number
}

/** How long a first record waits for company; with the delivery it must stay far below a second. */
const GATHER_MS = 100
const BACKOFF_MIN_MS = 200
const BACKOFF_MAX_MS = 30_000

/** One sink's way through the journal. */
export class SinkFeed {
  readonly #options: FeedOptions
  readonly #deliver: Deliver
  readonly #reader: JournalReader
  readonly #accepts: (line: Buffer) => boolean
  readonly #path: string
  readonly #stop = new AbortController()
  readonly #unsubscribe: () => void
  readonly #running: Promise<void>
  #cursor: SinkCursor
  #linesMax: number
  #wake: (() => void) | undefined
  #isDraining = false
  #isBackingOff = false
  #behindSince: number | undefined
  #sent = 0
  #failures = 0
  #refusals = 0
  #attempt = 0

  constructor(options: FeedOptions, deliver: Deliver) {
    this.#options = options
    this.#deliver = deliver
    this.#reader = new JournalReader(options.journal.dir)
    this.#accepts = lineFilter(options.all === true, options.filter)
    this.#linesMax = options.limits.sinkBatchMax
    this.#path = cursorPath(options.stateDir, options.name)
    this.#cursor = startingPlace(options, loadCursor(this.#path))
    options.journal.passed(options.name, this.#cursor.seq)
    this.#noticeWritten()
    this.#unsubscribe = options.journal.onWritten(() => this.#noticeWritten())
    this.#stop.signal.addEventListener('abort', () => this.#wake?.())
    this.#running = this.#run()
  }

  /** Numbers as of now. */
  get stats(): SinkStats {
    const lagMs = this.#behindSince === undefined ? 0 : this.#options.now() - this.#behindSince
    return {
      name: this.#options.name,
      backlog: Math.max(0, this.#options.journal.head.seq - this.#cursor.seq),
      lagMs: Math.max(0, lagMs),
      sent: this.#sent,
      failures: this.#failures,
      refusals: this.#refusals,
    }
  }

  /** Delivers what is there, for so long at the most, and stops; the rest is delivered after the next start. */
  async close(deadlineMs = 2000): Promise<void> {
    // What was appended within this turn of the event loop is written at its end.
    await new Promise((resolve) => setImmediate(resolve))
    this.#isDraining = true
    this.#wake?.()
    if (this.#isBackingOff) this.#stop.abort()
    const timer = setTimeout(() => this.#stop.abort(), deadlineMs)
    await this.#running
    clearTimeout(timer)
    this.#unsubscribe()
    await this.#reader.close()
  }

  #noticeWritten(): void {
    if (this.#options.journal.head.seq <= this.#cursor.seq) return
    this.#behindSince ??= this.#options.now()
    this.#wake?.()
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        const waiting = this.#options.journal.head.seq - this.#cursor.seq
        if (waiting <= 0) {
          if (this.#isDraining) return
          await this.#awaitRecords()
          continue
        }
        const isEarly = waiting < this.#linesMax && this.#attempt === 0 && !this.#isDraining
        if (isEarly) await sleep(GATHER_MS, undefined, { signal })
        await this.#deliverNext()
      } catch (error) {
        if (signal.aborted) return
        this.#failures += 1
        await this.#backOff({ outcome: 'later' }, error)
      }
    }
  }

  #awaitRecords(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined
        resolve()
      }
    })
  }

  async #deliverNext(): Promise<void> {
    const { journal, limits, name, log, now } = this.#options
    const { lines, place } = await this.#reader.read(this.#cursor, this.#linesMax, journal.head)
    const first = lines[0]
    const last = lines.at(-1)
    if (first === undefined || last === undefined) {
      throw new Error('the journal is shorter than it was')
    }
    const firstSeq = chainOf(first)?.seq
    if (firstSeq !== this.#cursor.seq + 1) {
      log.error({ sink: name, after: this.#cursor.seq, next: firstSeq }, 'records are missing')
    }
    const wanted = lines.filter(this.#accepts).map(sinkRecord)
    if (wanted.length > 0) {
      this.#behindSince = timeOf(first) ?? now()
      const delivery = await this.#deliver(wanted, this.#stop.signal)
      if (delivery.outcome !== 'taken') {
        await this.#notTaken(delivery)
        return
      }
      this.#sent += wanted.length
    }
    this.#attempt = 0
    this.#linesMax = Math.min(this.#linesMax * 2, limits.sinkBatchMax)
    this.#advance({ ...place, seq: chainOf(last)?.seq ?? this.#cursor.seq + lines.length })
  }

  async #notTaken(delivery: Delivery): Promise<void> {
    if (delivery.outcome === 'smaller' && this.#linesMax > 1) {
      this.#linesMax = Math.ceil(this.#linesMax / 2)
      return
    }
    if (delivery.outcome === 'later') this.#failures += 1
    else this.#refusals += 1
    await this.#backOff(delivery, undefined)
  }

  /** Half of it jitter, so that many sidecars do not return to a recovered sink at once. */
  async #backOff(delivery: Delivery, error: unknown): Promise<void> {
    const { name, log } = this.#options
    if (this.#attempt === 0) {
      const detail = { sink: name, backlog: this.stats.backlog, err: error }
      if (delivery.outcome === 'later') log.warn(detail, 'sink does not take records; trying on')
      else log.error(detail, 'sink refuses records; trying on slowly')
    }
    if (this.#isDraining) {
      this.#stop.abort()
      return
    }
    const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** this.#attempt)
    const waitMs =
      delivery.outcome === 'later' ? ceiling * (0.5 + Math.random() / 2) : BACKOFF_MAX_MS
    this.#attempt = Math.min(this.#attempt + 1, 16)
    this.#isBackingOff = true
    await sleep(waitMs, undefined, { signal: this.#stop.signal }).catch(() => undefined)
    this.#isBackingOff = false
  }

  #advance(cursor: SinkCursor): void {
    const { journal, name } = this.#options
    this.#cursor = cursor
    saveCursor(this.#path, cursor)
    journal.passed(name, cursor.seq)
    if (journal.head.seq <= cursor.seq) this.#behindSince = undefined
  }
}

/**
 * Where a sink goes on. Retention may have taken the segment that it had read to its end; of a cursor that fits nothing
 * (another journal's, a future one) the nearest beginning is taken: rather twice than never.
 */
function startingPlace(options: FeedOptions, cursor: SinkCursor | undefined): SinkCursor {
  const { journal, log, name } = options
  const segments = listSegments(journal.dir)
  const isKnown = cursor !== undefined && cursor.seq <= journal.head.seq
  const isPlace = segments.some(
    ({ firstSeq, bytes }) => firstSeq === cursor?.firstSeq && cursor.offset <= bytes,
  )
  if (isKnown && isPlace) return cursor
  const next = isKnown ? cursor.seq + 1 : 0
  const nearest = segments.findLast(({ firstSeq }) => firstSeq <= next) ?? segments[0]
  const firstSeq = nearest?.firstSeq ?? 1
  if (cursor !== undefined && firstSeq !== next) {
    log.warn({ sink: name, cursor, from: firstSeq }, 'sink cursor does not fit the journal')
  }
  return { firstSeq, offset: 0, seq: firstSeq - 1 }
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
