// The syslog sink: RFC 5424 over a stream, TLS as RFC 5425 has it. The protocol has no acknowledgement. The nearest thing is
// the end of a connection: a receiver closes its side once it has read ours to the end. So each delivery has a connection
// of its own and counts as taken when that end comes, in good order and not before ours. Started by `config/`.

import { setTimeout as sleep } from 'node:timers/promises'

import type { Limits } from '../../limits.ts'
import type { OpenStream, OperatorStream } from '../../net/operator-stream.ts'
import { parseJson } from '../../wire/parse-json.ts'
import type { RecordBody } from '../body.ts'
import type { Delivery, SinkRecord } from './delivery.ts'
import { SinkFeed, type FeedOptions } from './feed.ts'
import { joinPieces, wait, type Patience } from './patience.ts'
import { syslogFrame, type SyslogSender } from './syslog-message.ts'

type Form = (record: RecordBody) => object | undefined

/** How a syslog sink is fed. */
export interface SyslogSinkOptions extends FeedOptions {
  readonly limits: FeedOptions['limits'] & Pick<Limits, 'sinkTimeoutMs'>
  readonly sender: SyslogSender
  readonly open: OpenStream
  /** What a record becomes, undefined where the form has no word for it; loaded with the first. Default: the journal's line. */
  readonly loadForm?: () => Promise<Form>
}

const PIECE_BYTES = 64 * 1024
// What is written has to be with the receiver's system before our end follows: an end of its own that crosses ours would
// be taken for the answer. Opening a connection took longer than a way there takes.
const SETTLE_MS_MIN = 20
const SETTLE_MS_MAX = 1000

/** Starts a syslog sink; a receiver tells repeated records by the parameter `id`. */
export function startSyslogSink(options: SyslogSinkOptions): SinkFeed {
  const { limits, sender, loadForm } = options
  let form: Promise<Form> | undefined
  return new SinkFeed(options, async (records, closed) => {
    const { sinkTimeoutMs: timeoutMs } = limits
    form ??= loadForm?.()
    const frames = [...framesOf(records, sender, await form)]
    if (frames.length === 0) return { outcome: 'taken' }
    const openedAt = performance.now()
    const stream = await options.open(AbortSignal.any([closed, AbortSignal.timeout(timeoutMs)]))
    const openingMs = performance.now() - openedAt
    const settleMs = Math.min(Math.max(openingMs, SETTLE_MS_MIN), SETTLE_MS_MAX)
    try {
      return await send(stream, frames, settleMs, { timeoutMs, closed })
    } finally {
      stream.abort()
    }
  })
}

function* framesOf(
  records: readonly SinkRecord[],
  sender: SyslogSender,
  form: Form | undefined,
): Generator<Buffer> {
  for (const { line, seq } of records) {
    const record: RecordBody = parseJson(line.toString())
    const shown = form?.(record)
    if (form === undefined) yield syslogFrame(record, seq, line, sender)
    else if (shown !== undefined)
      yield syslogFrame(record, seq, Buffer.from(JSON.stringify(shown)), sender)
  }
}

async function send(
  stream: OperatorStream,
  frames: Iterable<Buffer>,
  settleMs: number,
  patience: Patience,
): Promise<Delivery> {
  let isPeerDone = false
  const ended = readToEnd(stream).finally(() => (isPeerDone = true))
  // Whoever waits for it hears of its failure; before that a write fails.
  ended.catch(() => undefined)
  for (const piece of joinPieces(frames, PIECE_BYTES)) {
    await wait(stream, stream.write(piece), 'the receiver to read', patience)
    if (isPeerDone) break
  }
  await Promise.race([ended, sleep(settleMs)])
  if (isPeerDone) return { outcome: 'later', detail: 'the receiver closed the connection' }
  stream.end()
  await wait(stream, ended, 'the receiver to close its side', patience)
  return { outcome: 'taken' }
}

// A receiver has nothing to say; unread, its bytes would turn our end into a reset that destroys what is on its way.
async function readToEnd(stream: OperatorStream): Promise<void> {
  while ((await stream.read()) !== undefined);
}
