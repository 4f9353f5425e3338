// The stdout sink: records as NDJSON on standard output, through pino's destination. Started by `sidecar.ts`.

import { destination } from 'pino'

import { SinkFeed, type FeedOptions } from './feed.ts'

/** How the stdout sink is fed. */
export interface StdoutSinkOptions extends FeedOptions {
  /** Default: 1. */
  readonly fd?: number
}

/**
 * Starts the stdout sink. Writing is asynchronous: a reader that stalls would stop the whole proxy otherwise; nothing is
 * lost by that, because the cursor moves only once the descriptor took all bytes.
 */
export function startStdoutSink(options: StdoutSinkOptions): SinkFeed {
  const stdout = destination({ fd: options.fd ?? 1, sync: false, minLength: 1 })
  return new SinkFeed(options, (batch, signal) => {
    return new Promise((resolve, reject) => {
      const end = (error?: Error): void => {
        stdout.off('error', end)
        stdout.off('drain', end)
        signal.removeEventListener('abort', abort)
        if (error === undefined) resolve('taken')
        else reject(error)
      }
      const abort = (): void => end(new Error('standard output takes nothing'))
      signal.addEventListener('abort', abort, { once: true })
      stdout.on('error', end)
      stdout.on('drain', end)
      stdout.write(Buffer.from(batch).toString())
    })
  })
}
