// Breaks a dialed connection off: what was handed to the system and has not left yet does not leave any more, which closing
// alone would let it, megabytes of an upload for as long as the other side is slow. Called by `forward/` where a call is cut.

import net from 'node:net'
import tls from 'node:tls'
import type { Duplex } from 'node:stream'

/**
 * Resets a connection and destroys its socket. One that was ended already is closed, because node resets none such; so is
 * one of TLS, because node's own code fails where the connection below it is reset: what the system holds of it may leave.
 */
export function resetSocket(socket: Duplex): void {
  const isPlain = socket instanceof net.Socket && !(socket instanceof tls.TLSSocket)
  if (isPlain && !socket.destroyed && !socket.writableEnded) socket.resetAndDestroy()
  socket.destroy()
}
