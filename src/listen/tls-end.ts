// Ends TLS on a tunnel's socket with the host's own server, and tells a client that does not trust our certificate apart
// from one that merely left: that is what goes wrong first in a new sandbox. Called by `server.ts`
// and `tls-door.ts`.

import type { Socket } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'

import type { Call } from '../call.ts'
import type { Reason } from '../errors.ts'

// OpenSSL's names of the alerts by which a client says that it does not take a certificate.
const REJECTION =
  /ALERT_(?:UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_UNKNOWN|UNSUPPORTED_CERTIFICATE|CERTIFICATE_EXPIRED|CERTIFICATE_REVOKED)|alert (?:unknown ca|bad certificate|certificate unknown|unsupported certificate|certificate expired)/i

const REJECTION_MS = 1000

/** What waits for the handshake on one raw socket. */
export interface Waiting {
  onSecure(secure: TLSSocket): void
  onFailure(error: Error, failed: TLSSocket): void
}

const waiting = new WeakMap<object, Waiting>()
const prepared = new WeakSet<Server>()

/**
 * Hands the socket to the host's TLS server; resolves with how the connection ended.
 * @param serve called with the secured socket
 */
export function endTls(
  call: Call,
  socket: Socket,
  server: Server,
  serve: (secure: TLSSocket) => void,
): Promise<Reason> {
  return new Promise((resolve) => {
    let reason: Reason = 'client-gone'
    let securedAt = 0
    let session: TLSSocket | undefined
    const note = (error: Error): void => {
      if (!isRejection(error)) return
      reason = 'client-rejected-certificate'
      call.detail = { alert: 'code' in error ? String(error.code) : error.message }
    }
    const outcomes: Waiting = {
      onSecure(secure) {
        reason = 'allowed'
        securedAt = performance.now()
        session = secure
        secure.allowHalfOpen = true
        const { servername } = secure
        call.clientTls = {
          ...(typeof servername === 'string' && servername !== '' && { serverName: servername }),
          version: (secure.getProtocol() ?? '').replace('TLSv', ''),
        }
        secure.on('error', (error) => {
          note(error)
          secure.destroy()
        })
        serve(secure)
      },
      onFailure(error, failed) {
        note(error)
        // Clients built on Node leave without an alert once they have seen a certificate that they do not take.
        if ('code' in error && error.code === 'ECONNRESET') {
          reason = 'client-rejected-certificate'
          call.detail = { alert: 'none' }
        }
        failed.destroy()
        socket.destroy()
      },
    }
    socket.once('close', () => {
      // In TLS 1.3 a client looks at the certificate when our side is done already: one that does not take it, and says
      // so by no alert, leaves at once without a byte.
      const silent = session !== undefined && session.bytesRead === 0
      if (reason === 'allowed' && silent && performance.now() - securedAt < REJECTION_MS) {
        reason = 'client-rejected-certificate'
        call.detail = { alert: 'none' }
      }
      // What the close means for the handshake is told after it.
      setImmediate(() => {
        waiting.delete(socket)
        resolve(call.cutReason ?? reason)
      })
    })
    beginTls(socket, server, outcomes)
  })
}

/** Hands a socket to a TLS server that does not listen, and tells what becomes of the handshake. */
export function beginTls(socket: Socket, server: Server, outcomes: Waiting): void {
  prepareServer(server)
  waiting.set(socket, outcomes)
  // A client that leaves in the handshake has left: node would wait for the rest of it on a half-open socket.
  socket.allowHalfOpen = false
  server.emit('connection', socket)
}

// One pair of listeners a server, however many handshakes are under way; node names the raw socket as the parent.
function prepareServer(server: Server): void {
  if (prepared.has(server)) return
  prepared.add(server)
  server.on('secureConnection', (secure: TLSSocket) => waitingFor(secure)?.onSecure(secure))
  server.on('tlsClientError', (error: Error, failed: TLSSocket) =>
    waitingFor(failed)?.onFailure(error, failed),
  )
}

function waitingFor(secure: TLSSocket): Waiting | undefined {
  const parent: unknown = Reflect.get(secure, '_parent')
  return typeof parent === 'object' && parent !== null ? waiting.get(parent) : undefined
}

function isRejection(error: Error): boolean {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return REJECTION.test(code) || REJECTION.test(error.message)
}
