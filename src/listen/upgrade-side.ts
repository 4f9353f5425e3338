// The client's side of an upgrade: the connection has given the socket away with what was read behind the head. Driven by
// `pipeline.ts`; made by `server.ts`.

import type { Socket } from 'node:net'

import type { Call } from '../call.ts'
import type { UpgradeSide } from '../pipeline.ts'
import { isSent } from '../stages.ts'
import { formatAnswer, makeProblem } from './answer.ts'
import { lingerClose } from './linger.ts'

/** One upgrade's socket. @param head what was read behind the request head */
export function makeUpgradeSide(call: Call, socket: Socket, head: Buffer): UpgradeSide {
  socket.on('error', () => call.cut('client-gone'))
  socket.on('close', () => call.cut('client-gone'))
  return {
    detach: () => ({ client: socket, head }),
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
