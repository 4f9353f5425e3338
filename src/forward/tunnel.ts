// Relays an opaque tunnel: bytes both ways with back-pressure and half-close, counted, looked at by nobody.
// Called by `pipeline.ts` once the tunnel is cleared and dialed.

import type { Duplex } from 'node:stream'

import type { Call } from '../call.ts'
import type { Reason } from '../errors.ts'
import { resetSocket } from '../net/reset.ts'
import { takes } from './takes.ts'

/**
 * Joins two connected streams until both directions are over; resolves with how it ended. Owns and destroys both.
 * @param head what the client sent before the relay began, already read off its socket
 */
export function relayTunnel(
  call: Call,
  client: Duplex,
  upstream: Duplex,
  head: Uint8Array,
): Promise<Reason> {
  return new Promise((resolve) => {
    let ended = 0
    let over = false
    const finish = (reason: Reason): void => {
      if (over) return
      over = true
      client.destroy()
      upstream.destroy()
      resolve(call.cutReason ?? reason)
    }
    const join = (from: Duplex, to: Duplex, count: (bytes: number) => void, gone: Reason): void => {
      from.on('data', (chunk: Buffer) => {
        // What may not pass ends the call, and nothing of it is passed.
        if (over || !takes(call, () => count(chunk.length))) return
        if (!to.write(chunk)) from.pause()
      })
      to.on('drain', () => from.resume())
      from.on('end', () => {
        ended += 1
        to.end()
        if (ended === 2) finish('allowed')
      })
      from.on('error', () => finish(gone))
      from.on('close', () => {
        // Both directions said their end: what is written still has to leave, so the other side closes by itself.
        if (from.readableEnded && !to.destroyed && !to.writableFinished)
          to.once('finish', () => finish('allowed'))
        else finish(from.readableEnded ? 'allowed' : gone)
      })
    }
    const countOut = (bytes: number): void => {
      call.charge?.takeOut(bytes)
      call.bytesOut += bytes
    }
    const countIn = (bytes: number): void => {
      call.charge?.takeIn(bytes)
      call.bytesIn += bytes
    }
    join(client, upstream, countOut, 'client-gone')
    join(upstream, client, countIn, 'upstream-gone')
    call.onCut(() => {
      resetSocket(upstream)
      finish('internal')
    })
    if (head.length > 0 && takes(call, () => countOut(head.length))) upstream.write(head)
    client.resume()
    upstream.resume()
  })
}
