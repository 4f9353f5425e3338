// The HTTP sink: batches of records in a POST, as NDJSON, as a batch of CloudEvents, or as NDJSON in another form. Deliberately
// opens no connection itself: `config/` passes `net/`'s client for operators. Started by `config/`.

import type { Limits } from '../../limits.ts'
import { parseJson } from '../../wire/parse-json.ts'
import type { RecordBody } from '../body.ts'
import { joinLines, type Delivery, type SinkRecord } from './delivery.ts'
import { SinkFeed, type FeedOptions } from './feed.ts'
import { later, Receiver, type Answer, type ReceiverPost } from './receiver.ts'

/** How records are written into a body. */
export interface HttpForm {
  /** Of the body. */
  readonly type: string
  /** `lines`: each with a newline; `array`: one JSON array. */
  readonly framing: 'lines' | 'array'
  /** What a record becomes; undefined where the form has no word for it. Loaded with the first batch. */
  readonly load: () => Promise<(record: RecordBody) => object | undefined>
}

/** How an HTTP sink is fed. */
export interface HttpSinkOptions extends FeedOptions {
  readonly limits: FeedOptions['limits'] & Pick<Limits, 'sinkTimeoutMs'>
  /** The operator's own; they may hold a secret, so they are in no message. */
  readonly headers: Readonly<Record<string, string>>
  /** Default: none. */
  readonly compress?: 'none' | 'gzip'
  /** With its query; default: `/`. */
  readonly path?: string
  /** Undefined: the journal's lines as they are. */
  readonly form?: HttpForm
  readonly post: ReceiverPost
}

const NDJSON = 'application/x-ndjson'
/** Of an answer so much is looked at: its status says what became of the batch. */
const ANSWER_BYTES_MAX = 4096

/** Starts an HTTP sink; a receiver tells repeated records by `event.id`. */
export function startHttpSink(options: HttpSinkOptions): SinkFeed {
  const { compress = 'none', path = '/', form } = options
  const receiver = new Receiver({ ...options, compress })
  const type = form?.type ?? NDJSON
  const write = form === undefined ? joinedLines : writer(form)
  return new SinkFeed(options, async (records, closed) => {
    const body = await write(records)
    // None of them has a word in this form: they are passed.
    if (body === undefined) return { outcome: 'taken' }
    const sent = { path, type, body, answerBytesMax: ANSWER_BYTES_MAX }
    return deliveryOf(await receiver.send(sent, closed))
  })
}

/** What an answer means for the batch; a redirect is a refusal, because records go where the operator said. */
export function deliveryOf({ status, afterMs }: Pick<Answer, 'status' | 'afterMs'>): Delivery {
  if (status >= 200 && status < 300) return { outcome: 'taken' }
  if (status === 413) return { outcome: 'smaller' }
  const detail = `status ${status}`
  if (status >= 300 && status < 500 && status !== 408 && status !== 425 && status !== 429)
    return { outcome: 'refused', detail }
  return later(detail, { afterMs })
}

type Write = (records: readonly SinkRecord[]) => Promise<Buffer | undefined>

const joinedLines: Write = (records) => Promise.resolve(joinLines(records))

function writer({ framing, load }: HttpForm): Write {
  let project: ReturnType<HttpForm['load']> | undefined
  return async (records) => {
    project ??= load()
    const projected = await project
    const texts = records.flatMap(({ line }) => {
      const record: RecordBody = parseJson(line.toString())
      const value = projected(record)
      return value === undefined ? [] : [JSON.stringify(value)]
    })
    if (texts.length === 0) return undefined
    return Buffer.from(framing === 'array' ? `[${texts.join(',')}]` : `${texts.join('\n')}\n`)
  }
}
