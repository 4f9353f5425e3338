// An accepted message as the program would pass it on: what other readers make of that is what counts. Not a test itself;
// used by `run.ts`.

import { EgressError } from '../../src/errors.ts'
import { prepareHead } from '../../src/inject/prepare.ts'
import { parseAuthority } from '../../src/wire/authority.ts'
import { responseFraming, type Framing } from '../../src/wire/headers.ts'
import { stripResponseHead } from '../../src/wire/hop-by-hop.ts'
import {
  formatLastChunk,
  formatRequestHead,
  formatResponseHead,
  joinBytes,
} from '../../src/wire/http1-write.ts'
import { readRequest, type CanonicalRequest } from '../../src/wire/receive.ts'
import type { Message } from './own-reader.ts'

const HEADER_COUNT_MAX = 200
// Where the corpus' requests go that come in origin form, as inside a tunnel.
const TUNNEL = { endpoint: parseAuthority('a.test:80'), tls: false }

/** A request as an upstream would get it; undefined for what is refused whatever the rules, and for what opens a tunnel. */
export function rewriteRequest(message: Message): Buffer | undefined {
  const request = message.switches ? undefined : receive(message)
  if (request === undefined) return undefined
  const { headers, path, query, endpoint, scheme, method, framing } = request
  const prepared = prepareHead({
    headers,
    path: path.raw,
    query,
    endpoint,
    scheme,
    obligations: { clientAuth: 'pass' },
    addresses: { allowed: [] },
    brokered: [],
  })
  const head = formatRequestHead({
    method,
    target: prepared.path,
    headers: prepared.headers,
    framing,
  })
  // The trailers of a request end at the door.
  return Buffer.concat([Buffer.from(head, 'latin1'), framed(message.body, framing, [])])
}

function receive({ start, headers }: Message): CanonicalRequest | undefined {
  const [method, target, version] = start
  const head = { method: method!, target: target!, version: version!, headers, upgrade: false }
  try {
    return readRequest(head, target!.startsWith('/') ? TUNNEL : undefined, HEADER_COUNT_MAX)
  } catch (error) {
    if (error instanceof EgressError) return undefined
    throw error
  }
}

/** A response as a client of HTTP/1.1 would get it; a 1xx is none. */
export function rewriteResponse(message: Message, method: string): Buffer | undefined {
  const { start, headers, body, trailers } = message
  const status = Number(start[1])
  if (status < 200) return undefined
  const { framing, length } = responseFraming(headers, status, method, start[0]!)
  const written: Framing =
    length !== undefined
      ? { kind: 'length', length }
      : framing.kind === 'none'
        ? framing
        : { kind: 'chunked' }
  const head = formatResponseHead({
    status,
    statusText: start[2]!,
    headers: stripResponseHead(headers),
    framing: written,
    connection: undefined,
  })
  const rest =
    framing.kind === 'none' ? Buffer.alloc(0) : framed(body, written, stripResponseHead(trailers))
  return Buffer.concat([Buffer.from(head, 'latin1'), rest])
}

function framed(body: Buffer, framing: Framing, trailers: readonly string[]): Buffer {
  if (framing.kind !== 'chunked') return body
  const last = formatLastChunk(trailers)
  return body.length === 0
    ? Buffer.from(last, 'latin1')
    : joinBytes(`${body.length.toString(16)}\r\n`, body, `\r\n${last}`)
}
