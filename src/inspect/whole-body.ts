// Bodies that have to be seen before they may leave: read whole within a bound, or as far as a reader wants, and sent on byte
// for byte. Called by `understand/`.

import { overBody, type Body } from '../wire/body.ts'

/** What was read of a body. */
export interface ReadBody {
  readonly chunks: readonly Uint8Array[]
  /** False where there is more than the bound: the rest is still to be read, none of it where the framing says so at once. */
  readonly isWhole: boolean
}

/**
 * Reads a body to its end, or to a bound.
 * @param onBytes told of bytes that are kept; it may throw to break off
 * @throws whatever breaks the body off
 */
export async function readWhole(
  body: Body,
  bytesMax: number,
  onBytes: (bytes: number) => void,
): Promise<ReadBody> {
  if (body.length !== undefined && body.length > bytesMax) return { chunks: [], isWhole: false }
  const chunks: Uint8Array[] = []
  let bytes = 0
  let isWhole = true
  await readUntil(body, (chunk) => {
    onBytes(chunk.length)
    chunks.push(chunk)
    bytes += chunk.length
    isWhole = bytes <= bytesMax
    return isWhole
  })
  return { chunks, isWhole }
}

/**
 * Reads a body until a reader has seen enough of it.
 * @param push takes each chunk; returns false once it wants no more
 * @throws whatever breaks the body off, or `push` throws
 */
export async function readUntil(body: Body, push: (chunk: Uint8Array) => boolean): Promise<void> {
  for (;;) {
    const chunk = body.read()
    if (chunk === null) return
    if (chunk === undefined) await body.wait()
    else if (!push(chunk)) return
  }
}

/** Reads a body to its end, or to a bound, and forgets it. @throws whatever breaks the body off */
export async function drainBody(body: Body, bytesMax: number): Promise<void> {
  let left = bytesMax
  for (;;) {
    const chunk = body.read()
    if (chunk === null) return
    if (chunk === undefined) await body.wait()
    else left -= chunk.length
    if (left < 0) return
  }
}

/**
 * A body that gives what was read of another, then the rest of it.
 * @param onGiven told of bytes that are not kept any more
 */
export function replayBody(
  read: readonly Uint8Array[],
  rest: Body,
  onGiven?: (bytes: number) => void,
): Body {
  // A stream of answers is open for hours after its question has gone out.
  const kept: (Uint8Array | undefined)[] = [...read]
  let at = 0
  return {
    length: rest.length,
    get trailers() {
      return rest.trailers
    },
    read() {
      const chunk = kept[at]
      if (chunk === undefined) return rest.read()
      kept[at] = undefined
      at += 1
      onGiven?.(chunk.length)
      return chunk
    },
    wait: () => (at < kept.length ? Promise.resolve() : rest.wait()),
    abort: (cause) => rest.abort(cause),
  }
}

/** A body that shows each chunk to a watcher as it is pulled; the watcher changes nothing and is told of the end. */
export function tapBody(body: Body, onChunk: (chunk: Uint8Array) => void, onEnd: () => void): Body {
  return overBody(body, () => {
    const chunk = body.read()
    if (chunk === null) onEnd()
    else if (chunk !== undefined) onChunk(chunk)
    return chunk
  })
}

/** One piece of several. */
export function joinChunks(chunks: readonly Uint8Array[]): Uint8Array {
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
}
