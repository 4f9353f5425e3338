// A call of MCP from its bytes to what each side gets: reading, judging, filtering, by either transport.

import * as fc from 'fast-check'
import t from 'tap'

import { EgressError } from '../../../src/errors.ts'
import { type McpExchange } from '../../../src/inspect/mcp/exchange.ts'
import { askPlainly, isMcpRequest } from '../../../src/inspect/mcp/head.ts'
import { definitionDigest } from '../../../src/inspect/mcp/lists.ts'
import type { RawHeaders } from '../../../src/wire/body.ts'
import {
  ChunkBody,
  faultLater,
  faultOf,
  ListJudge,
  makeExchange,
  readAll,
  request,
  toBytes,
} from './mcp-support.ts'

const JSON_HEAD = ['Content-Type', 'application/json']
const SSE_HEAD = ['Content-Type', 'text/event-stream']
const TOOLS = [
  { name: 'read', inputSchema: {} },
  { name: 'write', inputSchema: {} },
]

const result = (value: object, id: number | string = 1) => ({ jsonrpc: '2.0', id, result: value })
const event = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`

interface Answer {
  readonly text: string
  readonly length: number | undefined
  readonly headers: RawHeaders
}

async function answer(
  exchange: McpExchange,
  body: string,
  headers: RawHeaders = JSON_HEAD,
  status = 200,
): Promise<Answer> {
  const bytes = Buffer.from(body)
  const chunks = bytes.length > 4 ? [bytes.subarray(0, 3), bytes.subarray(3)] : [bytes]
  const filtered = await exchange.filterResponse(
    { status, headers },
    new ChunkBody(chunks, headers.includes('Content-Length') ? bytes.length : undefined),
  )
  return { text: await readAll(filtered.body), length: filtered.length, headers: filtered.headers }
}

async function ask(
  judge: ListJudge,
  method: string,
  reply: object,
  params: object = {},
): Promise<unknown> {
  const exchange = makeExchange(judge)
  exchange.readRequest(toBytes(request(method, params)))
  return JSON.parse((await answer(exchange, JSON.stringify(reply))).text)
}

void t.test('what of HTTP belongs to MCP', async (t) => {
  t.ok(isMcpRequest('POST', []))
  t.ok(isMcpRequest('GET', ['Accept', 'application/json, Text/Event-Stream;q=1']))
  t.ok(isMcpRequest('DELETE', ['mcp-session-id', 'a']))
  t.notOk(isMcpRequest('GET', ['Accept', '*/*']))
  t.notOk(isMcpRequest('GET', ['Accept', 'x-text/event-streams']))
  t.notOk(isMcpRequest('DELETE', []))
  t.notOk(isMcpRequest('GET', ['Accept', 'text/event-stream', 'Upgrade', 'websocket']))
  t.notOk(isMcpRequest('PUT', []))
  t.notOk(isMcpRequest('HEAD', ['Accept', 'text/event-stream']))
  t.strictSame(askPlainly(['Accept-Encoding', 'gzip', 'range', 'bytes=0-1', 'X', 'y']), [
    'X',
    'y',
    'Accept-Encoding',
    'identity',
  ])
})

void t.test('R38: only JSON in plain UTF-8 is read, the rest is refused', async (t) => {
  const body = toBytes(request('ping'))
  const read = (headers: RawHeaders, bytes: Uint8Array = body) =>
    faultOf(() => makeExchange(new ListJudge(), 'POST', headers).readRequest(bytes))
  for (const type of [
    'application/json',
    'Application/JSON; charset=UTF-8',
    'application/json;charset="utf-8"',
  ])
    t.equal(read(['Content-Type', type]), undefined, type)
  t.equal(read([...JSON_HEAD, 'Content-Encoding', 'identity']), undefined)
  for (const type of [
    'text/plain',
    'application/json; charset=utf-16',
    'application/json; charset=utf-8; charset=utf-7',
    'application/json, text/plain',
    'application/x-www-form-urlencoded',
    'application/json; a=text/event-stream',
    'application/jsonp',
    '',
  ])
    t.equal(read(['Content-Type', type]), 'malformed-body content-type', type)
  t.equal(read([]), 'malformed-body content-type')
  t.equal(read([...JSON_HEAD, ...JSON_HEAD]), 'malformed-body content-type')
  for (const coding of ['gzip', 'identity, gzip', 'GZIP'])
    t.equal(
      read([...JSON_HEAD, 'Content-Encoding', coding]),
      'malformed-body content-encoding',
      coding,
    )
  t.match(
    read(JSON_HEAD, Buffer.from('{"jsonrpc":"2.0","id":1,"method":"ping"}', 'utf16le')),
    /^malformed-body json/,
  )
  t.match(read(JSON_HEAD, Buffer.from([0x7b, 0xff])), /^malformed-body json/)
  t.match(read(JSON_HEAD, Buffer.alloc(0)), /^malformed-body json/)
})

void t.test('a GET and a DELETE have no messages and no headers of messages', async (t) => {
  const get = (headers: RawHeaders, bytes = '') =>
    faultOf(() => makeExchange(new ListJudge(), 'GET', headers).readRequest(Buffer.from(bytes)))
  t.equal(get(['MCP-Protocol-Version', '2025-11-25', 'Mcp-Session-Id', 'a']), undefined)
  t.equal(get([], '{}'), 'malformed-body body')
  t.equal(get(['Mcp-Method', 'tools/call']), 'mcp-header-mismatch mcp-method no message')
})

void t.test('the version and the session of a call are known', async (t) => {
  const version = (body: object, headers: RawHeaders = JSON_HEAD) => {
    const exchange = makeExchange(new ListJudge(), 'POST', headers)
    exchange.readRequest(toBytes(body))
    return [exchange.protocolVersion, exchange.sessionId]
  }
  t.strictSame(version(request('initialize', { protocolVersion: '2025-06-18' })), [
    '2025-06-18',
    undefined,
  ])
  t.strictSame(version(request('initialize', { protocolVersion: 7 })), [undefined, undefined])
  t.strictSame(
    version(request('ping'), [
      ...JSON_HEAD,
      'mcp-protocol-version',
      '2025-11-25',
      'Mcp-Session-Id',
      's',
    ]),
    ['2025-11-25', 's'],
  )
})

void t.test('R39: lists come without what the task may not use', async (t) => {
  const judge = new ListJudge(['read', 'file:///a', 'file:///{x}', 'p'])
  t.strictSame(
    await ask(judge, 'tools/list', result({ tools: TOOLS, nextCursor: 'c', ttlMs: 1 })),
    result({ tools: [TOOLS[0]], nextCursor: 'c', ttlMs: 1 }),
  )
  t.strictSame(
    await ask(
      judge,
      'resources/list',
      result({
        resources: [
          { uri: 'file:///a', name: 'n' },
          { uri: 'file:///b', name: 'file:///a' },
        ],
      }),
    ),
    result({ resources: [{ uri: 'file:///a', name: 'n' }] }),
  )
  t.strictSame(
    await ask(
      judge,
      'resources/templates/list',
      result({ resourceTemplates: [{ uriTemplate: 'file:///{x}' }, { uriTemplate: '{+all}' }] }),
    ),
    result({ resourceTemplates: [{ uriTemplate: 'file:///{x}' }] }),
  )
  t.strictSame(
    await ask(judge, 'prompts/list', result({ prompts: [{ name: 'p' }, { name: 'q' }] })),
    result({ prompts: [{ name: 'p' }] }),
  )
  for (const broken of [{ name: ['read'] }, 'read', null, { Name: 'read', name: 'read' }, {}])
    t.strictSame(await ask(judge, 'tools/list', result({ tools: [broken] })), result({ tools: [] }))
  t.match(await ask(judge, 'tools/list', result({ tools: [], Tools: TOOLS })), {
    id: 1,
    error: { code: -32050, data: { reason: 'response-malformed' } },
  })
  t.strictSame(
    await ask(judge, 'tools/call', result({ tools: TOOLS }), { name: 'read' }),
    result({ tools: TOOLS }),
    'no list',
  )
  t.strictSame(await ask(judge, 'tools/list', result({ tools: null })), result({ tools: null }))
  t.equal(
    await faultLater(ask(judge, 'tools/list', result({ tools: { 0: TOOLS[1] } }))),
    'response-malformed tools',
  )
})

void t.test('an answer that needs no change goes on byte for byte', async (t) => {
  const text = ' {"id" : 1, "result":{"tools":[{"name":"re\\u0061d","n":1.0}]},\n"jsonrpc":"2.0"} '
  const exchange = makeExchange(new ListJudge(['read']))
  exchange.readRequest(toBytes(request('tools/list')))
  const filtered = await answer(exchange, text, [...JSON_HEAD, 'Content-Length', '80', 'ETag', 'x'])
  t.equal(filtered.text, text)
  t.equal(filtered.length, text.length)
  t.strictSame(filtered.headers, [...JSON_HEAD, 'ETag', 'x'])
  const changed = makeExchange(new ListJudge())
  changed.readRequest(toBytes(request('tools/list')))
  const {
    headers,
    length,
    text: now,
  } = await answer(changed, text, [...JSON_HEAD, 'Content-Length', '80', 'ETag', 'x'])
  t.strictSame(headers, JSON_HEAD)
  t.equal(length, now.length)
})

void t.test('R38: an event stream is judged event by event', async (t) => {
  const judge = new ListJudge(['read'])
  const exchange = makeExchange(judge)
  exchange.readRequest(toBytes(request('tools/list')))
  const progress = {
    jsonrpc: '2.0',
    method: 'notifications/progress',
    params: { progressToken: 1, progress: 1 },
  }
  const sampling = {
    jsonrpc: '2.0',
    id: 's-1',
    method: 'sampling/createMessage',
    params: { messages: [] },
  }
  const stream = [
    ': open\n\nid: 1\ndata:\n\n',
    `event: message\r\ndata: ${JSON.stringify(progress)}\r\n\r\n`,
    event({ jsonrpc: '2.0', method: 'notifications/x' }),
    `id: 2\n${event(sampling)}`,
    'event: keepalive\ndata: {}\n\n',
    event(result({ tools: TOOLS }, 7)),
    `id: 3\nevent: message\n${event(result({ tools: TOOLS }))}`,
  ]
  const { text, length, headers } = await answer(exchange, stream.join(''), [
    ...SSE_HEAD,
    'Content-Length',
    '1',
  ])
  t.equal(length, undefined)
  t.strictSame(headers, SSE_HEAD)
  const refused = {
    jsonrpc: '2.0',
    id: 's-1',
    method: 'sallyport/refused',
    params: {
      reason: 'operation-not-allowed',
      method: 'sampling/createMessage',
      remedy: "Do not retry. Ask the task's owner to allow this operation.",
    },
  }
  t.equal(
    text,
    [
      stream[0],
      stream[1],
      `id: 2\n${event(refused)}`,
      `event: message\nid: 3\n${event(result({ tools: [TOOLS[0]] }))}`,
    ].join(''),
  )
  t.strictSame(
    judge.judged.map(({ message, context }) => [
      message.subject.kind,
      message.subject.method,
      context.method,
    ]),
    [
      ['session', 'notifications/progress', undefined],
      ['other', 'notifications/x', undefined],
      ['other', 'sampling/createMessage', undefined],
      ['other', '', undefined],
      ['session', '', 'tools/list'],
    ],
  )
})

void t.test('what a rule without lists covers passes, sampling and all', async (t) => {
  const exchange = makeExchange(
    new ListJudge([], ['sampling/createMessage', '', 'notifications/x']),
  )
  exchange.readRequest(toBytes(request('ping')))
  const stream = [
    event({ jsonrpc: '2.0', id: 1, method: 'sampling/createMessage', params: {} }),
    event({ jsonrpc: '2.0', method: 'notifications/x' }),
    event(result({}, 99)),
    event(result({})),
  ].join('')
  t.equal((await answer(exchange, stream, SSE_HEAD)).text, stream)
})

void t.test('a batch is judged member by member', async (t) => {
  const exchange = makeExchange(new ListJudge(['read']))
  exchange.readRequest(toBytes([request('tools/list', {}, 1), request('ping', {}, 2)]))
  const reply = [result({}, 2), result({ tools: TOOLS }, 1), result({ tools: TOOLS }, 3)]
  t.strictSame(JSON.parse((await answer(exchange, JSON.stringify(reply))).text), [
    result({}, 2),
    result({ tools: [TOOLS[0]] }, 1),
  ])
  const other = makeExchange(new ListJudge())
  other.readRequest(toBytes(request('ping')))
  t.equal(
    await faultLater(answer(other, JSON.stringify(result({}, '1')))),
    'response-malformed no answer',
  )
  const told = makeExchange(new ListJudge())
  told.readRequest(toBytes({ jsonrpc: '2.0', method: 'notifications/initialized' }))
  t.equal((await answer(told, JSON.stringify(result({})))).text, '', 'nobody asked')
})

const ELICIT = {
  method: 'elicitation/create',
  params: { mode: 'form', message: 'm', requestedSchema: { type: 'object' } },
}

void t.test(
  'R38: requests inside a result are judged, and refused with the whole result',
  async (t) => {
    const inputRequired = (inputRequests: object) =>
      result({ resultType: 'input_required', inputRequests, requestState: 's' })
    const judge = new ListJudge(['read'])
    const refused = {
      id: 1,
      error: {
        code: -32050,
        data: { reason: 'operation-not-allowed', call: 'call-1', task: 'task-1' },
      },
    }
    t.match(await ask(judge, 'tools/call', inputRequired({ a: ELICIT }), { name: 'read' }), refused)
    t.match(
      judge.judged.map(({ message }) => message.subject.method),
      ['', 'elicitation/create'],
    )
    t.match(
      await ask(
        judge,
        'tasks/get',
        result({ status: 'input_required', inputRequests: { a: ELICIT } }),
        { taskId: 't' },
      ),
      refused,
    )
    t.match(await ask(judge, 'tools/call', result({ InputRequests: {} }), { name: 'read' }), {
      error: { data: { reason: 'response-malformed' } },
    })
    const urls = {
      jsonrpc: '2.0',
      id: 1,
      error: { code: -32042, message: 'm', data: { elicitations: [] } },
    }
    t.match(await ask(judge, 'tools/call', urls, { name: 'read' }), refused)

    const open = new ListJudge(['read'], ['elicitation/create'])
    for (const reply of [
      inputRequired({ a: ELICIT }),
      urls,
      result({ resultType: 'input_required', requestState: 's' }),
    ])
      t.strictSame(await ask(open, 'tools/call', reply, { name: 'read' }), reply)
    t.strictSame(
      await ask(judge, 'tools/call', result({ resultType: 'input_required', requestState: 's' }), {
        name: 'read',
      }),
      result({ resultType: 'input_required', requestState: 's' }),
    )
    for (const broken of [
      [],
      { a: 1 },
      { a: { method: 1 } },
      { a: { ...ELICIT, Method: 'x' } },
      Object.fromEntries(Array.from({ length: 101 }, (_, key) => [`k${key}`, ELICIT])),
    ])
      t.match(
        await faultLater(ask(open, 'tools/call', inputRequired(broken), { name: 'read' })),
        /^response-malformed/,
      )
  },
)

void t.test('a notice that a task waits for input is judged by what it asks for', async (t) => {
  const notice = event({
    jsonrpc: '2.0',
    method: 'notifications/tasks',
    params: { taskId: 't', inputRequests: { a: ELICIT } },
  })
  const listen = async (judge: ListJudge) => {
    const exchange = makeExchange(judge)
    exchange.readRequest(toBytes(request('subscriptions/listen', { notifications: {} })))
    return (await answer(exchange, notice, SSE_HEAD)).text
  }
  t.equal(await listen(new ListJudge()), '')
  t.equal(await listen(new ListJudge([], ['elicitation/create'])), notice)
})

void t.test(
  'a GET stream has answers to other calls, filtered by what is remembered or by their shape',
  async (t) => {
    const judge = new ListJudge(['read'])
    judge.methods.set(5, 'tools/list').set(6, 'tools/call')
    const exchange = makeExchange(judge, 'GET', ['Accept', 'text/event-stream'])
    exchange.readRequest(new Uint8Array())
    const stream = [5, 6, 9].map((id) => event(result({ tools: TOOLS }, id))).join('')
    const { text } = await answer(exchange, stream, SSE_HEAD)
    const shown = result({ tools: [TOOLS[0]] }, 5)
    t.equal(text, event(shown) + event(result({ tools: TOOLS }, 6)) + event({ ...shown, id: 9 }))
    t.strictSame(
      judge.judged.map(({ context }) => context.method),
      ['tools/list', 'tools/call', undefined],
    )
  },
)

void t.test('R38: the old transport posts to its own server only', async (t) => {
  const open = async (data: string) => {
    const judge = new ListJudge()
    const exchange = makeExchange(judge, 'GET', ['Accept', 'text/event-stream'])
    exchange.readRequest(new Uint8Array())
    const stream = `event: endpoint\ndata: ${data}\n\n`
    const { text } = await answer(exchange, stream, SSE_HEAD)
    t.equal(text, stream)
    return judge.endpoints[0]
  }
  t.equal(await open('/messages?sessionId=abc-1'), '/messages?sessionId=abc-1')
  t.equal(await open('messages'), '/messages')
  t.equal(await open('?s=1'), '/mcp?s=1')
  t.equal(await open('../v1%2e0/messages'), '/v1%2e0/messages')
  t.equal(await open('https://mcp.example.com/m'), '/m')
  t.equal(await open('HTTPS://MCP.example.com:443/m'), '/m')
  for (const data of [
    '//evil.example/m',
    '//mcp.example.com/m',
    '/x/%2e%2E/messages',
    '/x/.%2e?a=1',
    '%2e/messages',
    'https://evil.example/m',
    'http://mcp.example.com/m',
    'https://mcp.example.com:8443/m',
    'https:m',
    'https:/evil',
    '/\\evil.example',
    '\\\\evil',
    'https://a@mcp.example.com/m',
    '/a b',
    '/ä',
    'javascript:x',
    '/a#b',
    'https://mcp.example.com@evil.example/',
  ])
    t.equal(await faultLater(open(data)), 'response-malformed endpoint', data)
  const posted = makeExchange(new ListJudge())
  posted.readRequest(toBytes(request('ping')))
  t.equal(
    (await answer(posted, 'event: endpoint\ndata: //evil/m\n\n', SSE_HEAD)).text,
    '',
    'on a POST it means nothing',
  )
})

void t.test(
  'answers of other kinds pass where they carry no message, or are refused',
  async (t) => {
    const get = async (status: number, headers: RawHeaders, body: string, method = 'POST') => {
      const exchange = makeExchange(new ListJudge(), method)
      return (await answer(exchange, body, headers, status)).text
    }
    const text = ['Content-Type', 'text/plain']
    t.equal(await get(202, text, 'Accepted'), 'Accepted')
    t.equal(await get(202, [], 'Accepted'), 'Accepted')
    t.equal(await get(204, [], ''), '')
    t.equal(await get(200, [], ''), '')
    t.equal(await get(200, JSON_HEAD, ''), '', 'as to a DELETE')
    t.equal(await get(200, text, 'bye', 'DELETE'), 'bye')
    t.equal(await get(404, text, 'not here'), 'not here')
    t.equal(await get(400, JSON_HEAD, '{"any":1}'), '{"any":1}')
    t.equal(await get(302, [], 'moved'), 'moved')
    const failure = '{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"no"}}'
    t.equal(await get(400, JSON_HEAD, failure), failure, 'whatever id it has')
    t.equal(await get(404, [], failure), failure)
    const zip = [...JSON_HEAD, 'Content-Encoding', 'gzip']
    t.equal(await get(400, zip, 'zip'), '', 'what is called JSON and is not')
    t.equal(await get(400, JSON_HEAD, failure.replace('{', '{"id":1,')), '')
    t.equal(await get(500, [...text, 'Content-Encoding', 'gzip'], 'zip'), 'zip')
    const bad = async (status: number, headers: RawHeaders, body: string) =>
      faultLater(get(status, headers, body))
    t.equal(await bad(101, [], 'x'), 'response-malformed status')
    t.equal(await bad(200, text, 'x'), 'response-malformed content-type')
    t.equal(await bad(200, [], 'x'), 'response-malformed message size')
    t.equal(
      await bad(206, ['Content-Type', 'multipart/byteranges'], 'x'),
      'response-malformed content-type',
    )
    t.equal(
      await bad(200, ['Content-Type', 'application/json; a=text/event-stream'], '{}'),
      'response-malformed content-type',
    )
    t.equal(
      await bad(404, ['Content-Type', 'text/event-stream, x'], 'data: 1\n\n'),
      'response-malformed content-type',
    )
    t.equal(
      await bad(200, ['Content-Type', 'application/json; charset=utf-16'], '{}'),
      'response-malformed content-type',
    )
    t.equal(
      await bad(200, [...JSON_HEAD, 'Content-Encoding', 'gzip'], '{}'),
      'response-malformed content-encoding',
    )
    t.equal(
      await bad(200, [...SSE_HEAD, 'Content-Encoding', 'br'], ''),
      'response-malformed content-encoding',
    )
    t.equal(await bad(202, JSON_HEAD, '{}'), 'response-malformed jsonrpc')
    t.match(await bad(200, JSON_HEAD, '{"a":1,"a":2}'), /^response-malformed json/)
    t.match(await bad(404, SSE_HEAD, 'data: x\n\n'), /^response-malformed json/)
  },
)

void t.test('an answer larger than its bound is refused and its source stopped', async (t) => {
  const reply = async (size: number, headers: RawHeaders, wrap: (text: string) => string) => {
    const exchange = makeExchange(new ListJudge())
    exchange.readRequest(toBytes(request('ping')))
    const source = new ChunkBody([toBytes(wrap(JSON.stringify(result({ x: 'x'.repeat(size) }))))])
    const fault = await faultLater(
      exchange.filterResponse({ status: 200, headers }, source).then(({ body }) => readAll(body)),
    )
    t.equal(source.cause instanceof EgressError, fault !== undefined)
    return fault
  }
  t.equal(await reply(65_000, JSON_HEAD, (text) => text), undefined)
  t.equal(await reply(66_000, JSON_HEAD, (text) => text), 'response-malformed message size')
  t.equal(await reply(65_000, SSE_HEAD, (text) => `data: ${text}\n\n`), undefined)
  t.equal(
    await reply(66_000, SSE_HEAD, (text) => `data: ${text}\n\n`),
    'response-malformed event size',
  )
})

void t.test('what came before a fault goes on, nothing behind it does', async (t) => {
  const exchange = makeExchange(new ListJudge())
  exchange.readRequest(toBytes(request('ping')))
  const good = event({ jsonrpc: '2.0', method: 'notifications/message', params: {} })
  const source = new ChunkBody([toBytes(`${good}data: {}\n\n${good}`), toBytes(good)])
  const { body } = await exchange.filterResponse({ status: 200, headers: SSE_HEAD }, source)
  const first = body.read()
  t.equal(first && Buffer.from(first).toString(), good)
  t.equal(
    faultOf(() => body.read()),
    'response-malformed jsonrpc',
  )
  t.ok(source.cause)
})

void t.test('a body tells of its source: waiting, its end, and what broke it off', async (t) => {
  const exchange = makeExchange(new ListJudge())
  exchange.readRequest(toBytes(request('ping')))
  const source = new ChunkBody([
    toBytes('data: {"jsonrpc":"2.0",'),
    toBytes('"id":1,"result":{}}\n\n'),
  ])
  const { body } = await exchange.filterResponse({ status: 200, headers: SSE_HEAD }, source)
  t.equal(body.read(), undefined, 'half an event')
  await body.wait()
  t.equal(body.read()?.length, 'data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n'.length)
  body.abort(new EgressError('client-gone'))
  t.equal(
    faultOf(() => body.read()),
    'client-gone',
  )
  t.ok(source.cause)
})

void t.test('R39: a definition has a digest of all that it says but `_meta`', async (t) => {
  const digest = definitionDigest({ name: 'a', description: 'd', inputSchema: { type: 'object' } })
  t.match(digest, /^sha256:[0-9a-f]{64}$/)
  t.equal(
    definitionDigest({
      inputSchema: { type: 'object' },
      description: 'd',
      name: 'a',
      _meta: { x: 1 },
    }),
    digest,
  )
  t.not(definitionDigest({ name: 'a', description: 'D', inputSchema: { type: 'object' } }), digest)
})

void t.test('whatever the bytes are, they are understood or refused with a reason', async (t) => {
  const marks = fc.constantFrom('{', '}', '[', ']', '"', ':', ',', '\\u0000')
  const lines = fc.constantFrom('\n', '\r', 'data: ', 'event: endpoint', 'id: 1')
  const members = fc.constantFrom('"jsonrpc":"2.0"', '"method":"ping"', '"id":1', '"result":{}')
  const whole = fc.constantFrom(request('tools/call', { name: 'x' }), result({ tools: TOOLS }))
  const piece = fc.oneof(
    marks,
    lines,
    members,
    whole.map((value) => JSON.stringify(value)),
  )
  const text = fc.oneof(
    fc.array(piece, { maxLength: 12 }).map((pieces) => Buffer.from(pieces.join(''))),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  )
  await fc.assert(
    fc.asyncProperty(text, fc.constantFrom(JSON_HEAD, SSE_HEAD), async (bytes, headers) => {
      faultOf(() => makeExchange(new ListJudge()).readRequest(bytes))
      for (const method of ['POST', 'GET']) {
        const source = new ChunkBody([bytes])
        await faultLater(
          makeExchange(new ListJudge(), method)
            .filterResponse({ status: 200, headers }, source)
            .then(({ body }) => readAll(body)),
        )
      }
    }),
    { numRuns: 1000 },
  )
  t.pass('no other error')
})

void t.test('the status of a failure hides no answer from the judge', async (t) => {
  const listed = (body: string): Promise<string> => {
    const exchange = makeExchange(new ListJudge(['get_issue']))
    exchange.readRequest(toBytes(request('tools/list')))
    return answer(exchange, body, JSON_HEAD, 400).then(({ text }) => text)
  }
  const list = (name: string): string =>
    JSON.stringify(result({ tools: [{ name, inputSchema: { type: 'object' } }] }))
  t.notMatch(await listed(list('delete_issue')), /delete_issue/)
  t.match(await listed(list('get_issue')), /get_issue/, 'the twin')
  const elicitation = (code: number): string =>
    JSON.stringify({ jsonrpc: '2.0', id: 1, error: { code, message: 'go to', data: { url: 'u' } } })
  t.notMatch(await listed(elicitation(-32_042)), /go to/)
  t.match(await listed(elicitation(-32_000)), /go to/, 'the twin')
  const asks = '{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage","params":{}}'
  t.match(await listed(asks), /sallyport\/refused/)
})
