// The load generator: a closed loop of connections that each send their next request when the last answer is read.
// Raw sockets, so that the generator costs as little as it can. Used by `bench.ts`.

import net from 'node:net'
import tls from 'node:tls'

/** How a request reaches the origin. */
export type Way =
  'direct-http' | 'direct-https' | 'plain' | 'tunnel' | 'intercepted' | 'transparent'

/** One measured run. */
export interface LoadOptions {
  readonly way: Way
  readonly connections: number
  /** A new connection, with all its handshakes, for each request. */
  readonly fresh: boolean
  readonly seconds: number
  readonly host: string
  readonly originPort: number
  readonly proxyPort: number
  /** Of the origin; default 127.0.0.1. */
  readonly address?: string
  readonly ca: string
  /** `Proxy-Authorization: …` of the task; undefined: the configuration's own. */
  readonly login?: string
  /** Bytes to send instead of the GET. */
  readonly request?: string
}

/** What a run measured. */
export interface LoadResult {
  readonly requests: number
  readonly seconds: number
  readonly errors: number
  /** Milliseconds, sorted. */
  readonly latencies: readonly number[]
  /** Milliseconds to the first byte of a body, sorted. */
  readonly firsts: readonly number[]
}

const LAST_CHUNK = '\r\n0\r\n\r\n'

/** Runs the load and measures it. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const latencies: number[] = []
  const firsts: number[] = []
  let errors = 0
  const startedAt = performance.now()
  const endsAt = startedAt + options.seconds * 1000
  const client = async (): Promise<void> => {
    let connection: net.Socket | undefined
    while (performance.now() < endsAt) {
      const at = performance.now()
      try {
        connection ??= await openConnection(options)
        const first = await exchange(connection, options.request ?? requestBytes(options))
        latencies.push(performance.now() - at)
        firsts.push(first - at)
      } catch {
        errors += 1
        connection?.destroy()
        connection = undefined
      }
      if (options.fresh) {
        connection?.destroy()
        connection = undefined
      }
    }
    connection?.destroy()
  }
  await Promise.all(Array.from({ length: options.connections }, client))
  const seconds = (performance.now() - startedAt) / 1000
  return {
    requests: latencies.length,
    seconds,
    errors,
    latencies: latencies.sort((a, b) => a - b),
    firsts: firsts.sort((a, b) => a - b),
  }
}

function requestBytes({ way, host, originPort, login }: LoadOptions): string {
  const proof = way === 'plain' && login !== undefined ? `${login}\r\n` : ''
  const target = way === 'plain' ? `http://${host}:${originPort}/bytes` : '/bytes'
  return `GET ${target} HTTP/1.1\r\nHost: ${host}:${originPort}\r\nUser-Agent: bench\r\nAccept: */*\r\n${proof}\r\n`
}

/** Opens a connection the way of a load, TLS included. @param protocols offered by ALPN */
export async function openConnection(
  { way, host, originPort, proxyPort, ca, login, address }: LoadOptions,
  protocols?: readonly string[],
): Promise<net.Socket> {
  const direct = way === 'direct-http' || way === 'direct-https'
  const socket = net.connect({
    host: direct ? (address ?? '127.0.0.1') : '127.0.0.1',
    port: direct ? originPort : proxyPort,
    noDelay: true,
  })
  socket.on('error', () => socket.destroy())
  await once(socket, 'connect')
  if (way === 'direct-http' || way === 'plain') return socket
  if (!direct && way !== 'transparent') {
    const proof = login === undefined ? '' : `${login}\r\n`
    socket.write(
      `CONNECT ${host}:${originPort} HTTP/1.1\r\nHost: ${host}:${originPort}\r\n${proof}\r\n`,
    )
    const head = await readUntil(socket, '\r\n\r\n')
    if (!head.startsWith('HTTP/1.1 200')) throw new Error(head)
  }
  const secure = tls.connect({
    socket,
    servername: host,
    ca,
    ...(protocols && { ALPNProtocols: [...protocols] }),
  })
  secure.on('error', () => secure.destroy())
  await once(secure, 'secureConnect')
  return secure
}

// Resolves with the time at which the first byte of the body was here.
function exchange(socket: net.Socket, request: string): Promise<number> {
  return new Promise((resolve, reject) => {
    let received = ''
    let bodyAt = -1
    let wanted = -1
    let first = 0
    const readFraming = (): Error | undefined => {
      const end = received.indexOf('\r\n\r\n')
      if (end < 0) return undefined
      const head = received.slice(0, end)
      if (!head.startsWith('HTTP/1.1 200')) return new Error(head)
      bodyAt = end + 4
      const length = /content-length: (\d+)/i.exec(head)?.[1]
      if (length !== undefined || !/transfer-encoding: chunked/i.test(head))
        wanted = bodyAt + Number(length ?? 0)
      return undefined
    }
    const onData = (chunk: Buffer): void => {
      received += chunk.toString('latin1')
      if (bodyAt < 0) {
        const error = readFraming()
        if (error) return finish(error)
        if (bodyAt < 0) return
      }
      if (first === 0 && received.length > bodyAt) first = performance.now()
      if (wanted >= 0 ? received.length >= wanted : received.endsWith(LAST_CHUNK)) finish()
    }
    const onClose = (): void => finish(new Error('closed'))
    const finish = (error?: Error): void => {
      socket.off('data', onData)
      socket.off('close', onClose)
      if (error) reject(error)
      else resolve(first)
    }
    if (socket.destroyed) return finish(new Error('closed'))
    socket.on('data', onData)
    socket.on('close', onClose)
    socket.write(request)
  })
}

function once(socket: net.Socket, event: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once(event, () => resolve())
    socket.once('close', () => reject(new Error('closed')))
  })
}

function readUntil(socket: net.Socket, mark: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1')
      if (!text.includes(mark)) return
      socket.off('data', onData)
      socket.pause()
      resolve(text)
    }
    socket.on('data', onData)
    socket.once('close', () => reject(new Error('closed')))
  })
}
