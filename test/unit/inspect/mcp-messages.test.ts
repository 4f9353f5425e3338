// What is read as an MCP message and what is not: the evasion table, and the SDKs' own schemas as oracle.

import { readFileSync } from 'node:fs'

import { isSpecType } from '@modelcontextprotocol/client'
import {
  ClientNotificationSchema,
  ClientRequestSchema,
  JSONRPCMessageSchema,
  ServerNotificationSchema,
  ServerRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'
import * as fc from 'fast-check'
import t from 'tap'

import type { JsonValue } from '../../../src/inspect/fields.ts'
import { readJson } from '../../../src/inspect/json.ts'
import { readMessages } from '../../../src/inspect/mcp/messages.ts'
import { type Direction, findMethod, METHODS } from '../../../src/inspect/mcp/methods.ts'
import { isObject } from '../../../src/inspect/json-values.ts'
import { faultOf, request, toBytes, VERSION_KEY } from './mcp-support.ts'

const CALL = request('tools/call', { name: 'read', arguments: { path: 'a' } })

function read(value: unknown, direction: Direction = 'to-server') {
  return readMessages(readJson(toBytes(value)), direction)
}

function subjectOf(value: unknown, direction: Direction = 'to-server') {
  const { messages } = read(value, direction)
  return messages[0]!.subject
}

void t.test('R38: each method is the session, an item or other, as the table says', async (t) => {
  const item = (list: string, name: string, method: string) => ({
    kind: 'item',
    method,
    list,
    name,
  })
  t.strictSame(subjectOf(CALL), {
    ...item('tools', 'read', 'tools/call'),
    arguments: { path: 'a' },
  })
  t.strictSame(
    subjectOf(request('tools/call', { name: 'read' })),
    item('tools', 'read', 'tools/call'),
  )
  for (const method of ['resources/read', 'resources/subscribe', 'resources/unsubscribe'])
    t.strictSame(
      subjectOf(request(method, { uri: 'file:///a' })),
      item('resources', 'file:///a', method),
    )
  t.strictSame(
    subjectOf(request('prompts/get', { name: 'p' })),
    item('prompts', 'p', 'prompts/get'),
  )
  const complete = (ref: object) => subjectOf(request('completion/complete', { ref, argument: {} }))
  t.strictSame(
    complete({ type: 'ref/prompt', name: 'p' }),
    item('prompts', 'p', 'completion/complete'),
  )
  t.strictSame(
    complete({ type: 'ref/resource', uri: 'file:///{path}' }),
    item('resources', 'file:///{path}', 'completion/complete'),
  )
  for (const method of [
    'initialize',
    'ping',
    'tools/list',
    'logging/setLevel',
    'tasks/get',
    'server/discover',
  ])
    t.strictSame(subjectOf(request(method, {})), { kind: 'session', method })
  for (const method of [
    'sampling/createMessage',
    'elicitation/create',
    'roots/list',
    'tools/search',
    'x',
  ])
    t.strictSame(subjectOf(request(method, {})), { kind: 'other', method })
  for (const method of [
    'sampling/createMessage',
    'elicitation/create',
    'roots/list',
    'tools/call',
    'tasks/get',
  ])
    t.strictSame(subjectOf(request(method, { name: 'x' }), 'to-client'), { kind: 'other', method })
  t.strictSame(subjectOf({ jsonrpc: '2.0', method: 'notifications/initialized' }), {
    kind: 'session',
    method: 'notifications/initialized',
  })
  t.strictSame(subjectOf({ jsonrpc: '2.0', method: 'notifications/message' }).kind, 'other')
  t.strictSame(
    subjectOf({ jsonrpc: '2.0', method: 'notifications/message' }, 'to-client').kind,
    'session',
  )
  t.strictSame(
    subjectOf({ jsonrpc: '2.0', method: 'tools/call', params: { name: 'read' } }).kind,
    'other',
    'no call without an id',
  )
})

void t.test('each resource that a subscription names is an item', async (t) => {
  const listen = (notifications: object | null) =>
    read(request('subscriptions/listen', { notifications })).messages[0]!
  t.strictSame(listen({ toolsListChanged: true }).subjects, [
    { kind: 'session', method: 'subscriptions/listen' },
  ])
  const { subjects, subject } = listen({ resourceSubscriptions: ['a:1', 'a:2'] })
  t.strictSame(
    subjects.map(({ list, name }) => [list, name]),
    [
      ['resources', 'a:1'],
      ['resources', 'a:2'],
    ],
  )
  t.equal(subject, subjects[0])
  for (const notifications of [
    { resourceSubscriptions: 'a:1' },
    { resourceSubscriptions: [1] },
    { ResourceSubscriptions: ['a:1'] },
    { resourceSubscriptions: Array.from({ length: 257 }, () => 'a:1') },
    null,
  ])
    t.match(
      faultOf(() => listen(notifications)),
      /^malformed-body/,
    )
})

// Text on the left, why it is refused on the right.
const EVASIONS: readonly (readonly [string, RegExp])[] = [
  ['{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}', /duplicate/],
  ['{"jsonrpc":"2.0","id":1,"method":"ping","m\\u0065thod":"tools/call"}', /duplicate/],
  ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}', /duplicate/],
  ['{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"params":{}}', /duplicate/],
  ['{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}', /key/],
  ['{"jsonrpc":"2.0","id":1,"method":"ping","PARAMS":{}}', /key/],
  ['{"jsonrpc":"2.0","id":1,"method":"ping","extra":1}', /key/],
  ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}', /params key/],
  [
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Argument\\u017f":{}}}',
    /params key/,
  ],
  ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_META":{}}}', /params key/],
  ['{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"tas\\u212aId":"a"}}', /params key/],
  [
    '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a:b","URI":"a:c"}}',
    /params key/,
  ],
  [
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":1,"X":2}}}',
    /arguments/,
  ],
  [
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":[]}}',
    /arguments/,
  ],
  [
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":"{}"}}',
    /arguments/,
  ],
  [
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":null}}',
    /arguments/,
  ],
  ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["a"]}', /params/],
  ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":null}', /params/],
  ['{"jsonrpc":"2.0","id":1,"method":"tools/call"}', /params/],
  ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["a"]}}', /name/],
  ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":""}}', /name/],
  ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a\\u0000b"}}', /name/],
  ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a\\nb"}}', /name/],
  [
    `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${'a'.repeat(1025)}"}}`,
    /name/,
  ],
  [
    `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a:${'a'.repeat(8192)}"}}`,
    /uri/,
  ],
  [
    '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///docs/../etc/passwd"}}',
    /uri path/,
  ],
  [
    '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///docs/%2e%2E/etc"}}',
    /uri path/,
  ],
  [
    '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///docs%2f..%2Fetc"}}',
    /uri path/,
  ],
  [
    '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///%73ecret"}}',
    /uri path/,
  ],
  [
    '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///%2573ecret"}}',
    /uri path/,
  ],
  [
    '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a%255C..%255cb"}}',
    /uri path/,
  ],
  [
    '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///docs/%252e%252e/etc"}}',
    /uri path/,
  ],
  [
    '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///docs/.."}}',
    /uri path/,
  ],
  [
    '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///docs\\\\..\\\\etc"}}',
    /uri path/,
  ],
  ['{"jsonrpc":"2.0","id":1,"method":"Tools/Call","params":{"name":"a"}}', /method/],
  ['{"jsonrpc":"2.0","id":1,"method":"tools/call ","params":{"name":"a"}}', /method/],
  ['{"jsonrpc":"2.0","id":1,"method":"too\\u013As/call"}', /method/],
  ['{"jsonrpc":"2.0","id":1,"method":""}', /method/],
  ['{"jsonrpc":"2.0","id":1,"method":["ping"]}', /method/],
  ['{"jsonrpc":"2.0","id":1,"method":null,"result":{}}', /key/],
  ['{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}', /key/],
  ['{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}', /response/],
  ['{"jsonrpc":"2.0","id":1,"result":{},"error":null}', /response/],
  ['{"jsonrpc":"2.0","id":1,"result":null}', /response/],
  ['{"jsonrpc":"2.0","id":1,"error":{"code":1.5,"message":""}}', /response/],
  ['{"jsonrpc":"2.0","id":1,"error":{"code":1}}', /response/],
  ['{"jsonrpc":"2.0","id":null,"result":{}}', /id/],
  ['{"jsonrpc":"2.0","result":{}}', /id/],
  ['{"jsonrpc":"2.0","id":1}', /response/],
  ['{"jsonrpc":"2.0","id":null,"method":"ping"}', /id/],
  ['{"jsonrpc":"2.0","id":1.5,"method":"ping"}', /id/],
  ['{"jsonrpc":"2.0","id":true,"method":"ping"}', /id/],
  ['{"jsonrpc":"2.0","id":"","method":"ping"}', /id/],
  ['{"jsonrpc":"2.0","id":{},"method":"ping"}', /id/],
  ['{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}', /number/],
  ['{"jsonrpc":2.0,"id":1,"method":"ping"}', /jsonrpc/],
  ['{"jsonrpc":"2","id":1,"method":"ping"}', /jsonrpc/],
  ['{"id":1,"method":"ping"}', /jsonrpc/],
  ['"tools/call"', /message/],
  ['null', /message/],
  ['[]', /batch/],
  ['[[{"jsonrpc":"2.0","id":1,"method":"ping"}]]', /message/],
  [
    '[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":1,"method":"ping"}]',
    /repeated id/,
  ],
  [
    '[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":"1","method":"ping"}]',
    /repeated id/,
  ],
  [JSON.stringify(Array.from({ length: 101 }, (_, id) => request('ping', {}, id))), /batch/],
  ['\uFEFF{"jsonrpc":"2.0","id":1,"method":"ping"}', /bom/],
  ['{"jsonrpc":"2.0","id":1,"method":"ping"}{}', /trailing/],
  ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_meta":[]}}', /_meta/],
  [
    '{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"a","uri":"b"}}}',
    /ref/,
  ],
  [
    '{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/tool","name":"a"}}}',
    /ref/,
  ],
  [
    '{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"a","Type":"b"}}}',
    /ref/,
  ],
]

