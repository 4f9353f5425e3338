// Limits by message: tools of MCP, batches, WebSockets, through the real program.

import t from 'tap'

import { isCallOf, refused, talk } from '../fixtures/mcp-talk.ts'
import { request, ruleSet, scenario, until } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'
import { acceptOf } from '../fixtures/websocket-ends.ts'

talk(
  'R33: each tool has its own number of calls, and the session goes on beside them',
  'tools: [list_*, get_issue], limit: { calls: 3, perTool: true }',
  async ({ t, cx, connect }) => {
    const client = await connect('stateless')
    for (let at = 0; at < 3; at += 1)
      t.match(await client.callTool('get_issue', { id: 'PAY-1' }), { content: [{}] })
    await refused(t, 'stateless', client.callTool('get_issue', { id: 'PAY-1' }), 'quota-exceeded')
    await cx.message(
      (record) => isCallOf('get_issue')(record) && record.event.action === 'message-denied',
    )
    const record = await cx.record(({ event }) => event.reason === 'quota-exceeded')
    t.match(record.sallyport.detail, { limit: 'calls', of: 'rule', rule: 'set/mcp' })
  },
)

const server = await startHttp({
  raw: (incoming, response) => {
    incoming.resume()
    incoming.on('end', () => {
      response.setHeader('Content-Type', 'application/json')
      response.end('[{"jsonrpc":"2.0","id":1,"result":{"content":[]}}]')
    })
  },
})
t.teardown(() => server.close())
const host = `mcp.test:${server.port}`
const url = `http://${host}/mcp`

scenario(
  t,
  'R33: a batch takes as many as it has calls of tools, or nothing',
  {
    hosts: ['mcp.test'],
    rules: ruleSet(
      `id: mcp, allow: '${url}', tools: ['*'], limit: { calls: 7 }, addresses: [127.0.0.0/8]`,
    ),
  },
  async (cx, t) => {
    const post = (count: number): Promise<string> => {
      const calls = Array.from({ length: count }, (_, at) => ({
        jsonrpc: '2.0',
        id: at + 1,
        method: 'tools/call',
        params: { name: 'get', arguments: {} },
      }))
      return cx.raw(
        request('POST', url, host, {
          headers: [
            'Content-Type: application/json',
            'Accept: application/json, text/event-stream',
            'MCP-Protocol-Version: 2025-03-26',
          ],
          body: JSON.stringify(calls),
        }),
      )
    }
    t.match(await post(3), /"result"/)
    t.match(await post(3), /"result"/)
    const answer = await post(3)
    t.match(answer, /quota-exceeded/)
    t.match(answer, /"retry":"no"/)
    t.match(await post(1), /"result"/, 'a refused batch took nothing')
    t.match(await post(1), /quota-exceeded/)
    await until(
      () => cx.messages().filter(({ event }) => event.action === 'message-denied').length === 4,
      'each message that was not sent is on record',
    )
  },
)

const echo = await startHttp({
  raw: (_incoming, response) => response.end(),
})
echo.server.on('upgrade', ({ headers }, socket) => {
  const accept = acceptOf(headers['sec-websocket-key'] ?? '')
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  )
  socket.on('data', (chunk: Buffer) => {
    arrived += chunk.length
    socket.write(chunk)
  })
  socket.on('error', () => undefined)
})
let arrived = 0
t.teardown(() => echo.close())

scenario(
  t,
  'R33: a WebSocket is one call and its bytes, and is cut where they are used up',
  {
    hosts: ['ws.test'],
    rules: ruleSet(
      `id: ws, allow: 'ws://ws.test:${echo.port}', limit: { bytesOut: 20000, concurrentCalls: 1 }, addresses: [127.0.0.0/8]`,
    ),
  },
  async (cx, t) => {
    const at = `ws.test:${echo.port}`
    const head = `GET http://${at}/ HTTP/1.1\r\nHost: ${at}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`
    const answer = await cx.raw(Buffer.concat([Buffer.from(head), Buffer.alloc(100_000, 'x')]))
    t.match(answer, /^HTTP\/1.1 101/)
    const record = await cx.record(({ event }) => event.reason === 'quota-exceeded')
    t.match(record.sallyport.detail, { limit: 'bytesOut' })
    t.ok(arrived <= 20_000, `${arrived} bytes reached the upstream`)
    t.match(await cx.raw(head, 300), /^HTTP\/1.1 101/, 'it is over, and another has its turn')
  },
)
