// What a client gets in place of what is refused, and that real clients understand it.

import {
  Client as NewClient,
  StreamableHTTPClientTransport as NewTransport,
} from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { JSONRPCMessageSchema } from '@modelcontextprotocol/sdk/types.js'
import t, { type Test } from 'tap'

import { EgressError, type Reason, REASONS } from '../../../src/errors.ts'
import { readMessages } from '../../../src/inspect/mcp/messages.ts'
import { type McpAnswer, refuseMcp } from '../../../src/inspect/mcp/refusal.ts'
import { ChunkBody, ListJudge, makeExchange, readAll, request } from './mcp-support.ts'

const CONTEXT = { callId: 'call-1', taskId: 'task-1' }
const CALL = { jsonrpc: '2.0', id: 'a', method: 'tools/call', params: { name: 'write' } } as const
const PING = { jsonrpc: '2.0', id: 2, method: 'ping' } as const
const NOTE = { jsonrpc: '2.0', method: 'notifications/x' } as const

function refuse(
  body: Parameters<typeof readMessages>[0],
  outcomes: readonly Reason[],
  isOldTransport = false,
): McpAnswer {
  const { messages, isBatch } = readMessages(body, 'to-server')
  return refuseMcp(messages, outcomes, isBatch, { ...CONTEXT, isOldTransport })
}

const DATA = {
  type: 'urn:sallyport:reason:tool-not-allowed',
  title: REASONS['tool-not-allowed'].title,
  status: 403,
  reason: 'tool-not-allowed',
  call: 'call-1',
  task: 'task-1',
  retry: 'no',
  remedy: REASONS['tool-not-allowed'].remedy,
}
const ERROR = {
  code: -32050,
  message: `Sallyport: tool-not-allowed: this tool is not allowed. ${DATA.remedy}`,
  data: DATA,
}

void t.test(
  "R83: a refused call is a JSON-RPC error with the caller's id and the problem",
  async (t) => {
    const { status, headers, body, statusText } = refuse(CALL, ['tool-not-allowed'])
    t.equal(status, 200)
    t.equal(statusText, 'Sallyport: tool-not-allowed')
    t.strictSame(headers.slice(0, 4), [
      'Proxy-Status',
      'sallyport; error=http_request_denied; reason=tool-not-allowed',
      'Content-Type',
      'application/json',
    ])
    t.strictSame(JSON.parse(body), { jsonrpc: '2.0', id: 'a', error: ERROR })
    t.ok(JSONRPCMessageSchema.safeParse(JSON.parse(body)).success)
    t.equal(
      refuse(CALL, ['tool-not-allowed'], true).status,
      403,
      'the old transport has no answer to a POST',
    )
  },
)

void t.test(
  'a batch is refused whole, the innocent told so; what has no id gets none',
  async (t) => {
    const { status, body } = refuse([CALL, NOTE, PING], ['tool-not-allowed', 'allowed', 'allowed'])
    t.equal(status, 200)
    t.match(JSON.parse(body), [
      { id: 'a', error: { code: -32050, data: { reason: 'tool-not-allowed' } } },
      { id: 2, error: { code: -32050, message: /another message of the batch is not allowed/ } },
    ])
    t.equal(JSON.parse(body).length, 2)
    const notes = refuse([NOTE, NOTE], ['allowed', 'operation-not-allowed'])
    t.equal(notes.status, 403)
    t.match(JSON.parse(notes.body), {
      id: null,
      error: { data: { reason: 'operation-not-allowed' } },
    })
    t.equal(refuse({ jsonrpc: '2.0', id: 1, result: {} }, ['killed']).status, 403)
  },
)

void t.test('what could not be read is refused with the id, where there is one', async (t) => {
  const refuseBytes = (body: string, headers: readonly string[] = []) => {
    const exchange = makeExchange(new ListJudge(), 'POST', [
      'Content-Type',
      'application/json',
      ...headers,
    ])
    try {
      exchange.readRequest(Buffer.from(body))
    } catch (error) {
      if (!(error instanceof EgressError)) throw error
      const answer = exchange.refuseRead(error)
      const { id, error: said }: { id: unknown; error: { code: number } } = JSON.parse(answer.body)
      return [answer.status, said.code, id]
    }
    return undefined
  }
  t.strictSame(refuseBytes('{"jsonrpc":"2.0","id":1,'), [400, -32700, null])
  t.strictSame(refuseBytes('{"jsonrpc":"2.0","id":1,"method":"ping","x":1}'), [400, -32600, 1])
  t.strictSame(refuseBytes('{"jsonrpc":"2.0","id":"\\u0000","method":"ping","x":1}'), [
    400,
    -32600,
    null,
  ])
  t.strictSame(refuseBytes('[]'), [400, -32600, null])
  t.strictSame(refuseBytes(JSON.stringify(PING), ['Mcp-Method', 'x']), [400, -32020, 2])
  t.strictSame(refuseBytes(JSON.stringify(PING), ['Mcp-Method', 'x', 'mcp-method', 'x']), [
    400,
    -32020,
    null,
  ])
  t.equal(refuseBytes(JSON.stringify(PING)), undefined)
})

