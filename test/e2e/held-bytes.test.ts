// What waits in memory because a rule has to see it whole is bounded for a task and for all: one that holds bodies back is told
// to come again, and takes nothing from who has room.

import net from 'node:net'

import t from 'tap'

import { ALLOWED_CALL } from '../fixtures/mcp-evasions.ts'
import { request, ruleSet, scenario, sleep, until } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const HELD_BYTES = 50_000
const HEADERS = ['Content-Type: application/json', 'Accept: application/json, text/event-stream']

const answers = '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"it ran"}]}}'
const server = await startHttp({
  raw: (asked, answer) => {
    asked.resume()
    asked.on('end', () => {
      const isStream = asked.headers['x-answer'] === 'stream'
      answer.writeHead(200, { 'Content-Type': isStream ? 'text/event-stream' : 'application/json' })
      if (isStream) answer.write(`data: "${'a'.repeat(HELD_BYTES)}`)
      else answer.end(answers)
    })
  },
})
t.teardown(() => server.close())
const host = `mcp.test:${server.port}`
const url = `http://${host}/mcp`
const rules = ruleSet(`id: mcp, allow: '${url}', tools: [get_issue], addresses: [127.0.0.0/8]`)
const padded = ALLOWED_CALL.replace('PAY-1', 'a'.repeat(HELD_BYTES))
const post = (body: string, headers: readonly string[] = []): string =>
  request('POST', url, host, { headers: [...HEADERS, ...headers], body })

for (const bound of ['inspectedBytesMax', 'inspectedBytesPerTaskMax'])
  scenario(
    t,
    `a body that is held back takes its room of ${bound}; the next is refused as busy until it is gone`,
    { hosts: ['mcp.test'], rules, limits: `${bound}: 80000` },
    async (cx, t) => {
      t.match(await cx.raw(post(padded)), /it ran/, 'there is room for one')
      const holder = net.connect(cx.proxyPort, '127.0.0.1')
      holder.on('error', () => undefined)
      holder.write(post(padded).slice(0, -1))
      await until(async () => /busy/.test(await cx.raw(post(padded))), 'the second is refused')
      const { sallyport } = await cx.record(({ event }) => event.reason === 'busy')
      t.match(sallyport.detail, { bound })
      t.match(await cx.raw(post(ALLOWED_CALL)), /it ran/, 'a small one has room')
      holder.destroy()
      await until(async () => /it ran/.test(await cx.raw(post(padded))), 'there is room again')
    },
  )

scenario(
  t,
  'an unfinished event of a server counts like a body; what has gone out does not',
  { hosts: ['mcp.test'], rules, limits: 'inspectedBytesPerTaskMax: 150000' },
  async (cx, t) => {
    const holder = net.connect(cx.proxyPort, '127.0.0.1')
    holder.on('error', () => undefined)
    holder.write(post(padded, ['X-Answer: stream']))
    await until(
      async () =>
        !/it ran/.test(
          await cx.raw(post(ALLOWED_CALL.replace('PAY-1', 'a'.repeat(2 * HELD_BYTES)))),
        ),
      'the event is held',
    )
    t.match(await cx.raw(post(padded)), /it ran/, 'and the body that went out is not')
    holder.destroy()
    await until(
      async () =>
        /it ran/.test(
          await cx.raw(post(ALLOWED_CALL.replace('PAY-1', 'a'.repeat(2 * HELD_BYTES)))),
        ),
      'there is room again',
    )
  },
)

const chat = `http://${host}/v1/chat/completions`
const ask = (words: string): string =>
  request('POST', chat, host, {
    headers: ['Content-Type: application/json'],
    body: JSON.stringify({ model: 'gpt-5', messages: [{ role: 'user', content: words }] }),
  })

scenario(
  t,
  'what is read for the record alone is never refused for want of room: it flows on, and its record says that it was not read',
  {
    hosts: ['mcp.test'],
    rules: ruleSet(`id: chat, allow: '${chat}', addresses: [127.0.0.0/8]`),
    limits: 'inspectedBytesPerTaskMax: 20000',
  },
  async (cx, t) => {
    t.match(await cx.raw(ask('a'.repeat(HELD_BYTES))), /it ran/)
    await cx.record(({ sallyport }) => sallyport.content?.unread === 'too-large')
    t.match(await cx.raw(ask('short')), /it ran/)
    await cx.record(({ sallyport }) => sallyport.content?.input !== undefined)
  },
)

scenario(
  t,
  'a body that comes slowly is not idle, however long it takes to be seen whole',
  { hosts: ['mcp.test'], rules, limits: 'idleTimeoutMs: 400' },
  async (cx, t) => {
    const bytes = post(ALLOWED_CALL)
    const slow = net.connect(cx.proxyPort, '127.0.0.1')
    let answer = ''
    slow.on('data', (chunk: Buffer) => (answer += chunk.toString()))
    slow.write(bytes.slice(0, -10))
    for (const byte of bytes.slice(-10)) {
      await sleep(150)
      slow.write(byte)
    }
    await until(() => answer.includes('it ran'), 'it is answered')
    t.match(await cx.raw(post(ALLOWED_CALL).slice(0, -1), 2000), /^$/, 'one that stops is cut')
    await cx.record(({ event }) => event.reason === 'idle-timeout')
  },
)
