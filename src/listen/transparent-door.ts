// The door for clients that know of no proxy: their connections were routed here, and their first bytes say where they go. A
// ClientHello names the host by SNI, a request by Host; it is resolved by us as for any other call. Where the client itself
// had connected to, as far as that can be seen, is put on record and compared, and is the target only where no name is given.
// Called by `doors.ts` for every connection.

import type { Server, Socket } from 'node:net'

import type { ClientAddress } from '../call.ts'
import { EgressError } from '../errors.ts'
import { isOwnHost } from '../net/classify.ts'
import { canonicalAddress } from '../wire/address.ts'
import { formatAuthority, type Endpoint } from '../wire/authority.ts'
import type { DirectScope } from '../wire/receive.ts'
import { addressOf, dialedBy } from './client-address.ts'
import { Http1Connection } from './http1-connection.ts'
import type { ConnectionOrigin } from './served-connection.ts'
import { sniffSocket, type FirstBytes } from './sniff.ts'
import { refuseConnection, serveTunnel, type DoorHost } from './tunnel-call.ts'
import type { TunnelAnswers } from './tunnel-side.ts'

/** What serving a connection needs. */
export interface TransparentOptions {
  readonly host: DoorHost
  /** Where connections were meant to go of which nothing else is known. */
  readonly defaultPort: number
  /** The listener that it came by; undefined: one that nothing but what is routed to it reaches. */
  readonly listener: Server | undefined
}

// Nobody asked for a tunnel: there is nothing to answer, and a refusal is read only inside.
const ANSWERS: TunnelAnswers = { refusesInside: true, established: '', formatRefusal: () => '' }

/** Serves one connection. */
export async function serveTransparent(
  socket: Socket,
  { host, defaultPort, listener }: TransparentOptions,
): Promise<void> {
  const client = clientOf(socket, listener)
  const direct: DirectScope = { dialed: endpointOf(client.dialed), defaultPort }
  const origin: ConnectionOrigin = { client, kind: 'intercepted', scope: { direct } }
  try {
    const refusal = host.enter(socket)
    if (refusal !== undefined) throw new EgressError(refusal)
    const { start, bytes } = await readFirst(socket, host)
    if (start.kind === 'other') throw new EgressError('protocol-not-allowed', { begins: 'other' })
    if (start.kind === 'http') {
      socket.unshift(bytes)
      const connection = new Http1Connection(socket, origin, host)
      if (host.isDraining) connection.endIfIdle()
    } else {
      const target = targetOf(start.serverName, direct)
      const asked = { target, headers: [], head: bytes, answers: ANSWERS }
      await serveTunnel(host.makeCall(origin, 'tunnel'), socket, asked, host)
    }
  } catch (error) {
    const refused = error instanceof EgressError ? error : new EgressError('internal')
    // Who connects and leaves has asked for nothing.
    if (refused.reason === 'client-gone' && refused.detail['bytes'] === 0) socket.destroy()
    else refuseArrival(socket, origin, refused, host)
  }
}

function readFirst(socket: Socket, host: DoorHost): Promise<FirstBytes> {
  const { clientHelloBytesMax: bytesMax, parts } = host
  const { headTimeoutMs: timeoutMs } = parts.limits
  return sniffSocket(socket, Buffer.alloc(0), { timeoutMs, bytesMax })
}

function refuseArrival(
  socket: Socket,
  origin: ConnectionOrigin,
  error: EgressError,
  host: DoorHost,
): void {
  const call = host.makeCall(origin, 'tunnel')
  const dialed = origin.scope.direct?.dialed
  if (dialed) call.tunnel = dialed
  refuseConnection(call, socket, error, '', host)
}

// A door that is reached at its own address was dialed itself, or a translation of addresses has hidden what was.
function clientOf(socket: Socket, listener: Server | undefined): ClientAddress {
  const client = { ...addressOf(socket), door: 'transparent' } as const
  const dialed = dialedBy(socket)
  const own = listener?.address()
  const isOwn =
    typeof own === 'object' &&
    own !== null &&
    own.port === dialed?.port &&
    isOwnHost(own.address, dialed.address)
  return dialed === undefined || isOwn ? client : { ...client, dialed }
}

function endpointOf(dialed: ClientAddress['dialed']): Endpoint | undefined {
  const address = dialed && canonicalAddress(dialed.address)
  return address && { ...address, port: dialed.port, literal: address.host }
}

// No name, no way out, unless a rule lists the address.
function targetOf(serverName: string | undefined, { dialed, defaultPort }: DirectScope): string {
  if (serverName !== undefined) return `${serverName}:${dialed?.port ?? defaultPort}`
  if (dialed === undefined) throw new EgressError('missing-host', { part: 'sni' })
  return formatAuthority(dialed)
}
