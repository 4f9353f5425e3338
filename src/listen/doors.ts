// All the doors of a sidecar: the explicit proxy, and beside it those for clients that know no proxy. Opens them, takes over
// listeners that were opened elsewhere, and closes them together. Made by `sidecar.ts`.

import type { Socket as DatagramSocket } from 'node:dgram'
import type { AddressInfo, Server } from 'node:net'

import type { SocketAddress } from './bind.ts'
import { DnsDoor } from './dns-door.ts'
import { DoorListener, withOwnOptions } from './door-listener.ts'
import { GivenNames } from './given-names.ts'
import { ProxyServer, type ProxyServerOptions } from './server.ts'
import { serveSocks } from './socks-door.ts'
import { serveTransparent } from './transparent-door.ts'

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

const HTTP_PORT = 80
const TLS_PORT = 443

/** The doors of one sidecar. */
export class Doors {
  /** Serves what comes by every door. */
  readonly proxy: ProxyServer
  /** Which address stands for which name. */
  readonly names: GivenNames
  readonly #dns: DnsDoor
  readonly #options: DoorsOptions
  readonly #handed: Server[] = []
  /** Where they listen, once all of them do. */
  #bound: readonly (AddressInfo | string | null)[] | undefined
  readonly #listeners: Readonly<Record<'socks' | 'http' | 'tls', DoorListener>>

  constructor(options: DoorsOptions) {
    this.#options = options
    this.proxy = new ProxyServer(options)
    this.#listeners = {
      socks: new DoorListener((socket) => serveSocks(socket, this.proxy)),
      http: this.#transparent(HTTP_PORT),
      tls: this.#transparent(TLS_PORT),
    }
    const { parts, now } = options
    this.names = new GivenNames(parts.limits.dnsNamesMax)
    this.#dns = new DnsDoor({ parts, names: this.names, now })
  }

  /** Opens them. @throws Error of the system where an address cannot be had */
  async listen(): Promise<void> {
    const { addresses } = this.#options
    if (addresses.proxy) await this.proxy.listen(addresses.proxy)
    for (const door of ['socks', 'http', 'tls'] as const) {
      const address = addresses[door]
      if (address) await this.#listeners[door].listen(address)
    }
    if (addresses.dns) await this.#dns.listen(addresses.dns)
    this.#bound = this.addresses()
  }

  /** Serves what comes by a listener that was opened elsewhere. */
  adopt(handed: HandedDoor): void {
    if (handed.door === 'dns') {
      this.#dns.adopt('socket' in handed ? handed.socket : handed.listener)
      return
    }
    const { door, listener } = handed
    if (door === 'proxy') {
      listener.on('connection', (socket) => this.proxy.accept(withOwnOptions(socket)))
      this.#handed.push(listener)
    } else this.#listeners[door].adopt(listener)
  }

  /** Where the explicit proxy is: `handed` where that is not of this network; null where there is none. */
  address(): AddressInfo | string | null {
    return this.proxy.address() ?? (this.#handed.length > 0 ? 'handed' : null)
  }

  /** What is listened on here, ports that the system chose included; what was handed over may be in another network. */
  addresses(): readonly (AddressInfo | string | null)[] {
    if (this.#bound !== undefined) return this.#bound
    const others = Object.values(this.#listeners).map((listener) => listener.address())
    return [this.proxy.address(), this.#dns.address(), ...others]
  }

  /** Takes no new connection and no new call from now on. */
  drain(): void {
    this.#closeListeners()
    this.proxy.drain()
  }

  /** Ends every connection. */
  close(): void {
    this.#closeListeners()
    this.proxy.close()
    this.#dns.close()
  }

  #closeListeners(): void {
    for (const listener of [...this.#handed, ...Object.values(this.#listeners)]) listener.close()
  }

  #transparent(defaultPort: number): DoorListener {
    return new DoorListener((socket, listener) => {
      void serveTransparent(socket, { host: this.proxy, defaultPort, listener })
    })
  }
}
