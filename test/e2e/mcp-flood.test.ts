// A server that says the same thing over and over, or a very long thing: the journal stays small and exact, the sidecar answers
// others meanwhile, and what is usual passes as it is.

import t from 'tap'

import { request, ruleSet, scenario, until, type Scenario } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const EVENTS = 5000
const PER_SECOND = 20
const PATIENCE_MS = 30_000

/** The data of the events that the server sends. */
let events: readonly string[] = []
const server = await startHttp({
  raw: (asked, answer) => {
    asked.resume()
    asked.on('end', () => {
      answer.writeHead(200, { 'Content-Type': 'text/event-stream' })
      answer.end(events.map((data) => `data: ${data}\n\n`).join(''))
    })
  },
})
t.teardown(() => server.close())
const host = `mcp.test:${server.port}`
const url = `http://${host}/mcp`
const ACCEPT = 'Accept: application/json, text/event-stream'
const options = {
  hosts: ['mcp.test'],
  rules: ruleSet(`id: mcp, allow: '${url}', tools: ['get_*'], addresses: [127.0.0.0/8]`),
  limits: `messageRecordsPerSecond: ${PER_SECOND}, alertsPerTask: ${PER_SECOND}, alertFoldMs: 1000`,
  config: `journal: { denialsPerTaskPerSecond: ${PER_SECOND} }`,
}
const answer = (id: number | null, result: string): string =>
  `{"jsonrpc":"2.0","id":${id},"result":${result}}`
const times = <Value>(count: number, make: (at: number) => Value): Value[] =>
  Array.from({ length: count }, (_, at) => make(at))
const toolsOf = (count: number, prefix = ''): string =>
  `{"tools":[${times(count, (at) => `{"name":"get_${prefix}${at}"}`).join(',')}]}`

const listTools = (cx: Scenario): Promise<string> =>
  cx.raw(
    request('POST', url, host, {
      headers: ['Content-Type: application/json', ACCEPT],
      body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
    }),
    PATIENCE_MS,
  )
const openStream = (cx: Scenario): Promise<string> =>
  cx.raw(request('GET', url, host, { headers: [ACCEPT] }), PATIENCE_MS)

/** How many records of an action there are, and how many more they count. */
function countOf(cx: Scenario, action: string): { written: number; counted: number } {
  const records = cx.records()
  const repeated = records.filter(({ event }) => event.action === `${action}-repeated`)
  return {
    written: records.filter(({ event }) => event.action === action).length,
    counted: repeated.reduce((sum, { sallyport }) => sum + Number(sallyport.detail?.['count']), 0),
  }
}

for (const [title, open, each] of [
  ['answers to one request', listTools, () => answer(1, '{}')],
  ['answers to requests that nobody made', openStream, (at: number) => answer(at, '{}')],
] as const)
  scenario(
    t,
    `thousands of ${title} are counted, not told one by one, and exactly`,
    options,
    async (cx, t) => {
      events = times(EVENTS, each)
      await open(cx)
      const requests = open === listTools ? 1 : 0
      await until(() => {
        const { written, counted } = countOf(cx, 'message-allowed')
        return written + counted === EVENTS + requests
      }, 'all are counted')
      t.ok(countOf(cx, 'message-allowed').written < EVENTS / 4, 'few are told')
      events = [answer(1, '{"tools":[]}')]
      const before = countOf(cx, 'message-allowed').written
      await listTools(cx)
      await until(() => countOf(cx, 'message-allowed').written === before + 2, 'the twin is told')
    },
  )

scenario(
  t,
  'a server that shows other tools over and over fills no journal with alerts; the first are told',
  options,
  async (cx, t) => {
    events = [answer(1, toolsOf(3)), ...times(100, (at) => answer(1, toolsOf(30, `${at}_`)))]
    t.match(await listTools(cx), /get_2/)
    await until(() => countOf(cx, 'tool-definition-changed').counted > 0, 'alerts are counted')
    const { written, counted } = countOf(cx, 'tool-definition-changed')
    t.equal(written + counted, 3000, 'exactly')
    t.ok(written >= PER_SECOND && written < 1000, 'few are told')
  },
)

scenario(
  t,
  'a list of more members than anybody reads is refused and keeps nobody waiting; a long one passes',
  options,
  async (cx, t) => {
    events = [answer(1, toolsOf(150_000))]
    t.notMatch(await listTools(cx), /get_/)
    const { sallyport } = await cx.record(({ event }) => event.reason === 'response-malformed')
    t.match(sallyport.detail, { part: 'list size' })
    events = [answer(1, toolsOf(1000))]
    t.match(await listTools(cx), /get_999/, 'the twin')
  },
)
