// Held calls of more kinds: questions of a real model SDK that gives up and asks again, WebSocket and opaque tunnels.

import net from 'node:net'

import OpenAI from 'openai'
import t from 'tap'

import { answerAs, holdsOf, reviewed, waitingHold } from '../fixtures/hold-desk.ts'
import { startModel } from '../fixtures/model-upstream.ts'
import { proxiedFetch } from '../fixtures/proxy-fetch.ts'
import { pki, readHead, ruleSet, until, type Scenario } from '../fixtures/scenario.ts'
import { startEcho, startHttp } from '../fixtures/upstreams.ts'
import { acceptOf } from '../fixtures/websocket-ends.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const model = await startModel(pki.issue({ names: ['model.test'] }))
t.teardown(() => model.close())
const modelHost = `model.test:${model.port}`

for (const [what, keys] of [
  ['by its head', ''],
  ['by what it asks', ", models: ['gpt-*']"],
] as const)
  reviewed(
    t,
    `R75: the OpenAI SDK, held ${what}, times out and asks again: its one call goes through once`,
    {
      hosts: ['model.test'],
      rules: ruleSet(`id: model, hold: 'https://${modelHost}'${keys}, ${LOOPBACK}`),
    },
    async (cx, t) => {
      const through = proxiedFetch(cx)
      const openai = new OpenAI({
        fetch: through.fetch,
        apiKey: 'no-key',
        baseURL: `https://${modelHost}/v1`,
        timeout: 1000,
        maxRetries: 20,
      })
      const before = model.exchanges.length
      const asked = openai.chat.completions.create({
        model: 'gpt-test',
        messages: [{ role: 'user', content: 'What is to be paid?' }],
      })
      await until(
        () => cx.terminal().filter(({ event }) => event.reason === 'client-gone').length >= 2,
        'it gave up twice',
      )
      const hold = await waitingHold(cx)
      t.equal((await holdsOf(cx)).length, 1, 'all of its attempts are one hold')
      await answerAs(cx, 'bob', hold.id, 'approve')
      t.ok((await asked).choices.length > 0)
      t.equal(model.exchanges.length - before, 1)
      await through.close()
    },
  )

const web = await startHttp({ raw: (_request, response) => response.end('no upgrade') })
web.server.on('upgrade', ({ headers }, socket) => {
  const accept = acceptOf(headers['sec-websocket-key'] ?? '')
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\nhello`,
  )
})
t.teardown(() => web.close())
const echo = await startEcho()
t.teardown(() => echo.close())

/** Opens a connection to the proxy and says something. */
function say(cx: Scenario, text: string): net.Socket {
  const socket = net.connect(cx.proxyPort, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(text)
  return socket
}

reviewed(
  t,
  'R77: a WebSocket waits before it opens, and that its client leaves is seen',
  {
    hosts: ['web.test'],
    rules: ruleSet(`id: web, hold: 'ws://web.test:${web.port}', ${LOOPBACK}`),
  },
  async (cx, t) => {
    const upgrade = `GET http://web.test:${web.port}/chat HTTP/1.1\r\nHost: web.test:${web.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`
    const before = web.connections()
    const leaving = say(cx, upgrade)
    const { id } = await waitingHold(cx)
    leaving.end()
    await until(async () => (await holdsOf(cx))[0]?.waiting === 0, 'that is seen')
    const socket = say(cx, upgrade)
    t.match(await waitingHold(cx), { id, request: { kind: 'upgrade', scheme: 'ws' } })
    t.equal(web.connections(), before)
    await answerAs(cx, 'bob', id, 'approve')
    t.match(await readHead(socket), /^HTTP\/1.1 101/)
    socket.destroy()
    const denied = say(cx, upgrade)
    await answerAs(cx, 'bob', (await waitingHold(cx)).id, 'deny')
    t.match(await readHead(denied), /^HTTP\/1.1 403 Sallyport: approval-denied/)
    denied.destroy()
  },
)

reviewed(
  t,
  'R77: an opaque tunnel waits before it opens, and is approved for where it goes',
  {
    hosts: ['echo.test'],
    rules: ruleSet(`id: echo, hold: 'tcp://echo.test:${echo.port}', ${LOOPBACK}`),
    limits: 'holdWaitMs: 1000',
  },
  async (cx, t) => {
    const connect = `CONNECT echo.test:${echo.port} HTTP/1.1\r\nHost: echo.test:${echo.port}\r\n\r\n`
    const before = echo.connections()
    const pending = say(cx, connect)
    const head = await readHead(pending)
    t.match(head, /^HTTP\/1.1 403 Sallyport: approval-pending/)
    t.match(head, /\r\nRetry-After: \d+\r\n/)
    pending.destroy()
    const leaving = say(cx, connect)
    const { id } = await waitingHold(cx)
    leaving.destroy()
    await until(async () => (await holdsOf(cx))[0]?.waiting === 0, 'that is seen')
    t.equal(echo.connections(), before)
    // A client that does not wait for leave says more: none of it is lost.
    const socket = say(cx, `${connect}early `)
    t.match(await waitingHold(cx), { id, request: { kind: 'tunnel', host: 'echo.test' } })
    await answerAs(cx, 'bob', id, 'approve')
    t.match(await readHead(socket), /^HTTP\/1.1 200/)
    socket.write('late')
    let said = ''
    socket.on('data', (chunk: Buffer) => (said += chunk.toString()))
    socket.resume()
    await until(() => said.endsWith('early late'), 'both come back')
    socket.destroy()
  },
)
