// gRPC through the proxy, by the library that agents use: all kinds of calls work as if nothing stood between.

import grpc from '@grpc/grpc-js'
import t from 'tap'

import { collect, talkScenario } from '../fixtures/grpc.ts'
import { sleep, until } from '../fixtures/scenario.ts'

const { status } = grpc

talkScenario(t, 'R41: unary calls, with metadata both ways', async ({ cx, t, up, client }) => {
  const metadata = new grpc.Metadata()
  metadata.set('x-plain', 'a')
  metadata.set('x-raw-bin', Buffer.from([0, 1, 254, 255]))
  const answer = await client.say({ text: 'hello' }, { metadata })
  t.match(answer, { code: 0, words: { text: 'you said hello' } })
  t.strictSame(answer.head?.get('x-first'), ['head'])
  t.strictSame(answer.head?.get('x-first-bin'), [Buffer.from([1, 2, 250])])
  t.strictSame(answer.metadata?.get('x-last'), ['trailer'])
  t.strictSame(up.seen[0]?.metadata.get('x-plain'), ['a'])
  t.strictSame(up.seen[0]?.metadata.get('x-raw-bin'), [Buffer.from([0, 1, 254, 255])])
  const failed = await client.say({ text: 'fail' })
  t.match(failed, { code: status.NOT_FOUND, details: 'nothing – at all' })
  t.strictSame(failed.metadata?.get('x-why'), ['asked'])
  t.strictSame(failed.metadata?.get('x-why-bin'), [Buffer.from([0, 255, 128])])
  const record = await cx.record(({ rpc }) => rpc?.response.status_code === 'NOT_FOUND')
  t.match(record, { event: { reason: 'allowed' }, url: { path: '/test.Talk/Say' } })
  t.ok(await cx.record(({ rpc }) => rpc?.response.status_code === 'OK'))
})

talkScenario(
  t,
  'R41: streams of the client, of the server, and of both at once',
  async ({ t, client }) => {
    const bytes = Buffer.alloc(1000)
    const words = Array.from({ length: 50 }, (_, at) => ({ text: String(at), bytes }))
    t.match(await client.count(words), { code: 0, words: { times: 50, text: '50000' } })
    const repeated = await collect(client.repeat({ text: 'again', times: 30 }))
    t.equal(repeated.code, 0)
    const expected = Array.from({ length: 30 }, (_, at) => `again ${at + 1}`)
    t.strictSame(repeated.texts, expected)
    const chat = client.chat()
    const outcome = collect(chat)
    let heard = 0
    chat.on('data', () => (heard += 1))
    for (const text of ['one', 'two', 'three']) {
      const before = heard
      chat.write({ text })
      await until(() => heard > before, 'each is answered before the next is said')
    }
    chat.end()
    t.match(await outcome, { code: 0, texts: ['<one>', '<two>', '<three>'] })
  },
)

talkScenario(t, 'R41: messages of megabytes pass both ways', async ({ t, client }) => {
  const bytes = Buffer.alloc(4 * 1024 * 1024, 7)
  const { code, words } = await client.say({ text: 'much', bytes })
  t.equal(code, 0)
  t.ok(words?.bytes?.equals(bytes))
  const many = await client.count(Array.from({ length: 4 }, () => ({ bytes })))
  t.match(many, { code: 0, words: { text: String(16 * 1024 * 1024) } })
})

talkScenario(
  t,
  'R41: a client that does not read holds the upstream back',
  async ({ t, up, client }) => {
    const bytes = Buffer.alloc(256 * 1024)
    const stream = client.repeat({ text: 'much', times: 200, bytes })
    stream.on('error', () => undefined)
    // One that has not read anything yet is not held back by its own library.
    await new Promise((resolve) => stream.once('data', resolve))
    stream.pause()
    let last = -1
    while (last !== up.written()) {
      last = up.written()
      await sleep(300)
    }
    t.ok(last < 60, `unread: ${last} of 200`)
    const outcome = collect(stream)
    stream.resume()
    const { code, texts } = await outcome
    t.equal(code, 0)
    t.equal(texts.length, 199)
  },
)

talkScenario(
  t,
  'R41: deadlines and cancellation reach the upstream',
  async ({ cx, t, up, client }) => {
    const late = await client.say({ text: 'never' }, { call: { deadline: Date.now() + 1500 } })
    t.equal(late.code, status.DEADLINE_EXCEEDED)
    await until(() => up.cancelled() === 1, 'the upstream is told')
    const stream = client.repeat({ text: 'open', times: 1 })
    const outcome = collect(stream)
    await until(() => up.written() === 1, 'it is open')
    stream.cancel()
    t.equal((await outcome).code, status.CANCELLED)
    await until(() => up.cancelled() === 2, 'the upstream is told')
    await cx.record(
      ({ url, event }) => url?.path === '/test.Talk/Repeat' && event.reason === 'client-gone',
    )
    t.match(await client.say({ text: 'x' }), { code: 0 }, 'the connection goes on')
  },
)
