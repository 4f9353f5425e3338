// What records say of MCP messages, and the traces they name.

import t from 'tap'

import type { JsonValue, KeptContent } from '../../../src/inspect/fields.ts'
import { messageFields } from '../../../src/inspect/mcp/fields.ts'
import {
  type McpMessage,
  type McpRequest,
  readMessages,
} from '../../../src/inspect/mcp/messages.ts'
import { traceOf } from '../../../src/inspect/mcp/trace.ts'
import { readTraceparent } from '../../../src/wire/trace-context.ts'
import { request } from './mcp-support.ts'

const DIGEST = { digest: 'sha256:0', bytes: 2 }
const keepAll = (value: JsonValue): KeptContent => ({ ...DIGEST, value })
const keepDigest = (): KeptContent => DIGEST
const keepNothing = () => undefined

function message(value: unknown, direction: 'to-server' | 'to-client' = 'to-server'): McpMessage {
  const json: JsonValue = JSON.parse(JSON.stringify(value))
  return readMessages(json, direction).messages[0]!
}

function requestOf(value: unknown): McpRequest {
  const read = message(value)
  if (read.kind !== 'request') throw new Error('a request was expected')
  return read
}

const CALL = requestOf(request('tools/call', { name: 'read', arguments: { a: 1 } }, 7))

void t.test('R51: a tool call is recorded by tool, arguments and result', async (t) => {
  t.strictSame(
    messageFields(CALL, {
      keep: keepAll,
      protocolVersion: '2025-11-25',
      sessionId: 's',
      definition: 'sha256:d',
    }),
    {
      mcp: {
        method: { name: 'tools/call' },
        protocol: { version: '2025-11-25' },
        session: { id: 's' },
      },
      jsonrpc: { request: { id: '7' } },
      gen_ai: {
        operation: { name: 'execute_tool' },
        tool: { name: 'read', call: { arguments: { a: 1 } } },
      },
      content: { input: DIGEST, definition: 'sha256:d' },
    },
  )
  t.strictSame(messageFields(CALL, { keep: keepDigest }).gen_ai, {
    operation: { name: 'execute_tool' },
    tool: { name: 'read' },
  })
  t.strictSame(messageFields(CALL, { keep: keepDigest }).content, { input: DIGEST })
  t.equal(messageFields(CALL, { keep: keepNothing }).content, undefined)

  const result = { content: [], isError: true }
  const answer = message({ jsonrpc: '2.0', id: 7, result }, 'to-client')
  t.strictSame(messageFields(answer, { keep: keepAll, request: CALL }), {
    mcp: { method: { name: 'tools/call' } },
    jsonrpc: { request: { id: '7' } },
    gen_ai: { operation: { name: 'execute_tool' }, tool: { name: 'read', call: { result } } },
    error: { type: 'tool_error' },
    content: { output: DIGEST },
  })
  const failed = message(
    { jsonrpc: '2.0', id: 7, error: { code: -32602, message: 'secret' } },
    'to-client',
  )
  t.strictSame(messageFields(failed, { keep: keepAll, request: CALL }), {
    mcp: { method: { name: 'tools/call' } },
    jsonrpc: { request: { id: '7' } },
    gen_ai: { operation: { name: 'execute_tool' }, tool: { name: 'read' } },
    rpc: { response: { status_code: '-32602' } },
    error: { type: '-32602' },
  })
})

void t.test('resources, prompts and the session have their names', async (t) => {
  const fields = (value: unknown, direction: 'to-server' | 'to-client' = 'to-server') =>
    messageFields(message(value, direction), { keep: keepAll })
  t.strictSame(fields(request('resources/read', { uri: 'a:b' })), {
    mcp: { method: { name: 'resources/read' }, resource: { uri: 'a:b' } },
    jsonrpc: { request: { id: '1' } },
  })
  t.strictSame(fields(request('prompts/get', { name: 'p', arguments: { x: 'y' } })), {
    mcp: { method: { name: 'prompts/get' } },
    jsonrpc: { request: { id: '1' } },
    gen_ai: { prompt: { name: 'p' } },
    content: { input: DIGEST },
  })
  t.strictSame(fields(request('ping')), {
    mcp: { method: { name: 'ping' } },
    jsonrpc: { request: { id: '1' } },
  })
  t.strictSame(
    fields(
      { jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'a:b' } },
      'to-client',
    ),
    {
      mcp: { method: { name: 'notifications/resources/updated' }, resource: { uri: 'a:b' } },
    },
  )
  t.strictSame(fields({ jsonrpc: '2.0', id: 3, result: {} }), { jsonrpc: { request: { id: '3' } } })
  t.strictSame(fields({ jsonrpc: '2.0', error: { code: -32700, message: '' } }), {
    rpc: { response: { status_code: '-32700' } },
    error: { type: '-32700' },
  })
})

void t.test(
  'what looks like a secret in a URI is masked in any mode; the rest of it stands',
  async (t) => {
    const uriOf = (uri: string): string | undefined =>
      messageFields(message(request('resources/read', { uri })), { keep: keepNothing }).mcp
        ?.resource?.uri
    t.equal(
      uriOf('https://agent:hunter2hunter2@db.example/a?id=7&api_key=0123456789abcdef'),
      'https://[secret:url-user]@db.example/a?id=7&api_key=[secret:value]',
    )
    t.equal(uriOf('issue://PAY/7?id=7'), 'issue://PAY/7?id=7')
  },
)

void t.test('R58: a message stands where its traceparent says, if that is one', async (t) => {
  const id = '0af7651916cd43dd8448eb211c80319c'
  const parent = 'b7ad6b7169203331'
  const trace = { traceId: id, parentId: parent }
  t.strictSame(
    traceOf(message(request('ping', { _meta: { traceparent: `00-${id}-${parent}-01` } }))),
    trace,
  )
  t.strictSame(readTraceparent(`cc-${id}-${parent}-00-more`), trace, 'of a later version')
  for (const text of [
    `00-${id}-${parent}-01-x`,
    `ff-${id}-${parent}-01`,
    `00-${'0'.repeat(32)}-${parent}-01`,
    `00-${id}-${'0'.repeat(16)}-01`,
    `00-${id.toUpperCase()}-${parent}-01`,
    `00-${id}-${parent}`,
    ` 00-${id}-${parent}-01`,
    `00-${id}-${parent}-01\n`,
    '',
  ])
    t.equal(readTraceparent(text), undefined, text)
  for (const meta of [undefined, {}, { traceparent: 1 }])
    t.equal(traceOf(message(request('ping', { _meta: meta }))), undefined)
  t.equal(
    traceOf(
      message({
        jsonrpc: '2.0',
        id: 1,
        result: { _meta: { traceparent: `00-${id}-${parent}-01` } },
      }),
    ),
    undefined,
  )
})
