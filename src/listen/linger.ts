// Closes a connection so that the last answer arrives: the client may still be sending, and a close with unread bytes
// would reset the connection and take the answer with it. Bounded in time and bytes.

import type { Duplex } from 'node:stream'

const LINGER_MS = 2000
const LINGER_BYTES_MAX = 1024 * 1024

/** Ends our half, reads and drops what still comes, then destroys. */
export function lingerClose(socket: Duplex): void {
  if (socket.destroyed) return
  let dropped = 0
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  timer.unref()
  socket.on('close', () => clearTimeout(timer))
  socket.on('data', (chunk: Buffer) => {
    dropped += chunk.length
    if (dropped > LINGER_BYTES_MAX) socket.destroy()
  })
  socket.on('end', () => socket.destroy())
  socket.resume()
  socket.end()
}
