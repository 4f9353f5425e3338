// Breaks a dialed connection off: what was handed to the system and has not left yet does not leave any more, which closing
// alone would let it, megabytes of an upload for as long as the other side is slow. Called by `forward/` where a call is cut.

import net from 'node:net'
import type { Duplex } from 'node:stream'

const raws = new WeakMap<Duplex, net.Socket>()

/** Remembers the connection below TLS. */
export function noteRaw(secure: Duplex, raw: net.Socket): void {
  raws.set(secure, raw)
}

/** Resets a connection and destroys its socket; one that was ended already is closed, because node resets none such. */
export function resetSocket(socket: Duplex): void {
  const raw = raws.get(socket) ?? socket
  const isOpen = [socket, raw].every((each) => !each.destroyed && !each.writableEnded)
  if (raw instanceof net.Socket && isOpen) raw.resetAndDestroy()
  socket.destroy()
}
