// What the first bytes of a connection are, which stay unread: TLS, HTTP or something else. Called by the sides of tunnels and
// by the door for clients that know no proxy.

import type { Socket } from 'node:net'

import { EgressError } from '../errors.ts'
import type { TunnelStart } from '../pipeline.ts'
import { sniffClientHello } from '../wire/client-hello.ts'
import { looksLikeHttp } from '../wire/http1-head.ts'

/** What has come, and what it is. */
export interface FirstBytes {
  readonly start: TunnelStart
  readonly bytes: Buffer
}

/** How long is waited, and how much is looked at. */
export interface SniffBounds {
  readonly timeoutMs: number
  readonly bytesMax: number
}

/**
 * Waits until the first bytes say what they are; the socket is paused then.
 * @param before what was read of the socket already
 * @throws EgressError head-timeout, client-gone, with the count of `bytes` that had come
 */
export function sniffSocket(
  socket: Socket,
  before: Buffer,
  { timeoutMs, bytesMax }: SniffBounds,
): Promise<FirstBytes> {
  return new Promise((resolve, reject) => {
    let bytes = before
    let isDone = false
    const stop = (): void => {
      isDone = true
      clearTimeout(timer)
      socket.off('data', onData)
      socket.off('end', onGone)
      socket.off('close', onGone)
      socket.pause()
    }
    const look = (): void => {
      const start = recognise(bytes, bytesMax)
      if (start === undefined) return
      stop()
      resolve({ start, bytes })
    }
    const fail = (reason: 'head-timeout' | 'client-gone'): void => {
      stop()
      reject(new EgressError(reason, { bytes: bytes.length }))
    }
    const onData = (chunk: Buffer): void => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
      look()
    }
    const onGone = (): void => fail('client-gone')
    const timer = setTimeout(() => fail('head-timeout'), timeoutMs)
    if (socket.destroyed) return onGone()
    socket.on('data', onData)
    socket.on('end', onGone)
    socket.on('close', onGone)
    if (bytes.length > 0) look()
    if (!isDone) socket.resume()
  })
}

function recognise(bytes: Buffer, bytesMax: number): TunnelStart | undefined {
  const hello = sniffClientHello(bytes)
  if (hello.kind === 'hello') return hello
  if (hello.kind === 'malformed' || bytes.length > bytesMax) return { kind: 'other' }
  if (hello.kind === 'more') return undefined
  const http = looksLikeHttp(bytes)
  return http === undefined ? undefined : { kind: http ? 'http' : 'other' }
}
