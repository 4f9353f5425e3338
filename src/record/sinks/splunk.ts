// The sink for Splunk's HTTP Event Collector: batches of events, which count as taken once the indexer has acknowledged
// them where that is asked for. How long that may take is in `splunk-acknowledge.ts`. Started by `config/`.

import { createHash } from 'node:crypto'

import type { Limits } from '../../limits.ts'
import { actionOf } from '../line.ts'
import { valueAt } from '../project/members.ts'
import type { Deliver, Delivery, SinkRecord } from './delivery.ts'
import { SinkFeed, type FeedOptions } from './feed.ts'
import { isolating, type Attempt, type Unfit } from './isolate.ts'
import { later, Receiver, type Answer, type ReceiverOptions } from './receiver.ts'
import { Acknowledger } from './splunk-acknowledge.ts'

interface Delivering extends Omit<ReceiverOptions, 'headers'> {
  readonly limits: Pick<Limits, 'sinkTimeoutMs' | 'sinkAcknowledgeTimeoutMs'>
  /** By `collectorPaths`. */
  readonly paths: CollectorPaths
  readonly token: string
  /** By `channelOf`; tells this sink from others that send by the same token. */
  readonly channel: string
  /** Records count as taken only once the indexer has acknowledged them. */
  readonly acknowledge: boolean
  readonly index?: string | undefined
  readonly sourcetype?: string | undefined
}

/** How a Splunk sink is fed. */
export interface SplunkSinkOptions extends FeedOptions, Delivering {
  readonly limits: Pick<Limits, 'sinkBatchMax' | 'sinkTimeoutMs' | 'sinkAcknowledgeTimeoutMs'>
  readonly now: () => number
}

/** Where a collector is asked, with its query. */
export interface CollectorPaths {
  readonly events: string
  readonly acknowledgements: string
}

const SOURCETYPE = 'sallyport:record'
const ANSWER_BYTES_MAX = 64 * 1024

/** Codes that say that an event is wrong, not the request: `Invalid data format`, event required, blank, indexed fields. */
const OF_AN_EVENT: ReadonlySet<unknown> = new Set([6, 12, 13, 15])

/** Where the collector is, below a URL that an operator wrote. */
export function collectorPaths({ pathname, search }: URL): CollectorPaths {
  const written = pathname.replace(/\/+$/, '')
  const base = written === '' ? '/services/collector' : written.replace(/\/event(?:\/1\.0)?$/, '')
  const events = written === '' || written === base ? `${base}/event` : written
  return { events: `${events}${search}`, acknowledgements: `${base}/ack${search}` }
}

/** The channel of a sink: a UUID that stays the same as long as journal and name do. */
export function channelOf(journal: string, sinkName: string): string {
  const digest = createHash('sha256').update(`${journal}\n${sinkName}`).digest('hex')
  // RFC 9562 section 5.8: made of a hash that is not SHA-1.
  const variant = ((Number.parseInt(digest.slice(16, 18), 16) & 0x3f) | 0x80).toString(16)
  return [
    digest.slice(0, 8),
    digest.slice(8, 12),
    `8${digest.slice(13, 16)}`,
    `${variant}${digest.slice(18, 20)}`,
    digest.slice(20, 32),
  ].join('-')
}

/** Starts a sink; `fields.event_id` tells repeated records apart. */
export function startSplunkSink(options: SplunkSinkOptions): SinkFeed {
  return new SinkFeed(options, splunkDeliver(options))
}

/** Makes the delivery of batches. */
export function splunkDeliver(options: Delivering): Deliver {
  const { token, channel, paths, limits, acknowledge } = options
  const headers = { authorization: `Splunk ${token}`, 'x-splunk-request-channel': channel }
  const receiver = new Receiver({ ...options, headers })
  const acknowledger = new Acknowledger(receiver, paths.acknowledgements, limits)
  const envelope = envelopeOf(options)
  const attempt: Attempt = async (records, closed) => {
    // Asked before anything is sent: what was sent to a token without acknowledgements would be sent again and again.
    const refusal = acknowledge ? await acknowledger.check(closed) : undefined
    if (refusal !== undefined) return refusal
    const sent = {
      path: paths.events,
      type: 'application/json',
      body: eventsBody(records, envelope),
      answerBytesMax: ANSWER_BYTES_MAX,
    }
    const answer = await receiver.send(sent, closed)
    const isTaken = answer.status === 200 && valueAt(answer.json, 'code') === 0
    if (!isTaken) return refusalOf(answer, receiver)
    if (!acknowledge) return { outcome: 'taken' }
    return acknowledger.await(valueAt(answer.json, 'ackId'), closed)
  }
  return isolating(attempt)
}

function envelopeOf({ index, sourcetype = SOURCETYPE }: Delivering): string {
  const members = { source: 'sallyport', sourcetype, ...(index !== undefined && { index }) }
  return JSON.stringify(members).slice(0, -1)
}

function eventsBody(records: readonly SinkRecord[], envelope: string): Buffer {
  return Buffer.concat(
    records.flatMap(({ line, id, seq }) => {
      const start = line.toString('latin1', 0, LINE_START_BYTES)
      const fields = { event_id: id, event_action: actionOf(start) ?? '', chain_seq: String(seq) }
      return [
        Buffer.from(`${envelope}${timeMember(start)},"event":`),
        // The journal's own bytes, which are JSON already.
        line,
        Buffer.from(`,"fields":${JSON.stringify(fields)}}\n`),
      ]
    }),
  )
}

/** Where the time and the action of a record stand, at the latest. */
const LINE_START_BYTES = 512

/** Seconds with their thousandths and never in exponents, which a collector does not read. */
function timeMember(start: string): string {
  const time = Date.parse(/^\{"@timestamp":"([^"]{20,30})"/.exec(start)?.[1] ?? '')
  return Number.isNaN(time) ? '' : `,"time":${(time / 1000).toFixed(3)}`
}

/**
 * What an answer that takes nothing comes to.
 * @see https://help.splunk.com/en/splunk-enterprise/get-data-in/collect-http-event-data/troubleshoot-http-event-collector
 */
function refusalOf(answer: Answer, receiver: Receiver): Delivery | Unfit {
  const { status, json } = answer
  const code = valueAt(json, 'code')
  const said = receiver.words(valueAt(json, 'text'))
  const detail = `status ${status}${typeof code === 'number' ? ` code ${code}` : ''} ${said}`.trim()
  if (status === 413) return { outcome: 'smaller' }
  if (status === 408 || status === 429 || status >= 500) return later(detail, answer)
  if (status !== 400 || !OF_AN_EVENT.has(code)) return { outcome: 'refused', detail }
  const at = valueAt(json, 'invalid-event-number')
  return { outcome: 'unfit', detail, ...(typeof at === 'number' && { at }) }
}
