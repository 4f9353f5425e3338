// The sink for receivers of OTLP: batches of log records by HTTP, in JSON. What a record becomes is in
// `project/otlp.ts`; here is what the receiver makes of it. Started by `config/`.

import { setImmediate } from 'node:timers/promises'

import type { Limits } from '../../limits.ts'
import { parseJson } from '../../wire/parse-json.ts'
import type { RecordBody } from '../body.ts'
import type { Origin } from '../project/format.ts'
import { otlpRequest, projectOtlp } from '../project/otlp.ts'
import { valueAt } from '../project/members.ts'
import type { Deliver, Delivery, SinkRecord } from './delivery.ts'
import { SinkFeed, type FeedOptions } from './feed.ts'
import { isolating, type Unfit } from './isolate.ts'
import { later, Receiver, type Answer, type ReceiverOptions } from './receiver.ts'

interface Delivering extends ReceiverOptions {
  /** By `logsPath`. */
  readonly path: string
  readonly origin: Origin
}

/** How an OTLP sink is fed. */
export interface OtlpSinkOptions extends FeedOptions, Delivering {
  readonly limits: Pick<Limits, 'sinkBatchMax' | 'sinkTimeoutMs'>
  readonly now: () => number
}

const ANSWER_BYTES_MAX = 64 * 1024

/** The statuses after which the specification has a client try again. */
const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504])

/** Where logs are taken, below a URL that an operator wrote: `/v1/logs` where the URL has no path. */
export function logsPath({ pathname, search }: URL): string {
  return `${pathname === '/' ? '/v1/logs' : pathname}${search}`
}

/** Starts a sink; the attribute that holds `event.id` tells repeated records apart. */
export function startOtlpSink(options: OtlpSinkOptions): SinkFeed {
  return new SinkFeed(options, otlpDeliver(options))
}

/** Makes the delivery of batches. */
export function otlpDeliver(options: Delivering): Deliver {
  const receiver = new Receiver(options)
  const { path, origin } = options
  return isolating(async (records, closed) => {
    const body = await requestBody(records, origin)
    const sent = { path, type: 'application/json', body, answerBytesMax: ANSWER_BYTES_MAX }
    return deliveryOf(records.length, await receiver.send(sent, closed), receiver)
  })
}

/** So many records are told anew in one turn of the event loop, which serves calls too: about a millisecond. */
const RECORDS_PER_TURN = 32

async function requestBody(records: readonly SinkRecord[], origin: Origin): Promise<Buffer> {
  const texts: string[] = []
  for (const [at, { line }] of records.entries()) {
    if (at > 0 && at % RECORDS_PER_TURN === 0) await setImmediate()
    const record: RecordBody = parseJson(line.toString())
    texts.push(JSON.stringify(projectOtlp(record, origin)))
  }
  // The list of log records is the only empty one.
  const envelope = JSON.stringify(otlpRequest([], origin))
  const cut = envelope.lastIndexOf('[]') + 1
  return Buffer.from(`${envelope.slice(0, cut)}${texts.join(',')}${envelope.slice(cut)}`)
}

/**
 * What an answer says of a batch of so many records.
 * @see https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
 */
function deliveryOf(count: number, answer: Answer, receiver: Receiver): Delivery | Unfit {
  const { status } = answer
  if (status >= 200 && status < 300) return taken(count, answer, receiver)
  const detail = `status ${status} ${receiver.words(valueAt(answer.json, 'message'))}`.trim()
  if (status === 413) return { outcome: 'smaller' }
  if (status === 400) return { outcome: 'unfit', detail }
  return RETRYABLE.has(status) ? later(detail, answer) : { outcome: 'refused', detail }
}

/** Records that were rejected must not be sent again, and the receiver does not say which ones they were. */
function taken(count: number, answer: Answer, receiver: Receiver): Delivery {
  const { json } = answer
  if (answer.isEmpty) return { outcome: 'taken' }
  // A page of somebody else's web server is no sign that anything has been taken.
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    return { outcome: 'refused', detail: 'the answer is not one of OTLP' }
  const partial = valueAt(json, 'partialSuccess')
  const rejected = Number(valueAt(partial, 'rejectedLogRecords') ?? 0)
  if (rejected === 0) return { outcome: 'taken' }
  // A number that cannot be right may stand for any.
  const isCredible = Number.isSafeInteger(rejected) && rejected > 0 && rejected <= count
  const detail = receiver.words(valueAt(partial, 'errorMessage'))
  return { outcome: 'taken', refusedCount: isCredible ? rejected : count, detail }
}