void t.test('R38: what two servers could read differently is refused', async (t) => {
  for (const [text, why] of EVASIONS) {
    const fault = faultOf(() => read(text))
    t.match(fault, /^malformed-body/, text.slice(0, 120))
    t.match(fault, why, text.slice(0, 120))
  }
  t.match(
    faultOf(() => read('{}', 'to-client')),
    /^response-malformed/,
  )
})

void t.test('the allowed twins of what is refused are read', async (t) => {
  for (const text of [
    '{"jsonrpc":"2.0","id":1,"m\\u0065thod":"t\\u006fols/call","params":{"name":"a"}}',
    ' \r\n{"jsonrpc":"2.0","id":"1","method":"ping"}\n',
    '{"jsonrpc":"2.0","id":0,"method":"vendor.example/thing","params":{"Name":1}}',
    '{"jsonrpc":"2.0","id":-1,"method":"tools/call","params":{"name":"näme with spaces","arguments":{}}}',
    '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a/.hidden/b..c/...?x=../y"}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":[{"a":1},{"A":2}]}}}',
    '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a%20b%2Fc%25d%C3%A4"}}',
    '[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":1,"result":{}}]',
    '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}',
    '{"jsonrpc":"2.0","error":{"code":-32600,"message":"x","data":null}}',
  ])
    t.equal(
      faultOf(() => read(text)),
      undefined,
      text,
    )
  const { messages, isBatch } = read([
    CALL,
    { jsonrpc: '2.0', method: 'notifications/initialized' },
  ])
  t.strictSame([messages.map(({ kind }) => kind), isBatch], [['request', 'notification'], true])
})

