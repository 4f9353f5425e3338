// Proves that an upstream which breaks HTTP/2, floods or stalls harms the call that asked it, and nothing else.

import t, { type Test } from 'tap'

import {
  data,
  fields,
  FLAG,
  frame,
  FRAME,
  headers,
  settings,
  startFrames,
  word,
  type ArrivedFrame,
  type FramePeer,
  type FrameUpstream,
} from '../../fixtures/http2-frames.ts'
import { sleep, until } from '../net/support.ts'
import { ask, failureOf, leaf, makeBody, makePool, textOf, type TestPool } from './support.ts'

type Fields = readonly (readonly [string, string])[]
const OK = [[':status', '200']] as const
const MB = 1024 * 1024

async function upstreamOf(
  t: Test,
  onRequest: (arrived: ArrivedFrame, peer: FramePeer) => void,
  first?: readonly Buffer[],
): Promise<FrameUpstream> {
  const upstream = await startFrames(leaf, {
    ...(first && { first }),
    onFrame: (arrived, peer) => {
      if (arrived.type === FRAME.headers) onRequest(arrived, peer)
    },
  })
  t.teardown(() => upstream.close())
  return upstream
}

/** How a request ends, its body read whole. */
function outcome(pool: TestPool, upstream: FrameUpstream, method = 'GET'): Promise<string> {
  const { response } = ask(pool, upstream.port, { method })
  return failureOf(response.then(({ body }) => textOf(body)))
}

void t.test('heads that are none are refused, and their good twin is not', async (t) => {
  const table: Record<string, { head: Fields; body?: string; outcome: RegExp }> = {
    'a good one': { head: OK, body: 'x', outcome: /^fine$/ },
    'no status': { head: [['x-a', '1']], outcome: /^response-malformed/ },
    'two statuses': { head: [...OK, ...OK], outcome: /^response-malformed/ },
    'a status that is none': { head: [[':status', 'abc']], outcome: /^response-malformed/ },
    'a status of 101': { head: [[':status', '101']], outcome: /^response-malformed/ },
    'another pseudo-header': { head: [...OK, [':path', '/']], outcome: /^response-malformed/ },
    'a pseudo-header behind fields': { head: [['a', '1'], ...OK], outcome: /^response-malformed/ },
    'a field of the connection': {
      head: [...OK, ['connection', 'close']],
      outcome: /^response-malformed/,
    },
    'transfer-encoding': {
      head: [...OK, ['transfer-encoding', 'chunked']],
      outcome: /^response-malformed/,
    },
    'two lengths': {
      head: [...OK, ['content-length', '1'], ['content-length', '2']],
      outcome: /^response-malformed/,
    },
    'a length that is none': {
      head: [...OK, ['content-length', '0x1']],
      outcome: /^response-malformed/,
    },
    'more than it says': {
      head: [...OK, ['content-length', '2']],
      body: 'abc',
      outcome: /^response-malformed/,
    },
    'less than it says': {
      head: [...OK, ['content-length', '4']],
      body: 'abc',
      outcome: /^response-malformed/,
    },
    'as much as it says': {
      head: [...OK, ['content-length', '3']],
      body: 'abc',
      outcome: /^fine$/,
    },
    'a body behind 204': {
      head: [[':status', '204']],
      body: 'abc',
      outcome: /^response-malformed|^fine/,
    },
  }
  for (const [title, { head, body = '', outcome: expected }] of Object.entries(table)) {
    const upstream = await upstreamOf(t, ({ stream }, peer) =>
      peer.write(headers(stream, head), data(stream, body, FLAG.endStream)),
    )
    t.match(await outcome(makePool(t), upstream), expected, title)
  }
})

void t.test('names and values that could be read as others are not passed on', async (t) => {
  const upstream = await upstreamOf(t, ({ stream }, peer) =>
    peer.write(
      headers(stream, [...OK, ['Upper', '1'], ['x-a', 'a\r\nb: c'], ['x b', '1'], ['x-fine', '1']]),
      data(stream, '', FLAG.endStream),
    ),
  )
  const pool = makePool(t)
  const { response } = ask(pool, upstream.port)
  const heads = await response.then(
    (answer) => answer.headers.join(),
    () => 'refused',
  )
  t.ok(heads === 'refused' || heads === 'x-fine,1', heads)
})

void t.test('trailers that are none break the body off', async (t) => {
  const table: Record<string, { trailers: Fields; outcome: RegExp }> = {
    'good ones': { trailers: [['grpc-status', '0']], outcome: /^fine$/ },
    'a pseudo-header': { trailers: [[':status', '200']], outcome: /^response-malformed/ },
    'too many bytes': { trailers: [['x', 'a'.repeat(9000)]], outcome: /^response-malformed/ },
  }
  for (const [title, { trailers, outcome: expected }] of Object.entries(table)) {
    const upstream = await upstreamOf(t, ({ stream }, peer) =>
      peer.write(
        headers(stream, OK),
        data(stream, 'x'),
        headers(stream, trailers, FLAG.endHeaders | FLAG.endStream),
      ),
    )
    t.match(await outcome(makePool(t), upstream), expected, title)
  }
})

