// The MCP headers against the body: what routes a request may not say other than what the server acts on.

import { Client, type FetchLike, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import t from 'tap'

import type { JsonValue } from '../../../src/inspect/fields.ts'
import { readJson } from '../../../src/inspect/json.ts'
import { checkMcpHeaders } from '../../../src/inspect/mcp/headers.ts'
import { readMessages } from '../../../src/inspect/mcp/messages.ts'
import type { RawHeaders } from '../../../src/wire/body.ts'
import { faultOf, request, toBytes, VERSION_KEY } from './mcp-support.ts'

const NOW = '2026-07-28'
const META = { [VERSION_KEY]: NOW }

function check(headers: RawHeaders, body: unknown, definition?: JsonValue): string | undefined {
  const { messages, isBatch } = readMessages(readJson(toBytes(body)), 'to-server')
  return faultOf(() => {
    checkMcpHeaders(headers, messages, isBatch, () => definition)
  })
}

const base64 = (text: string): string => `=?base64?${Buffer.from(text).toString('base64')}?=`
const call = (name = 'read', given: object = {}) =>
  request('tools/call', { name, arguments: given, _meta: META })
const named = (name: string, more: RawHeaders = []) => [
  'MCP-Protocol-Version',
  NOW,
  'Mcp-Method',
  'tools/call',
  'Mcp-Name',
  name,
  ...more,
]

void t.test('R38: a request whose headers agree passes, old and new', async (t) => {
  t.equal(check(named('read'), call()), undefined)
  t.equal(check(named(base64('wörld ')), call('wörld ')), undefined)
  t.equal(check(named(base64('read')), call()), undefined, 'in Base64 without need')
  t.equal(check(named(base64('=?base64?eA==?=')), call('=?base64?eA==?=')), undefined)
  t.equal(check([], request('tools/call', { name: 'read' })), undefined, 'before the headers')
  t.equal(
    check(['MCP-Protocol-Version', '2025-06-18'], request('tools/call', { name: 'a' })),
    undefined,
  )
  t.equal(
    check(
      ['mcp-protocol-version', '2025-06-18', 'MCP-METHOD', 'tools/call'],
      request('tools/call', { name: 'a' }),
    ),
    undefined,
  )
  t.equal(
    check(
      ['MCP-Protocol-Version', '2025-11-25'],
      request('initialize', { protocolVersion: '2025-11-25' }),
    ),
    undefined,
  )
  t.equal(
    check(['MCP-Protocol-Version', NOW], { jsonrpc: '2.0', method: 'notifications/cancelled' }),
    undefined,
  )
  t.equal(
    check(['MCP-Protocol-Version', '2025-03-26'], [request('ping', {}, 1), request('ping', {}, 2)]),
    undefined,
  )
  t.equal(
    check(['MCP-Protocol-Version', '2025-06-18', 'Mcp-Session-Id', 'a'], {
      jsonrpc: '2.0',
      id: 1,
      result: {},
    }),
    undefined,
  )
  const task = request('tasks/get', { taskId: 't1', _meta: META })
  t.equal(
    check(['MCP-Protocol-Version', NOW, 'Mcp-Method', 'tasks/get', 'Mcp-Name', 't1'], task),
    undefined,
  )
})

const PLAIN = ['MCP-Protocol-Version', NOW, 'Mcp-Method', 'tools/call', 'Mcp-Name', 'read']
const BATCH = [request('tools/call', { name: 'read' }, 1), request('ping', {}, 2)]
const OLD = request('tools/call', { name: 'read' })

// Headers, body, what is refused.
const MISMATCHES: readonly (readonly [RawHeaders, unknown, string])[] = [
  [named('write'), call(), 'mcp-name value'],
  [named('Read'), call(), 'mcp-name value'],
  [named(base64('write')), call(), 'mcp-name value'],
  [named('=?BASE64?cmVhZA==?='), call(), 'mcp-name value'],
  [named('=?base64?cmVhZA=?='), call(), 'mcp-name encoding'],
  [named('=?base64?cmVhZB==?='), call(), 'mcp-name encoding'],
  [named('=?base64?cmVh ZA==?='), call(), 'mcp-name encoding'],
  [named('=?base64?/w==?='), call(), 'mcp-name encoding'],
  [named('w\u00f6rld'), call('w\u00f6rld'), 'mcp-name encoding'],
  [named(base64('\uFEFFread')), call(), 'mcp-name value'],
  [PLAIN.slice(0, 4), call(), 'mcp-name missing'],
  [[...PLAIN.slice(0, 2), ...PLAIN.slice(4)], call(), 'mcp-method missing'],
  [PLAIN.slice(2), call(), 'mcp-protocol-version missing'],
  [[], call(), 'mcp-protocol-version missing'],
  [PLAIN, OLD, 'mcp-protocol-version missing'],
  [['MCP-Protocol-Version', 'DRAFT-2027'], OLD, 'mcp-protocol-version missing'],
  [['MCP-Protocol-Version', '2025-06-18', ...PLAIN.slice(2)], call(), 'mcp-protocol-version value'],
  [[...PLAIN, 'mcp-name', 'read'], call(), 'mcp-name repeated'],
  [[...PLAIN, 'Mcp_Name', 'read'], call(), 'mcp-name repeated'],
  [['Mcp_Method', 'tools/call'], OLD, 'mcp-method repeated'],
  [['Mcp-Method', 'tools/list'], OLD, 'mcp-method value'],
  [['Mcp-Method', 'Tools/call'], OLD, 'mcp-method value'],
  [['Mcp-Method', 'tools/call, tools/list'], OLD, 'mcp-method value'],
  [['Mcp-Method', ''], OLD, 'mcp-method value'],
  [['Mcp-Name', 'write'], OLD, 'mcp-name value'],
  [['Mcp-Name', 'x'], request('ping'), 'mcp-name value'],
  [['Mcp-Name', ''], request('ping'), 'mcp-name value'],
  [['Mcp-Method', 'tools/call'], BATCH, 'mcp-method no message'],
  [['Mcp-Name', 'read'], BATCH, 'mcp-name no message'],
  [['Mcp-Param-A', 'read'], BATCH, 'mcp-param no message'],
  [['MCP-Protocol-Version', NOW], BATCH, 'mcp-protocol-version batch'],
  [[], [call()], 'mcp-protocol-version batch'],
  [['Mcp-Method', 'x'], { jsonrpc: '2.0', id: 1, result: {} }, 'mcp-method no message'],
  [
    ['MCP-Protocol-Version', '2025-06-18'],
    request('initialize', { protocolVersion: '2025-11-25' }),
    'mcp-protocol-version value',
  ],
  [
    ['MCP-Protocol-Version', NOW],
    request('initialize', { protocolVersion: NOW }),
    'mcp-protocol-version missing',
  ],
  [['MCP-Protocol-Version', 'a b'], OLD, 'mcp-protocol-version value'],
  [['Mcp-Session-Id', 'a', 'mcp-session-id', 'b'], OLD, 'mcp-session-id repeated'],
  [['Mcp-Session-Id', 'a\u00e4'], OLD, 'mcp-session-id value'],
  [
    [],
    request('tools/call', { name: 'a', _meta: { [VERSION_KEY]: 1 } }),
    'mcp-protocol-version claim',
  ],
]

void t.test(
  'R38: headers that say other than the body are refused, whatever the revision',
  async (t) => {
    for (const [headers, body, fault] of MISMATCHES)
      t.equal(check(headers, body), `mcp-header-mismatch ${fault}`, JSON.stringify([headers, body]))
  },
)

const DEFINITION = {
  name: 'execute_sql',
  inputSchema: {
    type: 'object',
    properties: {
      region: { type: 'string', 'x-mcp-header': 'Region' },
      query: { type: 'string' },
      limits: { type: 'object', properties: { rows: { type: 'integer', 'x-mcp-header': 'Rows' } } },
      dry: { type: 'boolean', 'x-mcp-header': 'Dry' },
    },
  },
}

void t.test('R38: a tool parameter in a header is the argument that the tool says', async (t) => {
  const sql = (given: object) => call('execute_sql', given)
  const full = { region: 'us-west1', query: 'SELECT', limits: { rows: 42 }, dry: true }
  const repeated = ['Mcp-Param-Region', 'us-west1', 'mcp-param-rows', '42', 'MCP-PARAM-DRY', 'true']
  const judge = (
    more: RawHeaders,
    given: object = full,
    definition: JsonValue | undefined = DEFINITION,
  ) => check(named('execute_sql', more), sql(given), definition)
  t.equal(judge(repeated), undefined)
  t.equal(
    judge([...repeated.slice(0, 2), 'mcp-param-rows', '42.0', 'mcp-param-dry', 'true']),
    undefined,
  )
  t.equal(judge(['Mcp-Param-Region', base64('us-west1'), ...repeated.slice(2)]), undefined)
  t.equal(
    judge([], { query: 'SELECT', region: null }),
    undefined,
    'null and nothing have no header',
  )
  t.equal(judge(repeated.slice(2)), 'mcp-header-mismatch mcp-param-region missing')
  t.equal(
    judge(['Mcp-Param-Region', 'SELECT', ...repeated.slice(2)]),
    'mcp-header-mismatch mcp-param-region value',
    'another argument',
  )
  t.equal(
    judge(['Mcp-Param-Region', 'eu', ...repeated.slice(2)]),
    'mcp-header-mismatch mcp-param-region value',
  )
  t.equal(
    judge(['Mcp-Param-Region', 'us-west1'], { query: 'us-west1' }),
    'mcp-header-mismatch mcp-param-region value',
    'no argument',
  )
  t.equal(
    judge(['Mcp-Param-Region', '=?base64?x?=']),
    'mcp-header-mismatch mcp-param-region encoding',
  )
  t.equal(
    judge([...repeated, 'mcp-param-region', 'us-west1']),
    'mcp-header-mismatch mcp-param-region repeated',
  )
  t.equal(judge([...repeated, 'Mcp-Param-Other', 'SELECT']), undefined, 'repeats some argument')
  t.equal(judge([...repeated, 'Mcp-Param-Other', 'x']), 'mcp-header-mismatch mcp-param-other value')

  const unknown = (more: RawHeaders, given: object) => check(named('execute_sql', more), sql(given))
  t.equal(unknown(['Mcp-Param-Region', 'us-west1'], { deep: [{ a: 'us-west1' }] }), undefined)
  t.equal(unknown(['Mcp-Param-N', '42.0'], { n: 42 }), undefined)
  t.equal(unknown(['Mcp-Param-Region', 'eu'], full), 'mcp-header-mismatch mcp-param-region value')
  t.equal(
    check(
      [...PLAIN.slice(0, 2), 'Mcp-Method', 'ping', 'Mcp-Param-A', '1'],
      request('ping', { a: 1, _meta: META }),
    ),
    'mcp-header-mismatch mcp-param no tool',
  )
  t.equal(
    check(
      ['Mcp-Param-Region', 'eu'],
      request('tools/call', { name: 'execute_sql', arguments: full }),
      DEFINITION,
    ),
    'mcp-header-mismatch mcp-param-region value',
    'in any revision',
  )
})

void t.test('an annotation that clients may not heed asks for no header', async (t) => {
  const list = { type: 'array', items: { type: 'string', 'x-mcp-header': 'Item' } }
  const whole = { type: 'object', 'x-mcp-header': 'Whole' }
  const definition = { inputSchema: { 'x-mcp-header': 'Root', properties: { list, whole } } }
  t.equal(check(named('a'), call('a', { list: ['x'], whole: 'y' }), definition), undefined)
  t.equal(
    check(named('a', ['Mcp-Param-Item', 'x']), call('a', { list: ['x'] }), definition),
    undefined,
  )
  t.equal(
    check(named('a', ['Mcp-Param-Item', 'z']), call('a', { list: ['x'] }), definition),
    'mcp-header-mismatch mcp-param-item value',
  )
  for (const broken of [null, [], 'x', { inputSchema: [] }, { inputSchema: { properties: [] } }])
    t.equal(check(named('a'), call('a', { b: 'c' }), broken), undefined)
})

void t.test('what the SDK sends agrees with what it says', async (t) => {
  const seen: string[] = []
  const result = (method: string): object => {
    if (method === 'server/discover')
      return {
        supportedVersions: [NOW],
        capabilities: { tools: {}, resources: {}, prompts: {} },
        ttlMs: 0,
        cacheScope: 'private',
      }
    if (method === 'tools/list') return { tools: [DEFINITION], ttlMs: 0, cacheScope: 'private' }
    if (method === 'resources/read') return { contents: [], ttlMs: 0, cacheScope: 'private' }
    return method === 'prompts/get' ? { messages: [] } : { content: [] }
  }
  const answer: FetchLike = async (_url, init) => {
    const sent = new Request('http://127.0.0.1/mcp', init)
    const headers = [...sent.headers].flat()
    if (sent.method !== 'POST') return new Response(null, { status: 405 })
    const body: { id?: number; method: string } = JSON.parse(await sent.text())
    t.equal(check(headers, body, DEFINITION), undefined, body.method)
    seen.push(body.method)
    const { id } = body
    return id === undefined
      ? new Response(null, { status: 202 })
      : Response.json({
          jsonrpc: '2.0',
          id,
          result: { resultType: 'complete', ...result(body.method) },
        })
  }
  const client = new Client(
    { name: 'c', version: '1' },
    { versionNegotiation: { mode: { pin: NOW } } },
  )
  await client.connect(
    new StreamableHTTPClientTransport(new URL('http://127.0.0.1/mcp'), { fetch: answer }),
  )
  await client.listTools()
  await client.callTool({
    name: 'execute_sql',
    arguments: { region: 'wörld ', limits: { rows: 7 }, dry: false },
  })
  await client.readResource({ uri: 'file:///ü' })
  await client.getPrompt({ name: '=?base64?eA==?=' })
  await client.close()
  t.strictSame(
    seen.filter((method) => method !== 'server/discover'),
    ['tools/list', 'tools/call', 'resources/read', 'prompts/get'],
  )
})