void t.test('every method of the SDKs schemas is in the table, the way they send it', async (t) => {
  const methodsOf = (schema: {
    readonly options: readonly { readonly shape: { readonly method: { readonly value: string } } }[]
  }) => schema.options.map(({ shape }) => shape.method.value)
  const cases = [
    ['to-server', 'request', methodsOf(ClientRequestSchema)],
    ['to-server', 'notification', methodsOf(ClientNotificationSchema)],
    ['to-client', 'request', methodsOf(ServerRequestSchema)],
    ['to-client', 'notification', methodsOf(ServerNotificationSchema)],
  ] as const
  let known = 0
  for (const [direction, kind, methods] of cases)
    for (const method of methods) {
      known += 1
      t.ok(findMethod(direction, kind, method), `${direction} ${kind} ${method}`)
    }
  t.equal(known, 17 + 5 + 8 + 9)
  t.equal(METHODS.size, known + 3 + 2, 'besides: discover, listen, update; acknowledged, tasks')
})

// Messages as the specification shows them, by its name for their type.
const META = { [VERSION_KEY]: '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} }
const EXAMPLES = [
  [
    'CallToolRequest',
    { method: 'tools/call', params: { name: 'get_weather', arguments: { location: 'New York' } } },
    'item',
  ],
  [
    'ReadResourceRequest',
    { method: 'resources/read', params: { uri: 'file:///project/src/main.rs' } },
    'item',
  ],
  [
    'GetPromptRequest',
    { method: 'prompts/get', params: { name: 'code_review', arguments: { code: 'x' } } },
    'item',
  ],
  [
    'ListToolsRequest',
    { method: 'tools/list', params: { cursor: 'optional-cursor-value' } },
    'session',
  ],
  ['DiscoverRequest', { method: 'server/discover', params: { _meta: META } }, 'session'],
  [
    'SubscriptionsListenRequest',
    {
      method: 'subscriptions/listen',
      params: { _meta: META, notifications: { toolsListChanged: true } },
    },
    'session',
  ],
  [
    'SubscriptionsListenRequest',
    {
      method: 'subscriptions/listen',
      params: { _meta: META, notifications: { resourceSubscriptions: ['file:///a'] } },
    },
    'item',
  ],
  [
    'CompleteRequest',
    {
      method: 'completion/complete',
      params: {
        ref: { type: 'ref/prompt', name: 'code_review' },
        argument: { name: 'language', value: 'py' },
      },
    },
    'item',
  ],
  ['SetLevelRequest', { method: 'logging/setLevel', params: { level: 'info' } }, 'session'],
  ['GetTaskRequest', { method: 'tasks/get', params: { taskId: '786512e2' } }, 'session'],
  [
    'InitializeRequest',
    {
      method: 'initialize',
      params: {
        protocolVersion: '2025-11-25',
        capabilities: {},
        clientInfo: { name: 'c', version: '1' },
      },
    },
    'session',
  ],
] as const

void t.test('messages as the specification shows them are read for what they are', async (t) => {
  for (const [type, call, kind] of EXAMPLES) {
    t.ok(isSpecType[type](call), `${type} is one to the SDK`)
    t.equal(subjectOf({ jsonrpc: '2.0', id: 1, ...call }).kind, kind, type)
  }
})

void t.test('what is read as a message is one to the SDK too', async (t) => {
  const scalar = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null))
  const members = fc.dictionary(
    fc.constantFrom('name', 'uri', 'arguments', 'x'),
    fc.oneof(scalar, fc.object({ maxDepth: 1 })),
  )
  const id = fc.oneof(fc.integer(), fc.string(), fc.constant(null), fc.double())
  const jsonrpc = fc.constantFrom('2.0', '2.0', '2.0', '1.0')
  const method = fc.oneof(
    fc.constantFrom('tools/call', 'ping', 'resources/read', 'notifications/progress'),
    fc.string(),
  )
  const params = fc.oneof(members, members, scalar)
  const result = fc.oneof(members, scalar)
  const error = fc.oneof(fc.constant({ code: 1, message: 'x' }), scalar)
  const call = fc.record({ jsonrpc, id, method, params }, { requiredKeys: ['jsonrpc', 'method'] })
  const message = fc.oneof(
    call,
    fc.record({ jsonrpc, id, result }),
    fc.record({ jsonrpc, id, error }),
    fc.record({ jsonrpc, id, method, params, result, error }, { requiredKeys: ['jsonrpc'] }),
  )
  let understood = 0
  fc.assert(
    fc.property(message, (value) => {
      let isRead = false
      const text = JSON.stringify(value)
      const fault = faultOf(() => {
        read(text)
        isRead = true
      })
      if (!isRead) return fault !== undefined
      const parsed: JsonValue = JSON.parse(text)
      // The SDK has no null for the id that could not be read; JSON-RPC has.
      if (isObject(parsed) && parsed['id'] === null) return Object.hasOwn(parsed, 'error')
      understood += 1
      return JSONRPCMessageSchema.safeParse(parsed).success
    }),
    { numRuns: 3000 },
  )
  t.ok(understood > 50, `${understood} messages were understood`)
})

void t.test('docs/inspection.md has every method of the table', async (t) => {
  const page = readFileSync(new URL('../../../docs/inspection.md', import.meta.url), 'utf8')
  const [, client = '', server = ''] =
    /\| from the client([^]*)\| from the server([^]*)### What a/.exec(page) ?? []
  for (const [key, { direction }] of METHODS) {
    const method = key.split(' ')[2]!
    t.ok((direction === 'to-server' ? client : server).includes(`\`${method}\``), key)
  }
})
