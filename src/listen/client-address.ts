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

// A listener on `::` takes IPv4 as well.
function withoutMapping(address: string): string {
  return address.startsWith('::ffff:') ? address.slice(7) : address
}
