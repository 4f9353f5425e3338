// What a task leaves behind when it ends while its messages are under way: a stream that is open is cut, and a body of which only
// a part has come is never sent.

import net from 'node:net'

import t from 'tap'

import { ALLOWED_CALL } from '../fixtures/mcp-evasions.ts'
import { request, ruleSet, scenario, until } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

let asked = 0
const server = await startHttp({
  raw: (question, answer) => {
    asked += 1
    question.resume()
    answer.writeHead(200, { 'Content-Type': 'text/event-stream' })
    answer.write(': open\n\n')
  },
})
t.teardown(() => server.close())
const host = `mcp.test:${server.port}`
const url = `http://${host}/mcp`
const whole = request('POST', url, host, {
  headers: ['Content-Type: application/json', 'Accept: application/json, text/event-stream'],
  body: ALLOWED_CALL,
})

scenario(
  t,
  'I10: an open stream of messages is cut with its task, and a message that has come in part does not leave',
  {
    hosts: ['mcp.test'],
    expires: '4s',
    rules: ruleSet(`id: mcp, allow: '${url}', tools: [get_issue], addresses: [127.0.0.0/8]`),
  },
  async (cx, t) => {
    const send = (bytes: string): { socket: net.Socket; text: () => string } => {
      const socket = net.connect(cx.proxyPort, '127.0.0.1')
      let text = ''
      socket.on('error', () => undefined)
      socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
      socket.write(bytes)
      return { socket, text: () => text }
    }
    const open = send(whole)
    await until(() => open.text().includes(': open'), 'the stream is open')
    const half = send(whole.slice(0, -5))
    await until(() => open.socket.closed, 'the stream is cut')
    half.socket.write(whole.slice(-5))
    await until(() => half.socket.closed, 'so is the other call')
    t.notMatch(half.text(), /200 OK/)
    t.equal(asked, 1, 'the server was asked once')
    const ended = ({ event }: { event: { reason: string } }): boolean =>
      event.reason === 'task-ended-midway'
    await until(() => cx.terminal().filter(ended).length === 2, 'both are on record')
  },
)
