// Proves how exchanges over HTTP/2 end before their time: cut, reset, refused, left alone; what is sent again and what is not.

import type { ServerHttp2Stream } from 'node:http2'

import t from 'tap'

import { EgressError } from '../../../src/errors.ts'
import {
  data,
  FLAG,
  FRAME,
  goaway,
  headers,
  reset,
  startFrames,
} from '../../fixtures/http2-frames.ts'
import { until } from '../net/support.ts'
import { ask, failureOf, leaf, makeBody, makePool, nextOf, serve, textOf } from './support.ts'

const OK = [[':status', '200']] as const

void t.test('a call that is cut resets its stream, and no other', async (t) => {
  const streams: ServerHttp2Stream[] = []
  const upstream = await serve(t, (stream) => {
    streams.push(stream)
    stream.respond({ ':status': 200 })
    stream.write('x')
  })
  const pool = makePool(t)
  const cut = ask(pool, upstream.port)
  const kept = ask(pool, upstream.port)
  const [first, second] = [await cut.response, await kept.response]
  t.equal(await nextOf(first.body), 'x')
  cut.call.cut('task-ended-midway')
  t.equal(await failureOf(textOf(first.body)), 'task-ended-midway')
  t.ok(await until(() => streams[0]!.closed))
  t.equal(streams[0]!.rstCode, 8, 'CANCEL')
  streams[1]!.end('y')
  t.equal(await textOf(second.body), 'xy')
  t.equal(upstream.connections(), 1)
})

void t.test('a call that is cut before its answer is over at once', async (t) => {
  const upstream = await serve(t, () => undefined)
  const { call, response } = ask(makePool(t), upstream.port)
  t.ok(await until(() => upstream.open() === 1))
  call.cut('client-gone')
  t.equal(await failureOf(response), 'client-gone')
})

void t.test('a reader that wants no more resets the stream', async (t) => {
  let code = 0
  const upstream = await serve(t, (stream) => {
    stream.on('close', () => (code = stream.rstCode))
    stream.respond({ ':status': 200 })
    stream.write('x')
  })
  const { body } = await ask(makePool(t), upstream.port).response
  body.abort(new EgressError('credential-echoed'))
  t.ok(await until(() => code === 8))
  t.equal(await failureOf(textOf(body)), 'credential-echoed')
})

void t.test(
  'a request body that breaks off resets the stream, before the answer and within it',
  async (t) => {
    const codes: number[] = []
    const upstream = await serve(t, (stream, head) => {
      stream.on('close', () => codes.push(stream.rstCode))
      if (head[':path'] === '/early') stream.respond({ ':status': 200 })
      stream.resume()
    })
    const pool = makePool(t)
    const late = makeBody()
    const waiting = ask(pool, upstream.port, { method: 'POST', body: late.body })
    late.body.push(Buffer.from('half'))
    late.body.fail(new EgressError('body-too-large'))
    t.equal(await failureOf(waiting.response), 'body-too-large')
    const early = makeBody()
    const { response } = ask(pool, upstream.port, {
      method: 'POST',
      path: '/early',
      body: early.body,
    })
    const { body } = await response
    early.body.fail(new EgressError('client-gone'))
    t.equal(await failureOf(textOf(body)), 'client-gone')
    t.ok(await until(() => codes.length === 2))
    t.strictSame(codes, [8, 8])
  },
)

void t.test('an answer that is complete before the request ends it in order', async (t) => {
  let code = -1
  const upstream = await serve(t, (stream) => {
    stream.on('close', () => (code = stream.rstCode))
    stream.respond({ ':status': 403 })
    stream.end('no')
  })
  const { body } = makeBody()
  const response = await ask(makePool(t), upstream.port, { method: 'POST', body }).response
  t.equal(await textOf(response.body), 'no')
  t.ok(await until(() => code === 0))
})

void t.test('an upstream that resets a stream has given no response', async (t) => {
  const upstream = await startFrames(leaf, {
    onFrame: ({ type, stream }, peer) => {
      if (type !== 1) return
      if (stream === 1) peer.write(reset(stream, 11))
      if (stream === 3) peer.write(headers(stream, OK), data(stream, 'half'), reset(stream, 2))
      if (stream === 5) peer.write(headers(stream, OK), data(stream, 'half'), reset(stream, 0))
      if (stream === 7) peer.write(headers(stream, OK), data(stream, 'half'), reset(stream, 8))
      if (stream === 9)
        peer.write(headers(stream, OK), data(stream, 'whole', FLAG.endStream), reset(stream, 2))
    },
  })
  t.teardown(() => upstream.close())
  const pool = makePool(t)
  t.equal(
    await failureOf(ask(pool, upstream.port).response),
    'response-incomplete ENHANCE_YOUR_CALM',
  )
  for (const code of ['INTERNAL_ERROR', 'NO_ERROR', 'CANCEL']) {
    const whole = ask(pool, upstream.port).response.then(({ body }) => textOf(body))
    t.equal(await failureOf(whole), `response-incomplete ${code}`)
  }
  // The request is not over: its reset says nothing of the answer that is.
  const { body } = makeBody()
  const response = await ask(pool, upstream.port, { method: 'POST', body }).response
  t.equal(await textOf(response.body), 'whole')
})

