// Messages that are sent together, and a message whose call is refused: each refused one is on record as refused, and what one of
// them owes the whole call owes.

import t from 'tap'

import { callOf } from '../fixtures/mcp-evasions.ts'
import { request, ruleSet, scenario, until, type Scenario } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const server = await startHttp({
  handler: () => ({
    headers: ['Content-Type', 'application/json'],
    body: '[{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","id":2,"result":{}}]',
  }),
})
t.teardown(() => server.close())
const host = `mcp.test:${server.port}`
const url = `http://${host}/mcp`
const rule = (id: string, keys: string): string =>
  `id: ${id}, allow: '${url}', ${keys}, addresses: [127.0.0.0/8]`
const options = {
  hosts: ['mcp.test'],
  rules: ruleSet(
    rule('one', 'tools: [get_one, get_other]'),
    rule('two', 'tools: [get_two], clientAuth: pass'),
    rule('small', 'tools: [get_small], limit: { bodyBytes: 300 }'),
    rule('shy', 'tools: [get_shy], placeholderInBody: refuse'),
  ),
}
const HEADERS = ['Content-Type: application/json', 'Accept: application/json, text/event-stream']
const post = (cx: Scenario, body: string): Promise<string> =>
  cx.raw(request('POST', url, host, { headers: HEADERS, body }))
const postChunked = (cx: Scenario, body: string): Promise<string> =>
  cx.raw(
    `${request('POST', url, host, { headers: [...HEADERS, 'Transfer-Encoding: chunked'] })}${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
  )
const batchOf = (first: string, second: string): string =>
  `[${callOf(first)},${callOf(second).replace('"id":1', '"id":2')}]`
const large = callOf('get_small').replace('PAY-1', 'a'.repeat(400))

/** The messages on record from here on, once the call is over. */
async function messagesOf(cx: Scenario, send: () => Promise<string>): Promise<string[]> {
  const before = cx.records().length
  const ended = cx.terminal().length
  await send()
  await until(() => cx.terminal().length > ended, 'the call is over')
  const after = cx.records().slice(before)
  return after
    .filter(({ sallyport }) => sallyport.message?.direction === 'to-server')
    .map(
      ({ event, rule: by, gen_ai }) =>
        `${event.action} ${event.reason} ${by?.id} ${gen_ai?.tool?.name}`,
    )
}

scenario(
  t,
  'each message of what is refused is on record as refused, also where its rule allows it',
  options,
  async (cx, t) => {
    const seen = server.seen.length
    t.strictSame(
      await messagesOf(cx, () => post(cx, batchOf('get_one', 'get_two'))),
      [
        'message-denied operation-not-allowed one get_one',
        'message-denied operation-not-allowed two get_two',
      ],
      'a batch whose messages would be sent with other credentials',
    )
    for (const send of [post, postChunked])
      t.strictSame(
        await messagesOf(cx, () => send(cx, large)),
        ['message-denied body-too-large small get_small'],
        'a message that is larger than its rule allows',
      )
    t.equal(server.seen.length, seen, 'the server has seen nothing')
    t.strictSame(
      await messagesOf(cx, () => post(cx, batchOf('get_one', 'get_other'))),
      ['message-allowed allowed one get_one', 'message-allowed allowed one get_other'],
      'the twin',
    )
    t.strictSame(
      await messagesOf(cx, () => postChunked(cx, callOf('get_small'))),
      ['message-allowed allowed small get_small'],
      'and a small one',
    )
  },
)

scenario(
  t,
  'what the second message of a batch owes the whole batch owes',
  {
    ...options,
    secrets: { TOKEN: 'canary-of-the-token-0123456789' },
    config: `credentials: { tok: { source: { env: TOKEN }, hosts: [other.test], inject: { bearer: true }, placeholder: { env: API_TOKEN, prefix: tok_, length: 40 } } }`,
  },
  async (cx, t) => {
    const placeholder = cx.env()['API_TOKEN']
    if (placeholder === undefined) throw new Error('there is no placeholder')
    const seen = server.seen.length
    const withPlaceholder = batchOf('get_one', 'get_shy').replace('PAY-1', placeholder)
    await post(cx, withPlaceholder)
    await cx.record(({ event }) => event.reason === 'placeholder-misused')
    t.equal(server.seen.length, seen, 'the server has not got it')
    await post(cx, batchOf('get_one', 'get_other').replace('PAY-1', placeholder))
    t.equal(server.seen.length, seen + 1, 'the twin: a worthless text to those who may have it')
  },
)
