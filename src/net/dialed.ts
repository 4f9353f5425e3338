// A connection that was dialed, and what records say of where it leads. Data only; made by `dial.ts`.

import type net from 'node:net'

import type { Call } from '../call.ts'
import type { AddressHead, ProxyAbove } from './proxy-above.ts'

/** A connection that is there. Its socket has an error listener already: an error nobody waits for ends nothing. */
export interface Dialed {
  /** Without TLS its two halves end apart, so that a tunnel can pass on the end of one. */
  readonly socket: net.Socket
  /** The address that was dialed, or that the proxy above was asked for; absent where it was asked for a name. */
  readonly address?: string
  readonly port: number
  /** `1.3` or `1.2`; absent without TLS. */
  readonly tlsVersion?: string
  /** What was agreed on by ALPN, where something was. */
  readonly protocol?: string
  /** What the proxy above was asked for; absent where there is none. */
  readonly connectBy?: ProxyAbove['connectBy']
  /** Set where it leads to the proxy above and no further: how heads of requests are written for it. */
  readonly addressHead?: AddressHead
}

/** What a call keeps of the connection that it was sent on. */
export function upstreamOf(dialed: Dialed): NonNullable<Call['upstream']> {
  const { address, port, tlsVersion, connectBy } = dialed
  // Without a proxy above always the same two shapes: it is one a request.
  if (connectBy === undefined && address !== undefined)
    return tlsVersion === undefined ? { address, port } : { address, port, tlsVersion }
  return {
    port,
    ...(address !== undefined && { address }),
    ...(tlsVersion !== undefined && { tlsVersion }),
    ...(connectBy !== undefined && { connectBy }),
  }
}
