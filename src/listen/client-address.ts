// Who is at the other end of a connection, and what it dialed. Called by the doors.

import type { Socket } from 'node:net'

import type { ClientAddress } from '../call.ts'

/** Who connected; empty on a unix socket. */
export function addressOf({ remoteAddress, remotePort }: Socket): ClientAddress {
  if (remoteAddress === undefined || remotePort === undefined) return {}
  return { address: withoutMapping(remoteAddress), port: remotePort }
}

/** Where the client connected to, as its own machine saw it; undefined on a unix socket. */
export function dialedBy({ localAddress, localPort }: Socket): ClientAddress['dialed'] {
  if (localAddress === undefined || localPort === undefined) return undefined
  return { address: withoutMapping(localAddress), port: localPort }
}

/**
 * Drops a connection whose client broke it off before it was taken: what it sent could still be read, but nothing says any more
 * where it came from, and without an address it would pass for one of a unix socket.
 * @returns whether it was one
 */
export function dropIfGone(socket: Socket): boolean {
  // On a unix socket neither is there.
  if (socket.remoteAddress !== undefined || socket.localAddress === undefined) return false
  socket.on('error', () => undefined)
  socket.destroy()
  return true
}

// A listener on `::` takes IPv4 as well.
function withoutMapping(address: string): string {
  return address.startsWith('::ffff:') ? address.slice(7) : address
}
