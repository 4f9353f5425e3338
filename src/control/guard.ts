// What every request must be: addressed to this listener by name, from no browser, with no body but JSON of bounded size.
// So a page in an operator's browser reaches nothing, neither by a forged form nor by a name that it rebinds to this
// address. The head is checked before it is asked who sends it, by `server.ts`; the body after, by `app.ts`.

import type { IncomingMessage } from 'node:http'

import { ControlError } from '../tasks/control-error.ts'
import { notAllowed } from './roles.ts'

/** How the listener may be named in Host. */
export interface OwnNames {
  /** Undefined for a unix socket, which has no port. */
  readonly port: number | undefined
  /** The port that an address without one means: 80, or 443 with TLS. */
  readonly defaultPort: number
  /** The address that it is bound to. */
  readonly address: string | undefined
  /** Whether the listener's certificate bears the name. */
  readonly isCertified: (name: string) => boolean
}

const LOCAL_NAMES = ['localhost', '127.0.0.1', '[::1]']

/** Refuses a request whose head is not one that a client of this API sends. @throws ControlError */
export function checkHead(request: IncomingMessage, names: OwnNames): void {
  checkTarget(request.url ?? '')
  checkHost(request, names)
  // `Sec-Fetch-Site` is a browser's alone; `Origin` is sent by nobody else for this either.
  if (request.headers.origin !== undefined || request.headers['sec-fetch-site'] !== undefined)
    throw notAllowed('no browser is a client of this API')
}

function checkTarget(url: string): void {
  if (!url.startsWith('/') || url.startsWith('//'))
    throw new ControlError('authority-mismatch', 'the request target is not a path')
  const path = url.split('?', 1)[0] ?? ''
  if (path.split('/').some((segment) => /^(?:\.|%2e){1,2}$/i.test(segment)) || /[\\#]/.test(path))
    throw new ControlError('not-found', 'the path has dot segments or backslashes')
}

function checkHost(request: IncomingMessage, names: OwnNames): void {
  const hosts = valuesOf(request, 'host')
  const [host = ''] = hosts
  if (hosts.length !== 1 || !isOwnName(host, names))
    throw new ControlError('authority-mismatch', 'Host does not name this listener')
}

function isOwnName(host: string, { port, defaultPort, address, isCertified }: OwnNames): boolean {
  const match = /^(\[[0-9A-Fa-f:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(host)
  const name = match?.[1]?.toLowerCase()
  if (name === undefined) return false
  // Whoever speaks HTTP over a unix socket writes a host only because HTTP wants one.
  if (port === undefined) return name === 'localhost'
  if (Number(match?.[2] ?? defaultPort) !== port) return false
  const own = address?.includes(':') === true ? `[${address}]` : address
  return LOCAL_NAMES.includes(name) || name === own || isCertified(name)
}

/** Reads the body of a request: plain JSON, of bounded size, or none. @throws ControlError */
export async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const { headers } = request
  const length = Number(headers['content-length'] ?? 0)
  if (length === 0 && headers['transfer-encoding'] === undefined) return Buffer.alloc(0)
  if (request.method === 'GET' || request.method === 'HEAD' || request.method === 'DELETE')
    throw new ControlError('definition-invalid', `${request.method} takes no body`)
  const type = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase()
  if (type !== 'application/json' || headers['content-encoding'] !== undefined)
    throw new ControlError('content-type-not-allowed', 'the body is not plain application/json')
  const tooLarge = new ControlError('body-too-large', `a body has at most ${bytesMax} bytes`)
  if (length > bytesMax) throw tooLarge
  const chunks: Buffer[] = []
  let bytes = 0
  // Not `for await`, which would end the connection, and the answer with it, where the body is refused.
  return new Promise((resolve, reject) => {
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > bytesMax) reject(tooLarge)
      else chunks.push(chunk)
    })
    request.once('end', () => resolve(Buffer.concat(chunks)))
    request.once('close', () =>
      reject(new ControlError('definition-invalid', 'the body broke off')),
    )
    request.once('error', () =>
      reject(new ControlError('definition-invalid', 'the body broke off')),
    )
  })
}

/** All values of a header field; node keeps only the first of some. */
export function valuesOf({ rawHeaders }: IncomingMessage, lowerName: string): string[] {
  return rawHeaders.filter(
    (_value, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === lowerName,
  )
}
