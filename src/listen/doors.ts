// All the doors of a sidecar: the explicit proxy, and beside it those for clients that know no proxy. Opens them, takes over
// listeners that were opened elsewhere, and closes them together. Made by `sidecar.ts`.

import type { Socket as DatagramSocket } from 'node:dgram'
import type { AddressInfo, Server } from 'node:net'

import type { SocketAddress } from './bind.ts'
import { DnsDoor } from './dns-door.ts'
import { GivenNames } from './given-names.ts'
import { ProxyServer, type ProxyServerOptions } from './server.ts'

/** A listener that somebody else opened, such as inside the network namespace of a sandbox. */
export type HandedDoor =
  | { readonly door: 'proxy' | 'socks' | 'http' | 'tls' | 'dns'; readonly listener: Server }
  | { readonly door: 'dns'; readonly socket: DatagramSocket }

/** Where doors are opened; one that is absent is not. */
export interface DoorAddresses {
  readonly proxy?: SocketAddress
  readonly socks?: SocketAddress
  /** Connections that were meant for port 80. */
  readonly http?: SocketAddress
  /** Connections that were meant for port 443. */
  readonly tls?: SocketAddress
  readonly dns?: SocketAddress
}

/** What the doors need. */
export interface DoorsOptions extends ProxyServerOptions {
  readonly addresses: DoorAddresses
}

/** The doors of one sidecar. */
export class Doors {
  /** Serves what comes by every door. */
  readonly proxy: ProxyServer
  /** Which address stands for which name. */
  readonly names: GivenNames
  readonly #dns: DnsDoor
  readonly #options: DoorsOptions
  readonly #handed: Server[] = []

  constructor(options: DoorsOptions) {
    this.#options = options
    this.proxy = new ProxyServer(options)
    const { parts, now } = options
    this.names = new GivenNames(parts.limits.dnsNamesMax)
    this.#dns = new DnsDoor({ parts, names: this.names, now })
  }

  /** Opens them. @throws Error of the system where an address cannot be had */
  async listen(): Promise<void> {
    const { proxy, dns } = this.#options.addresses
    if (proxy) await this.proxy.listen(proxy)
    if (dns) await this.#dns.listen(dns)
  }

  /** Serves what comes by a listener that was opened elsewhere. */
  adopt(handed: HandedDoor): void {
    if (handed.door === 'dns') {
      this.#dns.adopt('socket' in handed ? handed.socket : handed.listener)
      return
    }
    const { door, listener } = handed
    if (door === 'proxy') listener.on('connection', (socket) => this.proxy.accept(socket))
    this.#handed.push(listener)
  }

  /** What is listened on here, ports that the system chose included. */
  addresses(): readonly (AddressInfo | string | null)[] {
    return [this.proxy.address(), this.#dns.address()]
  }

  /** Takes no new connection and no new call from now on. */
  drain(): void {
    for (const listener of this.#handed) listener.close()
    this.proxy.drain()
  }

  /** Ends every connection. */
  close(): void {
    for (const listener of this.#handed) listener.close()
    this.proxy.close()
    this.#dns.close()
  }
}