void t.test('floods end the connection or the stream, within bounds', async (t) => {
  const many = (count: number, one: Buffer): Buffer => Buffer.concat(Array<Buffer>(count).fill(one))
  const field = fields(['x-filler', 'a'.repeat(8000)])
  const table: Record<string, (stream: number) => Buffer[]> = {
    'CONTINUATION without end': (stream) => [
      headers(stream, OK, 0),
      many(20_000, frame(FRAME.continuation, 0, stream, field.subarray(0, 400))),
    ],
    'a header list of megabytes': (stream) => [
      headers(stream, OK, 0),
      many(6, frame(FRAME.continuation, 0, stream, field)),
      many(200, frame(FRAME.continuation, 0, stream, field)),
    ],
    'a header list that is too long': (stream) => [
      headers(stream, OK, 0),
      ...Array<Buffer>(5).fill(frame(FRAME.continuation, 0, stream, Buffer.concat([field, field]))),
      frame(FRAME.continuation, FLAG.endHeaders, stream, field),
    ],
    SETTINGS: () => [many(200_000, settings([3, 100]))],
    PING: () => [many(200_000, frame(FRAME.ping, 0, 0, Buffer.alloc(8)))],
    'a push': (stream) => [
      frame(
        FRAME.push,
        FLAG.endHeaders,
        stream,
        Buffer.concat([
          word(2),
          fields(
            [':method', 'GET'],
            [':path', '/'],
            [':scheme', 'https'],
            [':authority', 'api.test'],
          ),
        ]),
      ),
    ],
    ORIGIN: () => [
      many(
        20_000,
        frame(
          FRAME.origin,
          0,
          0,
          Buffer.concat(
            Array.from({ length: 50 }, (_, at) =>
              Buffer.from(`\0\x10https://a${at.toString().padStart(3, '0')}.tst`),
            ),
          ),
        ),
      ),
    ],
    'no HTTP/2 at all': () => [Buffer.from('HTTP/1.1 200 OK\r\n\r\n'.repeat(100))],
  }
  for (const [title, floodOf] of Object.entries(table)) {
    const upstream = await upstreamOf(t, ({ stream }, peer) => peer.write(...floodOf(stream)))
    const before = process.memoryUsage().rss
    const pool = makePool(t, { responseTimeoutMs: 3000 })
    t.match(await outcome(pool, upstream), /^response-(?:malformed|incomplete)/, title)
    t.ok(process.memoryUsage().rss - before < 200 * MB, `${title}: in bounded memory`)
  }
})

void t.test('a storm of resets fails the calls it answers', async (t) => {
  const upstream = await upstreamOf(t, ({ stream }, peer) =>
    peer.write(Buffer.concat(Array<Buffer>(50).fill(frame(FRAME.reset, 0, stream, word(2))))),
  )
  const pool = makePool(t)
  const all = await Promise.all(Array.from({ length: 300 }, () => outcome(pool, upstream)))
  t.ok(all.every((one) => one.startsWith('response-')))
})

void t.test(
  'an upstream that says nothing at all, or allows no stream, is no upstream',
  async (t) => {
    const mute = await upstreamOf(t, () => undefined, [])
    const pool = makePool(t, { connectTimeoutMs: 200 })
    t.equal(await outcome(pool, mute), 'connect-timeout')
    t.ok(await until(() => mute.open() === 0))
    const closed = await upstreamOf(t, () => undefined, [settings([3, 0])])
    t.equal(await outcome(pool, closed), 'dial-failed no-streams')
    t.ok(await until(() => closed.open() === 0))
  },
)

void t.test('an upstream that closes whatever it accepts is not dialed for ever', async (t) => {
  const upstream = await startFrames(leaf, {
    first: [],
    onConnection: ({ socket }) => socket.destroy(),
  })
  t.teardown(() => upstream.close())
  t.match(await outcome(makePool(t), upstream), /^response-incomplete/)
  t.ok(upstream.connections() <= 8)
})

void t.test('a window that stays closed holds the request back, and not the memory', async (t) => {
  const upstream = await upstreamOf(t, () => undefined, [settings([4, 0])])
  const { body, state } = makeBody()
  const { call, response } = ask(makePool(t), upstream.port, { method: 'POST', body })
  for (let sent = 0; sent < 64 && !state.paused; sent += 1) {
    body.push(Buffer.alloc(64 * 1024))
    await sleep(5)
  }
  t.ok(state.paused, 'its source is paused')
  t.ok(call.bytesOut <= 256 * 1024)
  call.cut('idle-timeout')
  t.equal(await failureOf(response), 'idle-timeout')
})

void t.test('an answer that nobody reads is held back by the windows', async (t) => {
  let sent = 0
  let window = 65_535
  const upstream = await startFrames(leaf, {
    onFrame: ({ type, stream, payload }, peer) => {
      // What the client grants at first is in its SETTINGS.
      if (type === FRAME.settings)
        for (let at = 0; at + 6 <= payload.length; at += 6)
          if (payload.readUInt16BE(at) === 4) window = payload.readUInt32BE(at + 2)
      if (type === FRAME.windowUpdate && stream === 1) window += payload.readUInt32BE(0)
      if (type === FRAME.headers) peer.write(headers(1, OK))
      if (type === FRAME.headers || (type === FRAME.windowUpdate && stream === 1))
        while (sent > 0 ? sent + 16_384 <= window : window >= 16_384) {
          peer.write(data(1, Buffer.alloc(16_384)))
          sent += 16_384
          if (sent > 20 * MB) return
        }
    },
  })
  t.teardown(() => upstream.close())
  const { body } = await ask(makePool(t), upstream.port).response
  let last = -1
  while (last !== sent) {
    last = sent
    await sleep(100)
  }
  t.ok(sent < MB, `unread: ${sent} bytes`)
  for (let read = 0; read < 2 * MB;) {
    const chunk = body.read()
    if (chunk) read += chunk.length
    else if (chunk === undefined) await body.wait()
  }
  t.ok(sent > 2 * MB, 'read: it flows')
})
