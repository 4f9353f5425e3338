// The stdout sink: records as NDJSON on standard output. Deliberately lets no write wait for a reader: the thread that waits
// would keep the process from ending. Started by `sidecar.ts`.

import { constants, fstatSync, openSync, write } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

import { systemErrorCode } from '../system-error.ts'
import { joinLines } from './delivery.ts'
import { SinkFeed, type FeedOptions } from './feed.ts'

/** How the stdout sink is fed. */
export interface StdoutSinkOptions extends FeedOptions {
  /** Default: 1. */
  readonly fd?: number
}

const PIECE_BYTES = 64 * 1024
/** A pipe that is full is tried again so soon. */
const FULL_MS = 50

const writeSome = promisify(write)

/** Starts the stdout sink. The cursor moves once the descriptor took all bytes, so a reader that stalls loses nothing. */
export function startStdoutSink(options: StdoutSinkOptions): SinkFeed {
  const fd = withoutWaiting(options.fd ?? 1)
  return new SinkFeed(options, async (records, closed) => {
    const bytes = joinLines(records)
    for (let at = 0; at < bytes.length;) {
      closed.throwIfAborted()
      const length = Math.min(bytes.length - at, PIECE_BYTES)
      try {
        const { bytesWritten } = await writeSome(fd, bytes, at, length, null)
        at += bytesWritten
      } catch (error) {
        if (systemErrorCode(error) !== 'EAGAIN') throw error
        await sleep(FULL_MS, undefined, { signal: closed })
      }
    }
    return { outcome: 'taken' }
  })
}

/** A pipe by a descriptor of its own: others that share the given one, the log perhaps, go on waiting for their reader. */
function withoutWaiting(fd: number): number {
  if (!fstatSync(fd).isFIFO()) return fd
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch {
    return fd
  }
}
