// The client's side of an upgrade: node has given the socket away with what it read behind the head. Driven by
// `pipeline.ts`; made by `server.ts`.

import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

import type { UpgradeSide } from '../pipeline.ts'
import { isSent } from '../stages.ts'
import { formatAnswer, makeAnswer } from './answer.ts'
import { lingerClose } from './linger.ts'

/** One upgrade's socket. */
export function makeUpgradeSide(
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
): UpgradeSide {
  return {
    detach: () => ({ request, client: socket, head }),
    sendRefusal(reason, call) {
      if (!socket.writable || !isSent(reason)) {
        socket.destroy()
        return false
      }
      socket.write(formatAnswer(makeAnswer(reason, call)), 'latin1')
      lingerClose(socket)
      return true
    },
  }
}
