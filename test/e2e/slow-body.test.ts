// A body that a rule has to see whole, and that its client holds back while the rules change: what decides is what is in force
// when it has come.

import net from 'node:net'

import t from 'tap'

import { callOf } from '../fixtures/mcp-evasions.ts'
import { exchange, request, ruleSet, scenario, until, type Scenario } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const server = await startHttp({
  handler: () => ({
    headers: ['Content-Type', 'application/json'],
    body: '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"it ran"}]}}',
  }),
})
t.teardown(() => server.close())
const host = `mcp.test:${server.port}`
const url = `http://${host}/mcp`
const rulesWith = (keys: string): string =>
  ruleSet(`id: mcp, allow: '${url}', ${keys}, addresses: [127.0.0.0/8]`)['set']!
const post = (tool: string): string =>
  request('POST', url, host, {
    headers: ['Content-Type: application/json', 'Accept: application/json, text/event-stream'],
    body: callOf(tool),
  })

/** Sends all of a call but its last byte, changes the rules, and sends the rest. */
async function sendAround(cx: Scenario, tool: string, keys: string): Promise<string> {
  const socket = net.connect(cx.proxyPort, '127.0.0.1')
  socket.write(post(tool).slice(0, -1))
  // It is read before the rules change, as what comes behind it on the same loop is answered.
  await cx.raw(post('list_issues'))
  const reloads = (): number =>
    cx.records().filter(({ event }) => event.action === 'rules-loaded').length
  const before = reloads()
  cx.file('rules/set.yaml', rulesWith(keys))
  await until(() => reloads() > before, 'the rules are reloaded')
  return exchange(socket, post(tool).slice(-1))
}

const wide = { set: rulesWith('tools: [list_issues, get_issue]') }

scenario(
  t,
  'R25: a tool that is taken away while its call is held back is not called by it; one that stays is',
  { hosts: ['mcp.test'], rules: wide },
  async (cx, t) => {
    const before = server.seen.length
    t.match(await sendAround(cx, 'get_issue', 'tools: [list_issues]'), /tool-not-allowed/)
    t.equal(server.seen.length, before + 1, 'the server has seen the other call alone')
    t.match(await sendAround(cx, 'list_issues', 'tools: ["list_*"]'), /it ran/, 'the twin')
  },
)

scenario(
  t,
  'R25: so is what no rule allows any more by its head, and what no rule has to look into any more passes',
  { hosts: ['mcp.test'], rules: wide },
  async (cx, t) => {
    t.match(await sendAround(cx, 'get_issue', 'methods: [GET]'), /method-not-allowed/)
    cx.file('rules/set.yaml', rulesWith('tools: [list_issues, get_issue]'))
    await until(async () => /it ran/.test(await cx.raw(post('get_issue'))), 'it is as it was')
    t.match(await sendAround(cx, 'get_issue', 'methods: [POST]'), /it ran/)
  },
)
