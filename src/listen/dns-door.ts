// The DNS door: takes queries over UDP and over TCP on one address, and by listeners that were opened elsewhere (RFC 1035
// section 4.2, RFC 7766). Deliberately knows no name and no rule: `dns-answers.ts` says what is answered. Made by `doors.ts`.

import dgram, { type RemoteInfo, type Socket as DatagramSocket } from 'node:dgram'
import net, { type Server, type Socket } from 'node:net'

import type { ClientAddress } from '../call.ts'
import { DNS_QUERY_BYTES_MAX } from '../wire/dns-query.ts'
import { bindListener, type SocketAddress } from './bind.ts'
import { dropIfGone } from './client-address.ts'
import { DnsAnswers, type DnsAnswersOptions } from './dns-answers.ts'
import { DnsStream } from './dns-stream.ts'

// Datagrams that the kernel does not take now: beyond, answers are dropped, as UDP may.
const UNSENT_BYTES_MAX = 1024 * 1024

/** The door. */
export class DnsDoor {
  readonly #answers: DnsAnswers
  readonly #connectionsMax: number
  readonly #idleMs: number
  readonly #listeners: Set<Server | DatagramSocket> = new Set()
  readonly #streams: Set<Socket> = new Set()
  #own: Server | undefined

  constructor(options: DnsAnswersOptions) {
    const { limits } = options.parts
    this.#answers = new DnsAnswers(options)
    this.#connectionsMax = limits.dnsConnectionsMax
    this.#idleMs = limits.headTimeoutMs
  }

  /** Listens for both on the same address. @throws Error of the system where it cannot be had, or where it is no address */
  async listen(address: SocketAddress): Promise<void> {
    if ('path' in address) throw new Error('the DNS door needs an address and a port')
    // What a client sends before it closes its half is answered all the same.
    const server = net.createServer({ noDelay: true, allowHalfOpen: true })
    this.adopt(server)
    await bindListener(server, address)
    this.#own = server
    const bound = server.address()
    const port = typeof bound === 'object' && bound !== null ? bound.port : address.port
    const socket = dgram.createSocket(net.isIPv6(address.host) ? 'udp6' : 'udp4')
    this.adopt(socket)
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.bind({ address: address.host, port, exclusive: true }, () => {
        socket.off('error', reject)
        resolve()
      })
    })
  }

  /** Serves what comes by a listener that was opened elsewhere; it is closed with the door. */
  adopt(listener: Server | DatagramSocket): void {
    this.#listeners.add(listener)
    listener.on('close', () => this.#listeners.delete(listener))
    if (listener instanceof net.Server) {
      listener.on('error', () => undefined)
      listener.on('connection', (socket) => this.#accept(socket))
    } else {
      listener.on('error', () => undefined)
      listener.on('message', (bytes, from) => this.#answer(listener, bytes, from))
    }
  }

  /** The address that is listened on; null where all listeners were opened elsewhere. */
  address(): net.AddressInfo | string | null {
    return this.#own?.address() ?? null
  }

  /** Ends every connection and listens no more. */
  close(): void {
    for (const listener of this.#listeners) listener.close()
    this.#listeners.clear()
    for (const socket of this.#streams) socket.destroy()
  }

  #answer(socket: DatagramSocket, bytes: Uint8Array, from: RemoteInfo): void {
    const client = clientOf(from.address, from.port)
    const answer = this.#answers.answer(bytes, { client, transport: 'udp' })
    // Port 0 is nobody's: who sends from there wants no answer.
    if (answer === undefined || from.port === 0) return
    if (socket.getSendQueueSize() > UNSENT_BYTES_MAX) return
    try {
      // What cannot be sent is lost, as any datagram may be.
      socket.send(answer, from.port, from.address, () => undefined)
    } catch {
      // The socket was closed meanwhile.
    }
  }

  #accept(socket: Socket): void {
    if (dropIfGone(socket)) return
    socket.on('error', () => socket.destroy())
    if (this.#streams.size >= this.#connectionsMax) {
      socket.destroy()
      return
    }
    this.#streams.add(socket)
    socket.once('close', () => this.#streams.delete(socket))
    const client = clientOf(socket.remoteAddress, socket.remotePort)
    const stream = new DnsStream(socket, {
      idleMs: this.#idleMs,
      messageBytesMax: DNS_QUERY_BYTES_MAX,
      answer: (bytes) => this.#answers.answer(bytes, { client, transport: 'tcp' }),
    })
    stream.start()
  }
}

function clientOf(address: string | undefined, port: number | undefined): ClientAddress {
  if (address === undefined || port === undefined) return {}
  return { address: address.startsWith('::ffff:') ? address.slice(7) : address, port }
}
