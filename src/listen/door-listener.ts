// One door's listeners: the one that the configuration names, and those that were opened elsewhere. Deliberately knows nothing of
// what is spoken. Made by `doors.ts`, one a door.

import net, { type AddressInfo, type Server, type Socket } from 'node:net'

import { bindListener, type SocketAddress } from './bind.ts'
import { dropIfGone } from './client-address.ts'

/** Serves a connection. @param listener that it came by; undefined where it was opened elsewhere */
export type ServeConnection = (socket: Socket, listener: Server | undefined) => void

/** A connection of a listener that was opened elsewhere, as if it had been made here. */
export function withOwnOptions(socket: Socket): Socket {
  socket.setNoDelay(true)
  socket.allowHalfOpen = true
  return socket
}

/** The listeners of one door. */
export class DoorListener {
  readonly #serve: ServeConnection
  readonly #own: Server
  readonly #adopted: Server[] = []

  constructor(serve: ServeConnection) {
    this.#serve = (socket, listener) => {
      if (!dropIfGone(socket)) serve(socket, listener)
    }
    // The two directions of a tunnel end apart.
    this.#own = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) =>
      this.#serve(socket, this.#own),
    )
  }

  /** Starts to listen. @throws Error of the system where the address cannot be had */
  listen(address: SocketAddress): Promise<void> {
    return bindListener(this.#own, address)
  }

  /** Serves what comes by a listener that was opened elsewhere. */
  adopt(listener: Server): void {
    listener.on('connection', (socket) => this.#serve(withOwnOptions(socket), undefined))
    this.#adopted.push(listener)
  }

  /** The address that is listened on here; null where none is. */
  address(): AddressInfo | string | null {
    return this.#own.address()
  }

  /** Takes no new connection from now on. */
  close(): void {
    for (const listener of [this.#own, ...this.#adopted]) listener.close()
  }
}
