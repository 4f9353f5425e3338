// The stdout sink: records as NDJSON on standard output, through pino's destination. Started by `sidecar.ts`.

import { destination } from 'pino'

import { joinLines } from './delivery.ts'
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
  const fd = options.fd ?? 1
  let stdout = destination({ fd, sync: false })
  return new SinkFeed(options, (records, closed) => {
    return new Promise((resolve, reject) => {
      const end = (error?: Error): void => {
        closed.removeEventListener('abort', giveUp)
        stdout.removeAllListeners('drain').removeAllListeners('error')
        if (error === undefined) {
          resolve({ outcome: 'taken' })
          return
        }
        // What pino's buffer still holds would come before the next attempt, and grow with each.
        stdout.on('error', () => undefined)
        stdout = destination({ fd, sync: false })
        reject(error)
      }
      const giveUp = (): void => end(new Error('standard output takes nothing'))
      closed.addEventListener('abort', giveUp, { once: true })
      stdout.on('error', end)
      stdout.on('drain', end)
      stdout.write(joinLines(records).toString())
    })
  })
}
