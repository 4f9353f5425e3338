// A client's socket that is read while nothing of it may leave yet, so that a client that leaves is seen. Called by the sides of
// tunnels and upgrades.

import type { Socket } from 'node:net'

/** What reads on. */
interface SocketWatch {
  /** Stops, pauses the socket and gives what was read. */
  end(): Buffer
}

/**
 * Reads a paused socket until it is told to stop.
 * @param bytesMax beyond it no more is read, and a client that leaves is seen only where its connection breaks
 * @param onGone called once the client has closed its side, or the connection is gone
 */
export function watchSocket(socket: Socket, bytesMax: number, onGone: () => void): SocketWatch {
  const chunks: Buffer[] = []
  let bytes = 0
  const onData = (chunk: Buffer): void => {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > bytesMax) socket.pause()
  }
  socket.on('data', onData)
  socket.on('end', onGone)
  socket.on('close', onGone)
  socket.resume()
  if (socket.destroyed) onGone()
  return {
    end: () => {
      socket.off('data', onData)
      socket.off('end', onGone)
      socket.off('close', onGone)
      socket.pause()
      return Buffer.concat(chunks)
    },
  }
}
