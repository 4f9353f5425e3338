// What became of one attempt to connect. Called by `dial.ts`.

import type net from 'node:net'
import tls from 'node:tls'

import { EgressError } from '../errors.ts'
import type { Dialed } from './dialed.ts'
import { codeOf } from './tls-failure.ts'

/** What a connection that stands is. */
export function describe(socket: net.Socket, address: string, port: number): Dialed {
  if (!(socket instanceof tls.TLSSocket)) return { socket, address, port }
  const tlsVersion = (socket.getProtocol() ?? '').replace('TLSv', '')
  const { alpnProtocol: protocol } = socket
  return { socket, address, port, tlsVersion, ...(typeof protocol === 'string' && { protocol }) }
}

/** Names what kept an address from being reached. */
export function explainDialFailure(error: Error, address: string): EgressError {
  const code = codeOf(error)
  return new EgressError(
    code === 'ETIMEDOUT' ? 'connect-timeout' : 'dial-failed',
    { code, address },
    { cause: error },
  )
}
