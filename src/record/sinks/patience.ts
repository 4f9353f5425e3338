// Waiting on a receiver's connection, bounded: one on which nothing moves for too long, or whose feed is closed, is broken
// off, and whatever waits for it fails. Called by the sinks that speak over a stream of bytes.

import type { OperatorStream } from '../../net/operator-stream.ts'

/** How long is waited, and for whose sake no longer. */
export interface Patience {
  /** For each step. */
  readonly timeoutMs: number
  /** The feed's. */
  readonly closed: AbortSignal
}

/** Waits for one step on a connection. @throws Error of the step, or saying what was waited for in vain */
export async function wait<Value>(
  stream: OperatorStream,
  step: Promise<Value>,
  what: string,
  { timeoutMs, closed }: Patience,
): Promise<Value> {
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    stream.abort()
  }, timeoutMs)
  const onClosed = (): void => stream.abort()
  closed.addEventListener('abort', onClosed, { once: true })
  if (closed.aborted) stream.abort()
  try {
    const value = await step
    if (!isLate) return value
  } catch (error) {
    if (!isLate) throw error
  } finally {
    clearTimeout(timer)
    closed.removeEventListener('abort', onClosed)
  }
  throw new Error(`in vain waited for ${what}`)
}

/** Joins small pieces to larger ones for the system, so that none waits long for a receiver that is slow but alive. */
export function* joinPieces(pieces: Iterable<Uint8Array>, bytesMax: number): Generator<Uint8Array> {
  let gathered: Uint8Array[] = []
  let bytes = 0
  for (const piece of pieces) {
    if (bytes > 0 && bytes + piece.length > bytesMax) {
      yield Buffer.concat(gathered)
      gathered = []
      bytes = 0
    }
    gathered.push(piece)
    bytes += piece.length
  }
  if (bytes > 0) yield Buffer.concat(gathered)
}
