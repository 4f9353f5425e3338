// The load generator for HTTP/2: a few connections, on each a closed loop of streams. Used by `doors.ts`.

import http2, { type ClientHttp2Session } from 'node:http2'

import { openConnection, type LoadOptions, type LoadResult } from './load.ts'

/** One measured run of HTTP/2. */
export interface Http2LoadOptions extends LoadOptions {
  /** Open at a time on each connection. */
  readonly streams: number
}

/** Runs the load and measures it. */
export async function runHttp2Load(options: Http2LoadOptions): Promise<LoadResult> {
  const latencies: number[] = []
  let errors = 0
  const startedAt = performance.now()
  const endsAt = startedAt + options.seconds * 1000
  const loop = async (session: ClientHttp2Session): Promise<void> => {
    while (performance.now() < endsAt) {
      const at = performance.now()
      try {
        await exchange(session, options)
        latencies.push(performance.now() - at)
      } catch {
        errors += 1
        if (session.closed || session.destroyed) return
      }
    }
  }
  const client = async (): Promise<void> => {
    const session = await open(options)
    await Promise.all(Array.from({ length: options.streams }, () => loop(session)))
    session.destroy()
  }
  await Promise.all(Array.from({ length: options.connections }, client))
  const seconds = (performance.now() - startedAt) / 1000
  latencies.sort((a, b) => a - b)
  return { requests: latencies.length, seconds, errors, latencies, firsts: [] }
}

async function open(options: Http2LoadOptions): Promise<ClientHttp2Session> {
  const socket = await openConnection(options, ['h2'])
  const session = http2.connect(`https://${options.host}:${options.originPort}`, {
    createConnection: () => socket,
  })
  session.on('error', () => session.destroy())
  return session
}

function exchange(
  session: ClientHttp2Session,
  { host, originPort }: Http2LoadOptions,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':path': '/bytes',
      ':authority': `${host}:${originPort}`,
      'user-agent': 'bench',
    })
    let status = 0
    stream.on('response', (headers) => {
      status = Number(headers[':status'])
    })
    stream.on('error', reject)
    stream.on('end', () => (status === 200 ? resolve() : reject(new Error(String(status)))))
    stream.resume()
  })
}
