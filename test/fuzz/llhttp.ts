// llhttp, the reader of the runtime, behind `node:http` on streams that are no sockets. Not a test itself; used by `run.ts`.

import http, { type IncomingMessage } from 'node:http'
import { Duplex } from 'node:stream'

import type { Heard, Hearing, Oracle, Question } from './oracle.ts'

const HEAD_BYTES_MAX = 1 << 20

interface Writable {
  start: readonly string[]
  headers: readonly string[]
  chunks: Buffer[]
  message: IncomingMessage | undefined
  left: number
}

interface Open {
  readonly heard: Writable[]
  refused: string | undefined
  readonly stream: Duplex
}

/** Starts llhttp. */
export function startLlhttp(): Oracle {
  const opens = new WeakMap<object, Open>()
  const server = makeServer(opens)
  return {
    name: 'llhttp',
    async ask(questions) {
      const answers = questions.map((question) => {
        const open: Open = { heard: [], refused: undefined, stream: makeStream() }
        opens.set(open.stream, open)
        if (question.method === undefined) server.emit('connection', open.stream)
        else request(open, question.method)
        return { open, question }
      })
      // A stream begins to flow, and a message's body to be told, in a later turn.
      await turn()
      for (const { open, question } of answers) push(open, question)
      await turn()
      await turn()
      const hearings = answers.map(({ open }) => toHearing(open))
      for (const { open } of answers) open.stream.destroy()
      return hearings
    },
    close: () => void server.close(),
  }
}

function makeServer(opens: WeakMap<object, Open>): http.Server {
  const server = http.createServer({
    maxHeaderSize: HEAD_BYTES_MAX,
    requireHostHeader: false,
    headersTimeout: 0,
    requestTimeout: 0,
    connectionsCheckingInterval: 0x7fffffff,
  })
  server.maxHeadersCount = 0
  // Never answered: what is pipelined is read all the same.
  server.on('request', (message) => hear(opens.get(message.socket), message))
  server.on('connect', (message: IncomingMessage, stream: Duplex, head: Buffer) => {
    const open = opens.get(stream)
    hear(open, message).left = head.length
  })
  server.on('clientError', (error, stream) => {
    const open = opens.get(stream)
    if (open) open.refused ??= codeOf(error)
  })
  return server
}

function request(open: Open, method: string): void {
  const outgoing = http.request({
    method,
    maxHeaderSize: HEAD_BYTES_MAX,
    createConnection: () => open.stream,
  })
  outgoing.maxHeadersCount = 0
  outgoing.on('information', ({ httpVersion, statusCode, statusMessage, rawHeaders }) => {
    const start = [httpVersion, String(statusCode), statusMessage]
    open.heard.push({ start, headers: rawHeaders, chunks: [], message: undefined, left: -1 })
  })
  outgoing.on('response', (message) => hear(open, message))
  outgoing.on('error', (error) => (open.refused ??= codeOf(error)))
  outgoing.end()
}

function hear(open: Open | undefined, message: IncomingMessage): Writable {
  const { method, url, httpVersion, statusCode, statusMessage, rawHeaders } = message
  const start =
    method === null || method === undefined
      ? [httpVersion, String(statusCode), statusMessage ?? '']
      : [method, url ?? '', httpVersion]
  const heard: Writable = { start, headers: rawHeaders, chunks: [], message, left: -1 }
  open?.heard.push(heard)
  message.on('data', (chunk: Buffer) => heard.chunks.push(chunk))
  message.on('error', () => undefined)
  return heard
}

function push({ stream }: Open, { pieces, isEnded }: Question): void {
  for (const piece of pieces) if (!stream.destroyed) stream.push(piece)
  if (isEnded && !stream.destroyed) stream.push(null)
}

function toHearing({ heard, refused }: Open): Hearing {
  const messages = heard.map(({ start, headers, chunks, message, left }): Heard => ({
    start,
    headers,
    body: Buffer.concat(chunks).toString('latin1'),
    trailers: message?.rawTrailers ?? [],
    isWhole: message?.complete ?? true,
    left,
  }))
  return refused === undefined ? { messages } : { messages, refused }
}

function makeStream(): Duplex {
  const stream = new Duplex({
    read: () => undefined,
    write: (_chunk, _encoding, done) => done(),
    // Of a message whose stream is gone nothing more would be told.
    destroy: (_error, done) => done(null),
  })
  stream.on('error', () => undefined)
  return stream
}

function codeOf(error: Error): string {
  const code: unknown = 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : error.message
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
