// gRPC through the proxy, by the library that agents use: all kinds of calls, and refusals that its clients understand.

import grpc from '@grpc/grpc-js'
import t from 'tap'

import { collect, GrpcClient, startGrpc, type GrpcUpstream } from '../fixtures/grpc.ts'
import { pki, ruleSet, scenario, sleep, until, type Scenario } from '../fixtures/scenario.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const { status } = grpc

let up: GrpcUpstream

/** A scenario with the service, whose calls are allowed but for one. */
function talk(
  title: string,
  body: (
    cx: Scenario,
    t: Parameters<Parameters<typeof scenario>[3]>[1],
    client: GrpcClient,
  ) => Promise<void>,
  more: { readonly limits?: string; readonly rule?: string } = {},
): void {
  scenario(
    t,
    title,
    async () => {
      up = await startGrpc(pki.issue({ names: ['grpc.test', 'other.test'] }))
      return {
        hosts: ['grpc.test', 'other.test'],
        rules: ruleSet(
          `id: talk, allow: 'https://grpc.test:${up.port}', methods: [POST], paths: [/test.Talk/Say, /test.Talk/Count, /test.Talk/Repeat, /test.Talk/Chat], ${LOOPBACK}${more.rule ?? ''}`,
        ),
        ...(more.limits !== undefined && { limits: more.limits }),
      }
    },
    async (cx, t) => {
      const client = new GrpcClient(cx, `grpc.test:${up.port}`)
      try {
        await body(cx, t, client)
      } finally {
        client.close()
        await up.close()
      }
    },
  )
}

talk('R41: unary calls, with metadata both ways', async (cx, t, client) => {
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
  const record = await cx.record(({ url }) => url?.path === '/test.Talk/Say')
  t.match(record.event, { reason: 'allowed', outcome: 'success' })
})

talk('R41: streams of the client, of the server, and of both at once', async (_cx, t, client) => {
  const words = Array.from({ length: 50 }, (_, at) => ({
    text: String(at),
    bytes: Buffer.alloc(1000),
  }))
  t.match(await client.count(words), { code: 0, words: { times: 50, text: '50000' } })
  const repeated = await collect(client.repeat({ text: 'again', times: 30 }))
  t.equal(repeated.code, 0)
  t.strictSame(
    repeated.texts,
    Array.from({ length: 30 }, (_, at) => `again ${at + 1}`),
  )
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
})

talk('R41: messages of megabytes pass both ways', async (_cx, t, client) => {
  const bytes = Buffer.alloc(4 * 1024 * 1024, 7)
  const { code, words } = await client.say({ text: 'much', bytes })
  t.equal(code, 0)
  t.ok(words?.bytes?.equals(bytes))
})

talk('a client that does not read holds the upstream back', async (_cx, t, client) => {
  const stream = client.repeat({ text: 'much', times: 200, bytes: Buffer.alloc(256 * 1024) })
  stream.on('error', () => undefined)
  stream.pause()
  await until(() => up.written() > 0, 'it begins')
  let last = -1
  while (last !== up.written()) {
    last = up.written()
    await sleep(300)
  }
  t.ok(last < 40, `unread: ${last} of 200`)
  const outcome = collect(stream)
  stream.resume()
  const { code, texts } = await outcome
  t.equal(code, 0)
  t.equal(texts.length, 200)
})

talk('deadlines and cancellation reach the upstream', async (cx, t, client) => {
  const late = await client.say({ text: 'never' }, { call: { deadline: Date.now() + 500 } })
  t.equal(late.code, status.DEADLINE_EXCEEDED)
  await until(() => up.cancelled() === 1, 'the upstream is told')
  t.match(up.seen[0]?.metadata.get('grpc-timeout'), [])
  const stream = client.repeat({ text: 'open', times: 1 })
  const outcome = collect(stream)
  await until(() => up.seen.length === 2, 'it is open')
  stream.cancel()
  t.equal((await outcome).code, status.CANCELLED)
  const gone = await cx.record(
    ({ url, event }) => url?.path === '/test.Talk/Repeat' && event.reason === 'client-gone',
  )
  t.equal(gone.event.reason, 'client-gone')
})

talk(
  'R41: a refused call is answered by trailers alone, and the next is served',
  async (cx, t, client) => {
    const refused = await client.say({ text: 'x' }, { method: 'Secret' })
    t.equal(refused.code, status.PERMISSION_DENIED)
    t.match(refused.details, /^Sallyport: path-not-allowed: .*Do not retry.*\(call [0-9A-Z]{26}\)$/)
    t.match(
      String(refused.metadata?.get('proxy-status')),
      /sallyport; error=http_request_denied; reason=path-not-allowed/,
    )
    t.match(await client.say({ text: 'x' }), { code: 0 })
    const record = await cx.record(({ url }) => url?.path === '/test.Talk/Secret')
    t.match(record.event, { action: 'call-denied', reason: 'path-not-allowed' })
    t.equal(up.seen.length, 1, 'nothing of it left')
  },
)

talk(
  'a host that is not allowed is refused, and so is an upstream that cannot be reached',
  async (cx, t, client) => {
    const other = new GrpcClient(cx, `other.test:${up.port}`)
    t.match(await other.say({ text: 'x' }, { call: { deadline: Date.now() + 5000 } }), {
      code: /^(?:4|7|14)$/,
    })
    other.close()
    t.match(await client.say({ text: 'x' }), { code: 0 })
    await up.close()
    const gone = await client.say({ text: 'x' })
    t.equal(gone.code, status.UNAVAILABLE)
    t.match(gone.details, /^Sallyport: dial-failed/)
  },
)
