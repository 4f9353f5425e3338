// The NATS sink: each record a message to JetStream under its own id, taken once the stream has acknowledged it. What is sent
// twice within the stream's window is stored once. Started by `config/`.

import { createHash } from 'node:crypto'

import type { Limits } from '../../limits.ts'
import { actionOf } from '../line.ts'
import { escapeUnprintable } from '../printable.ts'
import type { Delivery, RefusedRecord, SinkRecord } from './delivery.ts'
import { SinkFeed, type FeedOptions } from './feed.ts'
import { NatsClient, NatsError, type NatsClientOptions } from './nats-client.ts'
import { messageBytes, type NatsAnswer, type NatsMessage } from './nats-protocol.ts'
import type { Patience } from './patience.ts'

/** How a NATS sink is fed. */
export interface NatsSinkOptions extends FeedOptions, NatsClientOptions {
  readonly limits: FeedOptions['limits'] & Pick<Limits, 'sinkTimeoutMs'>
  /** `{action}` and `{task}` stand for those of a record; no space, no wildcard. */
  readonly subject: string
  /** The stream that has to take the records. */
  readonly stream?: string | undefined
}

const DETAIL_CHARACTERS_MAX = 200
const ID = /^[0-9A-Z]{26}$/
/** JetStream's own: the message is larger than the stream takes. */
const TOO_LARGE_FOR_STREAM = 10_054

/** Starts a NATS sink. */
export function startNatsSink(options: NatsSinkOptions): SinkFeed {
  return new NatsFeed(options, new NatsDelivery(options))
}

class NatsFeed extends SinkFeed {
  readonly #delivery: NatsDelivery

  constructor(options: NatsSinkOptions, delivery: NatsDelivery) {
    super(options, (records, closed) => delivery.deliver(records, closed))
    this.#delivery = delivery
  }

  override async close(deadlineMs?: number): Promise<void> {
    await super.close(deadlineMs)
    this.#delivery.close()
  }
}

class NatsDelivery {
  readonly #options: NatsSinkOptions
  #client: NatsClient | undefined

  constructor(options: NatsSinkOptions) {
    this.#options = options
  }

  async deliver(records: readonly SinkRecord[], closed: AbortSignal): Promise<Delivery> {
    const patience = { timeoutMs: this.#options.limits.sinkTimeoutMs, closed }
    const refused: RefusedRecord[] = []
    let left = records
    try {
      while (left.length > 0) {
        const client = await this.#connect(patience)
        const delivery = await this.#publishNext(client, left, patience)
        refused.push(...delivery.refused)
        if (delivery.stopped !== undefined) return withRefused(delivery.stopped, refused)
        left = left.slice(delivery.count)
      }
      return { outcome: 'taken', refused }
    } catch (error) {
      if (!(error instanceof NatsError)) throw error
      const detail = shorten(error.message)
      return error.isRefusal
        ? { outcome: 'refused', detail }
        : { outcome: 'later', left, refused, detail }
    }
  }

  close(): void {
    this.#client?.close()
  }

  async #connect(patience: Patience): Promise<NatsClient> {
    if (this.#client?.isOpen === true) return this.#client
    this.#client = await NatsClient.connect(this.#options, patience)
    return this.#client
  }

  /** Publishes those that come before the first large one, or that one alone. */
  async #publishNext(
    client: NatsClient,
    records: readonly SinkRecord[],
    patience: Patience,
  ): Promise<Step> {
    const { maxPayload } = client.info
    const messages = records.map((record) => this.#messageOf(record))
    const large = messages.findIndex((message) => messageBytes(message) > maxPayload)
    const [first] = messages
    if (large !== 0 || first === undefined) {
      const count = large > 0 ? large : records.length
      const { answers, error } = await client.publish(messages.slice(0, count), patience)
      return stepOf(records, answers, error)
    }
    const { answer, error } = await client.publishLarge(first, patience)
    if (!(error instanceof NatsError && error.isTooLarge)) return stepOf(records, [answer], error)
    const detail = `larger than max_payload, ${String(maxPayload)} bytes`
    return { count: 1, refused: records.slice(0, 1).map((record) => refusedRecord(record, detail)) }
  }

  #messageOf({ line, id }: SinkRecord): NatsMessage {
    const { subject, stream } = this.#options
    return {
      subject: subjectOf(subject, line),
      headers: {
        'Nats-Msg-Id': ID.test(id) ? id : createHash('sha256').update(line).digest('hex'),
        ...(stream !== undefined && { 'Nats-Expected-Stream': stream }),
      },
      payload: line,
    }
  }
}

const TASK_ID = /,"task":\{"id":"(t_[0-9a-z]{26})"/
const ACTION = /^[a-z][a-z-]{0,63}$/

/** A record's subject: its task and action only where they have the form of ours, so that no text of strangers gets there. */
export function subjectOf(template: string, line: Buffer): string {
  if (!template.includes('{')) return template
  const text = line.toString('latin1')
  const own = text.slice(Math.max(0, text.lastIndexOf(',"sallyport":{"schema":1')))
  const action = actionOf(text) ?? ''
  return template
    .replaceAll('{action}', ACTION.test(action) ? action : 'none')
    .replaceAll('{task}', TASK_ID.exec(own)?.[1] ?? 'none')
}

function withRefused(delivery: Delivery, refused: readonly RefusedRecord[]): Delivery {
  return delivery.outcome === 'later' ? { ...delivery, refused } : delivery
}

/** How far a delivery came. */
interface Step {
  /** Records that need nothing more. */
  readonly count: number
  readonly refused: readonly RefusedRecord[]
  /** Why it goes no further. */
  readonly stopped?: Extract<Delivery, { readonly outcome: 'later' | 'refused' }>
}

/** @param answers of the first records, in their order */
function stepOf(
  records: readonly SinkRecord[],
  answers: readonly (NatsAnswer | undefined)[],
  error: Error | undefined,
): Step {
  const refused: RefusedRecord[] = []
  const left: SinkRecord[] = []
  let detail: string | undefined
  let isWrong = error instanceof NatsError && error.isRefusal
  for (const [at, answer] of answers.entries()) {
    const record = records[at]
    if (record === undefined || answer?.kind === 'stored') continue
    if (answer?.errorCode === TOO_LARGE_FOR_STREAM)
      refused.push(refusedRecord(record, shorten(answer.text)))
    else {
      left.push(record)
      detail ??= answer && textOf(answer)
      isWrong ||= answer !== undefined && answer.code >= 400 && answer.code < 500
    }
  }
  const count = answers.length
  if (left.length === 0) return { count, refused }
  detail = shorten(detail ?? error?.message ?? '')
  if (isWrong) return { count, refused, stopped: { outcome: 'refused', detail } }
  const all = [...left, ...records.slice(count)]
  return { count, refused, stopped: { outcome: 'later', left: all, detail } }
}

function textOf({ code, errorCode, text }: Extract<NatsAnswer, { kind: 'failed' }>): string {
  if (code === 503 && errorCode === 0) return 'no stream takes this subject'
  return `${text} (${String(errorCode || code)})`
}

function refusedRecord({ id, seq }: SinkRecord, detail: string): RefusedRecord {
  return { id, seq, detail }
}

function shorten(text: string): string {
  return escapeUnprintable(text.slice(0, DETAIL_CHARACTERS_MAX))
}
