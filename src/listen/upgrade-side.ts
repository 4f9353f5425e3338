// The client's side of an upgrade: the connection has given the socket away with what was read behind the head. Driven by
// `pipeline.ts`; made by `server.ts`.

import type { Socket } from 'node:net'

import type { Call } from '../call.ts'
import type { UpgradeSide } from '../pipeline.ts'
import { isSent } from '../stages.ts'
import { formatAnswer, makeProblem } from './answer.ts'
import { lingerClose } from './linger.ts'
import { watchSocket } from './watch-socket.ts'

/**
 * One upgrade's socket.
 * @param read what was read behind the request head
 * @param bufferBytesMax of what is read while the call waits
 */
export function makeUpgradeSide(
  call: Call,
  socket: Socket,
  read: Buffer,
  bufferBytesMax: number,
): UpgradeSide {
  let head = read
  socket.on('error', () => call.cut('client-gone'))
  socket.on('close', () => call.cut('client-gone'))
  return {
    detach: () => ({ client: socket, head }),
    watch: () => {
      const watch = watchSocket(socket, bufferBytesMax, () => call.cut('client-gone'))
      return () => {
        head = Buffer.concat([head, watch.end()])
      }
    },
    sendRefusal(reason) {
      if (!socket.writable || !isSent(reason)) {
        socket.destroy()
        return false
      }
      socket.write(formatAnswer(makeProblem(reason, call)), 'latin1')
      lingerClose(socket)
      return true
    },
  }
}
