// What a client may do to have a message that a rule denies read as none at all, where everything else is allowed: raw requests
// through the real program, each next to a twin that passes.

import t from 'tap'

import { callOf, FORBIDDEN_CALL, ALLOWED_CALL } from '../fixtures/mcp-evasions.ts'
import { request, ruleSet, scenario } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const JSON_TYPE = 'Content-Type: application/json'
const ACCEPT = 'Accept: application/json, text/event-stream'

const server = await startHttp({
  handler: () => ({
    headers: ['Content-Type', 'application/json'],
    body: '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"it ran"}]}}',
  }),
})
t.teardown(() => server.close())
const host = `mcp.test:${server.port}`
const url = `http://${host}/mcp`
const allow = `id: all, allow: 'http://${host}', addresses: [127.0.0.0/8]`
const deny = `id: no, deny: 'http://${host}', tools: [delete_*]`

interface Attempt {
  readonly title: string
  readonly method?: string
  readonly headers?: readonly string[]
  readonly reason: RegExp
  /** Makes of a call of a tool what is sent. */
  readonly dress?: (call: string) => string
  /** What passes in the same way; default: the call of a tool that is not denied. */
  readonly twin?: string
}

const HARMLESS = '{"name":"delete_issue"}'
const ATTEMPTS: readonly Attempt[] = [
  { title: 'as it should be', reason: /denied-by-rule/ },
  {
    title: 'with an Upgrade that the server never sees',
    headers: ['Upgrade: h2c'],
    reason: /protocol-not-allowed/,
    twin: '',
  },
  ...['PUT', 'PATCH', 'DELETE'].map((method) => ({
    title: `by ${method}`,
    method,
    reason: /protocol-not-allowed/,
    twin: HARMLESS,
  })),
  ...['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override'].map((name) => ({
    title: `by PUT with ${name}`,
    method: 'PUT',
    headers: [`${name}: post`],
    reason: /method-not-allowed/,
    twin: undefined,
  })),
  {
    title: 'as a batch by PUT',
    method: 'PUT',
    dress: (call: string) => `[${call}]`,
    reason: /protocol-not-allowed/,
    twin: `[${HARMLESS}]`,
  },
  {
    title: 'by PUT as JSON that not everybody reads alike',
    method: 'PUT',
    dress: (call: string) => call.replace('{', '{"jsonrpc":"1.0",'),
    reason: /protocol-not-allowed/,
    twin: HARMLESS,
  },
].map(({ twin, ...attempt }) => ({ ...attempt, ...(twin !== undefined && { twin }) }))

scenario(
  t,
  'R38: a denied tool is called by no method, no Upgrade and no override; what is no message passes by the same',
  { hosts: ['mcp.test'], rules: ruleSet(allow, deny) },
  async (cx, t) => {
    const send = (body: string, { method = 'POST', headers = [] }: Attempt): Promise<string> =>
      cx.raw(request(method, url, host, { headers: [JSON_TYPE, ACCEPT, ...headers], body }))
    for (const attempt of ATTEMPTS) {
      const { title, dress = (call) => call, reason, twin, method = 'POST' } = attempt
      const before = server.seen.length
      t.match(await send(dress(FORBIDDEN_CALL), attempt), reason, title)
      t.equal(server.seen.length, before, `${title}: the server has seen nothing`)
      const isOverride = reason.test('method-not-allowed')
      const answer = isOverride
        ? await send(dress(ALLOWED_CALL), { ...attempt, method: 'POST' })
        : await send(twin ?? dress(ALLOWED_CALL), attempt)
      t.match(answer, /it ran/, `the twin of ${title}: ${method}`)
    }
  },
)

scenario(
  t,
  'R38: a message with the keys of another kind is a message; a request of that kind without its mark passes',
  {
    hosts: ['mcp.test'],
    rules: ruleSet(allow, deny, `id: shy, deny: '${url}', graphql: { introspection: true }`),
  },
  async (cx, t) => {
    const send = (body: string): Promise<string> =>
      cx.raw(request('POST', url, host, { headers: [JSON_TYPE, ACCEPT], body }))
    const before = server.seen.length
    for (const body of [
      FORBIDDEN_CALL.replace('{', '{"query":"{a}",'),
      FORBIDDEN_CALL.replace('{"jsonrpc"', '{"query":"{a}","JSONRPC"'),
      callOf('delete_issue').replace('"id":1', '"query":"{a}","id":1'),
    ])
      t.match(await send(body), /malformed-body/, body)
    t.equal(server.seen.length, before, 'the server has seen nothing')
    t.match(await send('{"query":"{a}"}'), /it ran/, 'the twin')
  },
)
