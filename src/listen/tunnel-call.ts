// A tunnel that was not asked for by CONNECT, as one call: opened, run, closed, also where it is refused at once. Called by the
// doors that are no HTTP.

import type { Socket } from 'node:net'

import type { Call } from '../call.ts'
import { EgressError, type Reason } from '../errors.ts'
import { runTunnel } from '../pipeline.ts'
import { attribute } from '../receive.ts'
import type { RawHeaders } from '../wire/body.ts'
import type { ConnectionHost } from './http1-connection.ts'
import { lingerClose } from './linger.ts'
import { SocketSide, type TunnelAnswers, type TunnelHost } from './tunnel-side.ts'

/** What a door of tunnels needs of the server. */
export interface DoorHost extends ConnectionHost, TunnelHost {
  /** Counts a connection against the bound. @returns why it is refused */
  enter(socket: Socket): 'draining' | 'busy' | undefined
}

/** A tunnel that a client asks for. */
export interface AskedTunnel {
  /** `HOST:PORT` as the client has it, latin1. */
  readonly target: string
  /** What proves the task, as a CONNECT would say it. */
  readonly headers: RawHeaders
  /** What was read of the tunnel already. */
  readonly head: Buffer
  readonly answers: TunnelAnswers
}

/** Runs a tunnel from what asks for it to its record; the socket is paused. */
export async function serveTunnel(
  call: Call,
  socket: Socket,
  { target, headers, head, answers }: AskedTunnel,
  host: DoorHost,
): Promise<void> {
  const side = new SocketSide(call, socket, head, answers, host)
  try {
    host.openCall(call)
  } catch (error) {
    call.reason = error instanceof EgressError ? error.reason : 'internal'
    side.sendRefusal(call.reason, call)
    host.parts.recorder.recordEnd(call)
    return
  }
  try {
    // As HTTP/1.0 has it: nothing but the target says where to.
    const asked = { method: 'CONNECT', target, version: '1.0', headers, upgrade: false }
    await runTunnel(call, asked, side, host.parts)
  } catch (error) {
    host.parts.onUnexpected(error, call)
    socket.destroy()
  }
  host.closeCall(call)
}

/** Refuses a connection that asks for nothing that could be served: one record. @param answer latin1; empty: nothing is said */
export function refuseConnection(
  call: Call,
  socket: Socket,
  error: { readonly reason: Reason; readonly detail?: EgressError['detail'] },
  answer: string,
  host: Pick<DoorHost, 'parts'>,
): void {
  call.reason = error.reason
  if (error.detail) call.detail = error.detail
  attribute(call, [], host.parts)
  if (answer !== '' && socket.writable) socket.write(answer, 'latin1')
  lingerClose(socket)
  host.parts.recorder.recordEnd(call)
}