/** A server that is refused its calls, and asks for a sample while it lists its tools. */
function makeFetch(posted: unknown[]) {
  return async (_url: string | URL, init?: RequestInit): Promise<Response> => {
    if (init?.method !== 'POST') return new Response(null, { status: 405 })
    const body: { id?: number; method?: string } = JSON.parse(
      await new Response(init.body ?? null).text(),
    )
    posted.push(body)
    const { id, method } = body
    if (id === undefined || method === undefined) return new Response(null, { status: 202 })
    if (method === 'tools/call') {
      const answer = refuse({ jsonrpc: '2.0', id, method, params: { name: 'write' } }, [
        'tool-not-allowed',
      ])
      const headers = answer.headers.flatMap((name, at) =>
        at % 2 === 0 ? [[name, answer.headers[at + 1]!] as [string, string]] : [],
      )
      return new Response(answer.body, { status: answer.status, headers })
    }
    const results: Record<string, object> = {
      initialize: {
        protocolVersion: '2025-06-18',
        capabilities: { tools: {} },
        serverInfo: { name: 's', version: '1' },
      },
      'tools/list': { tools: [] },
    }
    if (method !== 'tools/list')
      return Response.json({ jsonrpc: '2.0', id, result: results[method] ?? {} })
    const exchange = makeExchange(new ListJudge())
    exchange.readRequest(Buffer.from(JSON.stringify(request('tools/list', {}, id))))
    const stream = [
      { jsonrpc: '2.0', id: 's-1', method: 'sampling/createMessage', params: {} },
      { jsonrpc: '2.0', id, result: { tools: [] } },
    ]
      .map((message) => `data: ${JSON.stringify(message)}\n\n`)
      .join('')
    const headers = ['Content-Type', 'text/event-stream']
    const filtered = await exchange.filterResponse(
      { status: 200, headers },
      new ChunkBody([Buffer.from(stream)]),
    )
    return new Response(await readAll(filtered.body), {
      headers: { 'Content-Type': 'text/event-stream' },
    })
  }
}

/** What both SDKs' clients can. */
interface Conversation {
  callTool(call: { name: string }): Promise<unknown>
  listTools(): Promise<{ tools: unknown[] }>
  close(): Promise<void>
}

async function converse(
  t: Test,
  connect: (fetch: ReturnType<typeof makeFetch>) => Promise<Conversation>,
): Promise<void> {
  const posted: { id?: unknown; method?: string; error?: { code: number } }[] = []
  const client = await connect(makeFetch(posted))
  await t.rejects(client.callTool({ name: 'write' }), {
    code: -32050,
    message: /tool-not-allowed/,
    data: DATA,
  })
  t.strictSame((await client.listTools()).tools, [])
  const deadlineMs = performance.now() + 5000
  while (!posted.some(({ id }) => id === 's-1') && performance.now() < deadlineMs)
    await new Promise((resolve) => setTimeout(resolve, 5))
  t.match(
    posted.find(({ id }) => id === 's-1'),
    { error: { code: -32601 } },
    'the server learns of the refusal',
  )
  await client.close()
}

void t.test('R38: the SDK of before shows the refusal, and answers for the server', async (t) => {
  await converse(t, async (fetch) => {
    const client = new Client({ name: 'c', version: '1' })
    await client.connect(
      new StreamableHTTPClientTransport(new URL('http://127.0.0.1/mcp'), { fetch }),
    )
    return client
  })
})

void t.test('R38: so does the SDK of now', async (t) => {
  await converse(t, async (fetch) => {
    const client = new NewClient({ name: 'c', version: '1' })
    await client.connect(new NewTransport(new URL('http://127.0.0.1/mcp'), { fetch }))
    return client
  })
})