void t.test(
  'a refused stream is asked for once more, where none of its body was taken',
  async (t) => {
    const seen: number[] = []
    const upstream = await startFrames(leaf, {
      onFrame: ({ type, stream }, peer) => {
        if (type === 0) peer.write(reset(stream, 7))
        if (type !== 1) return
        seen.push(stream)
        if (stream === 1) peer.write(reset(stream, 7))
        if (stream === 3) peer.write(headers(stream, OK, FLAG.endHeaders | FLAG.endStream))
        if (stream >= 7) peer.write(reset(stream, 7))
      },
    })
    t.teardown(() => upstream.close())
    const pool = makePool(t)
    const { body } = makeBody()
    t.equal((await ask(pool, upstream.port, { method: 'POST', body }).response).status, 200)
    t.strictSame(seen, [1, 3])
    const begun = makeBody()
    begun.body.push(Buffer.from('x'))
    const { response } = ask(pool, upstream.port, { method: 'POST', body: begun.body })
    t.equal(await failureOf(response), 'response-incomplete REFUSED_STREAM')
    t.strictSame(seen, [1, 3, 5])
    t.equal(
      await failureOf(ask(pool, upstream.port).response),
      'response-incomplete REFUSED_STREAM',
    )
    t.strictSame(seen, [1, 3, 5, 7, 9], 'once, and not for ever')
  },
)

void t.test('what a leaving upstream did nothing of goes to a new connection', async (t) => {
  let connections = 0
  const upstream = await startFrames(leaf, {
    onConnection: () => (connections += 1),
    onFrame: ({ type, stream }, peer) => {
      if (type !== 1) return
      if (connections > 1) peer.write(headers(stream, OK, FLAG.endHeaders | FLAG.endStream))
      else if (stream === 3)
        peer.write(goaway(1, 0), headers(1, OK), data(1, 'still served', FLAG.endStream))
    },
  })
  t.teardown(() => upstream.close())
  const pool = makePool(t)
  const first = ask(pool, upstream.port, { method: 'POST' })
  const second = ask(pool, upstream.port, { method: 'POST' })
  t.equal((await second.response).body.length, 0)
  t.equal(await textOf((await first.response).body), 'still served')
  t.equal(upstream.connections(), 2)
  t.ok(await until(() => upstream.open() === 1), 'the old one is closed')
})

void t.test('what it may have done something of is not sent again', async (t) => {
  const upstream = await startFrames(leaf, {
    onFrame: ({ type, stream }, peer) => {
      if (type === 1) peer.write(goaway(stream, 2))
    },
  })
  t.teardown(() => upstream.close())
  const pool = makePool(t)
  t.match(
    await failureOf(ask(pool, upstream.port, { method: 'POST' }).response),
    /^response-incomplete/,
  )
  t.equal(upstream.connections(), 1)
})

void t.test(
  'a kept connection that is dead is noticed, and a safe request sent again',
  async (t) => {
    let connections = 0
    const upstream = await startFrames(leaf, {
      onConnection: () => (connections += 1),
      onFrame: ({ type, stream }, peer) => {
        if (type !== 1) return
        if (stream === 3) peer.socket.destroy()
        else peer.write(headers(stream, OK, FLAG.endHeaders | FLAG.endStream))
      },
    })
    t.teardown(() => upstream.close())
    const pool = makePool(t)
    await ask(pool, upstream.port).response
    t.equal((await ask(pool, upstream.port).response).status, 200)
    t.equal(connections, 2)
    t.match(
      await failureOf(ask(pool, upstream.port, { method: 'POST' }).response),
      /^response-incomplete/,
    )
  },
)

void t.test('an upstream that goes away within an answer is told so', async (t) => {
  const upstream = await startFrames(leaf, {
    onFrame: ({ type, stream }, peer) => {
      if (type === 1) peer.write(headers(stream, OK), data(stream, 'half'))
      setTimeout(() => peer.socket.destroy(), 50)
    },
  })
  t.teardown(() => upstream.close())
  const { body } = await ask(makePool(t), upstream.port).response
  t.equal(await nextOf(body), 'half')
  t.match(await failureOf(textOf(body)), /^upstream-gone/)
})

void t.test('an upstream that never answers is given up', async (t) => {
  const upstream = await startFrames(leaf)
  t.teardown(() => upstream.close())
  const pool = makePool(t, { responseTimeoutMs: 100 })
  t.equal(await failureOf(ask(pool, upstream.port).response), 'response-timeout')
  t.equal(upstream.open(), 1, 'the connection is not to blame')
})

void t.test('what head and body come by in one read is taken in their order', async (t) => {
  const together = 16
  let waiting: Buffer[] = []
  const upstream = await startFrames(leaf, {
    onFrame: ({ type, stream }, peer) => {
      if (type !== FRAME.headers) return
      const length: readonly [string, string] = ['content-length', '2']
      waiting.push(headers(stream, [...OK, length]), data(stream, 'ok', FLAG.endStream))
      if (waiting.length < 2 * together) return
      peer.write(Buffer.concat(waiting))
      waiting = []
    },
  })
  t.teardown(() => upstream.close())
  const pool = makePool(t)
  for (let round = 0; round < 20; round += 1) {
    const responses = await Promise.all(
      Array.from({ length: together }, () => ask(pool, upstream.port).response),
    )
    for (const { body } of responses) t.equal(await textOf(body), 'ok')
  }
})
