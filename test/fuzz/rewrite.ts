// An accepted message as the program would pass it on: what other readers make of that is what counts. Not a test itself;
// used by `run.ts`.

import {
  requestFraming,
  responseFraming,
  stripHopByHop,
  stripResponseHead,
  type Framing,
} from '../../src/wire/headers.ts'
import {
  formatLastChunk,
  formatRequestHead,
  formatResponseHead,
  joinBytes,
} from '../../src/wire/http1-write.ts'
import type { Message } from './own-reader.ts'

/** A request as an upstream would get it; undefined for what opens a tunnel. */
export function rewriteRequest({ start, headers, body, switches }: Message): Buffer | undefined {
  if (switches) return undefined
  const [method, target, version] = start
  const framing = requestFraming(headers, version!)
  const head = formatRequestHead({
    method: method!,
    target: target!,
    headers: stripHopByHop(headers),
    framing,
  })
  // The trailers of a request end at the door.
  return Buffer.concat([Buffer.from(head, 'latin1'), framed(body, framing, [])])
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
