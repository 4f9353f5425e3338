// Reads the first request line of a connection strictly before node's parser gets it, which is lenient about spaces and
// old versions. Later requests need no such look for safety: the outgoing head is written anew from what was judged.
// Called by `server.ts` for the door and for the inside of tunnels.

import type { Duplex } from 'node:stream'

import type { Reason } from '../errors.ts'
import { explainRequestHead } from '../wire/http1-head.ts'

/** What becomes of the first bytes. */
export interface FirstLineEvents {
  /** The line is sound; the bytes are unread again. */
  readonly onSound: () => void
  /** No request line that this proxy takes, or none in time. */
  readonly onRefused: (reason: Reason) => void
}

// RFC 9112 section 3: exactly one space between the three parts, and what follows the line's end belongs to the fields.
const LINE = /^[!#$%&'*+.^_`|~0-9A-Z-]+ [\x21-\x7e\x80-\xff]+ HTTP\/1\.[01]\r\n/

/** Waits for the first request line of a connection. @param bytesMax of a head */
export function readFirstLine(
  socket: Duplex,
  timeoutMs: number,
  bytesMax: number,
  events: FirstLineEvents,
): void {
  let bytes: Buffer = Buffer.alloc(0)
  const finish = (end: () => void): void => {
    clearTimeout(timer)
    socket.off('data', onData)
    socket.off('end', onEnd)
    socket.off('close', onEnd)
    end()
  }
  const onEnd = (): void => {
    finish(() => {
      if (bytes.length > 0 && !socket.destroyed) events.onRefused(explainRequestHead(bytes))
      else socket.destroy()
    })
  }
  const onData = (chunk: Buffer): void => {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
    const lineEnd = bytes.indexOf(0x0a)
    if (lineEnd < 0 && bytes.length <= bytesMax) return
    finish(() => {
      if (lineEnd < 0) events.onRefused('head-too-large')
      else if (LINE.test(bytes.toString('latin1', 0, lineEnd + 1))) {
        socket.pause()
        socket.unshift(bytes)
        events.onSound()
        socket.resume()
      } else events.onRefused(explainRequestHead(bytes))
    })
  }
  const timer = setTimeout(() => finish(() => events.onRefused('head-timeout')), timeoutMs)
  socket.on('data', onData)
  socket.on('end', onEnd)
  socket.on('close', onEnd)
  // The inside of a tunnel comes paused, with its first bytes unread again.
  socket.resume()
}
