// The sink for Elasticsearch and OpenSearch: batches by the bulk API, each record under its own id, so that what is sent
// again is there once. Every record's fate is read from the answer, which is checked, not believed. Deliberately makes no
// index and no template: `deploy/elastic/` has one. Started by `config/`.

import type { Limits } from '../../limits.ts'
import { valueAt } from '../project/members.ts'
import type { Deliver, Delivery, RefusedRecord, SinkRecord } from './delivery.ts'
import { SinkFeed, type FeedOptions } from './feed.ts'
import { Control } from './isolate.ts'
import { later, Receiver, type Answer, type ReceiverOptions } from './receiver.ts'

/** How an Elasticsearch sink is fed. */
export interface ElasticSinkOptions extends FeedOptions, ReceiverOptions {
  readonly limits: Pick<Limits, 'sinkBatchMax' | 'sinkTimeoutMs'>
  readonly now: () => number
  /** Of the bulk API, by `bulkPath`. */
  readonly path: string
}

/** What of the answer is asked for: it is as long as the batch otherwise. */
const WANTED = 'errors,items.*.status,items.*._id,items.*.error.type,items.*.error.reason'
const ANSWER_BYTES_MIN = 64 * 1024
const ANSWER_BYTES_PER_RECORD = 2048

/** Errors that are about what the record holds, whatever became of others. */
const OF_THE_RECORD: ReadonlySet<unknown> = new Set([
  'document_parsing_exception',
  'mapper_parsing_exception',
  'strict_dynamic_mapping_exception',
])

/**
 * Where the bulk API of one index is, below a URL that an operator wrote.
 * @returns a path with its query
 */
export function bulkPath({ pathname, searchParams }: URL, index: string): string {
  const below = pathname.replace(/\/+$/, '')
  const path = below.endsWith('/_bulk') ? below : `${below}/${encodeURIComponent(index)}/_bulk`
  const query = new URLSearchParams(searchParams)
  if (!query.has('filter_path')) query.set('filter_path', WANTED)
  return `${path}?${query.toString()}`
}

/** Starts a sink; the same record sent twice is refused as there already, which counts as taken. */
export function startElasticSink(options: ElasticSinkOptions): SinkFeed {
  return new SinkFeed(options, elasticDeliver(options))
}

/** Makes the delivery of batches. */
export function elasticDeliver(options: ReceiverOptions & { readonly path: string }): Deliver {
  const receiver = new Receiver(options)
  const control = new Control()
  const attempt = async (
    records: readonly SinkRecord[],
    closed: AbortSignal,
    takesOthers: TakesOthers,
  ): Promise<Delivery> => {
    const sent = {
      path: options.path,
      type: 'application/x-ndjson',
      body: bulkBody(records),
      answerBytesMax: ANSWER_BYTES_MIN + records.length * ANSWER_BYTES_PER_RECORD,
    }
    return deliveryOf(records, await receiver.send(sent, closed), receiver, takesOthers)
  }
  const alone: Deliver = (records, closed) => attempt(records, closed, async () => false)
  return async (records, closed) => {
    const delivery = await attempt(records, closed, () => control.isTaken(alone, closed))
    const [first] = records
    if (delivery.outcome === 'taken' && first !== undefined && !delivery.refused)
      control.remember(first)
    return delivery
  }
}

/** Finds out whether the receiver takes any record: one that it has is sent, which makes no second one of it. */
type TakesOthers = () => Promise<boolean>

/** `create` and not `index`: a data stream takes nothing else, and nothing that is there is ever replaced. */
function bulkBody(records: readonly SinkRecord[]): Buffer {
  return Buffer.concat(
    records.flatMap(({ id, line }) => [
      Buffer.from(`{"create":{"_id":${JSON.stringify(id)}}}\n`),
      line,
      NEWLINE,
    ]),
  )
}

const NEWLINE = Buffer.from('\n')

async function deliveryOf(
  records: readonly SinkRecord[],
  answer: Answer,
  receiver: Receiver,
  takesOthers: TakesOthers,
): Promise<Delivery> {
  const { status } = answer
  if (status === 413) return { outcome: 'smaller' }
  if (status === 200) return itemsDelivery(records, answer, receiver, takesOthers)
  const detail =
    `status ${status} ${receiver.words(reasonOf(valueAt(answer.json, 'error')))}`.trim()
  if (isBusy(status)) return later(detail, answer)
  return { outcome: 'refused', detail }
}

async function itemsDelivery(
  records: readonly SinkRecord[],
  answer: Answer,
  receiver: Receiver,
  takesOthers: TakesOthers,
): Promise<Delivery> {
  const items = valueAt(answer.json, 'items')
  // Fewer records make a shorter answer.
  if (answer.isCut && records.length > 1) return { outcome: 'smaller' }
  if (!Array.isArray(items)) return later('the answer is not one of the bulk API')
  if (items.length !== records.length) return later('the answer is about other records')
  const tally: Tally = { taken: 0, left: [], refused: [], doubtful: [] }
  for (const [at, record] of records.entries()) {
    const item: unknown = valueAt(items[at], 'create')
    if (valueAt(item, '_id') !== record.id) return later('the answer is about other records')
    count(tally, record, item, receiver)
  }
  return deliveryOfTally(tally, answer, takesOthers)
}

/** A record that was refused for a reason that may be the receiver's, or its configuration's. */
interface Doubtful extends RefusedRecord {
  readonly record: SinkRecord
}

interface Tally {
  taken: number
  readonly left: SinkRecord[]
  readonly refused: RefusedRecord[]
  readonly doubtful: Doubtful[]
}

function count(tally: Tally, record: SinkRecord, item: unknown, receiver: Receiver): void {
  const status = valueAt(item, 'status')
  const error = valueAt(item, 'error')
  if (typeof status !== 'number' || status < 200 || isBusy(status)) tally.left.push(record)
  // 409: a record of this id is there, from an attempt whose answer was lost.
  else if (status < 300 || status === 409) tally.taken += 1
  else {
    const { id, seq } = record
    const detail = receiver.words(reasonOf(error) ?? `status ${status}`)
    if (OF_THE_RECORD.has(valueAt(error, 'type'))) tally.refused.push({ id, seq, detail })
    else tally.doubtful.push({ id, seq, detail, record })
  }
}

async function deliveryOfTally(
  { taken, left, refused, doubtful }: Tally,
  answer: Answer,
  takesOthers: TakesOthers,
): Promise<Delivery> {
  const detail = doubtful[0]?.detail
  // No right to write, no index, a full disk: refused by all, it is not the records.
  if (doubtful.length > 0 && taken === 0 && !(await takesOthers())) {
    if (left.length === 0 && refused.length === 0)
      return { outcome: 'refused', ...(detail !== undefined && { detail }) }
    left.push(...doubtful.map(({ record }) => record))
    left.sort((one, other) => one.seq - other.seq)
  } else refused.push(...doubtful.map(({ id, seq, detail: said }) => ({ id, seq, detail: said })))
  const told = refused.length > 0 ? { refused } : {}
  if (left.length === 0) return { outcome: 'taken', ...told }
  return { ...later(detail ?? 'some records were not taken', answer), left, ...told }
}

function isBusy(status: number): boolean {
  return status === 408 || status === 429 || status >= 500
}

/** `type: reason` of an error of either program. */
function reasonOf(error: unknown): string | undefined {
  if (typeof error === 'string') return error
  const [type, reason] = [valueAt(error, 'type'), valueAt(error, 'reason')]
  if (typeof type !== 'string') return undefined
  return typeof reason === 'string' ? `${type}: ${reason}` : type
}
