// Whole conversations of the real SDKs through an exchange a call: everything allowed works, the rest is invisible and refused.

import { createServer } from 'node:http'

import {
  Client as NewClient,
  StreamableHTTPClientTransport as NewTransport,
} from '@modelcontextprotocol/client'
import {
  createMcpHandler,
  inputRequired,
  McpServer as NewServer,
} from '@modelcontextprotocol/server'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js'
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js'
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js'
import t from 'tap'
import { z } from 'zod'

import { EgressError, type Reason } from '../../../src/errors.ts'
import { McpExchange } from '../../../src/inspect/mcp/exchange.ts'
import type { McpMessage } from '../../../src/inspect/mcp/messages.ts'
import { refuseMcp } from '../../../src/inspect/mcp/refusal.ts'
import type { Body } from '../../../src/wire/body.ts'
import { ListJudge } from './mcp-support.ts'

type Serve = (request: Request) => Promise<Response>
type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>

const CONTEXT = { callId: 'call-1', taskId: 'task-1' }
const URL_OF_SERVER = new URL('https://mcp.example.com/mcp')

/** A web stream as a body that is pulled. */
class StreamBody implements Body {
  readonly length = undefined
  readonly trailers = []
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  #next: Uint8Array | null | undefined
  #error: Error | undefined

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader()
  }

  read(): Uint8Array | null | undefined {
    if (this.#error) throw this.#error
    const next = this.#next
    if (next !== null) this.#next = undefined
    return next
  }

  async wait(): Promise<void> {
    if (this.#next !== undefined || this.#error) return
    try {
      this.#next = (await this.#reader.read()).value ?? null
    } catch (error) {
      this.#error = new Error('the stream broke off', { cause: error })
    }
  }

  abort(cause: Error): void {
    this.#error = cause
    void this.#reader.cancel(cause).catch(() => undefined)
  }
}

function toStream(body: Body): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      let chunk = body.read()
      while (chunk === undefined) {
        await body.wait()
        chunk = body.read()
      }
      if (chunk) controller.enqueue(chunk)
      else controller.close()
    },
    cancel: () => {
      body.abort(new EgressError('client-gone'))
    },
  })
}

/** A proxy between a client's `fetch` and a server: `judge` decides both ways, `seen` is what reached the server. */
function through(serve: Serve, judge: ListJudge, seen: string[]): Fetch {
  return async (url, init) => {
    const request = new Request(url, init)
    const headers = [...request.headers].flat()
    const { origin, pathname, search } = new URL(url)
    const isOldTransport = judge.endpoints.includes(pathname + search)
    const exchange = new McpExchange({
      request: { method: request.method, origin, path: pathname, headers },
      judge,
      definitionOf: () => undefined,
      context: CONTEXT,
      bounds: { messageBytesMax: 65_536, mcpBatchMax: 100 },
    })
    const bytes = new Uint8Array(await request.arrayBuffer())
    const { messages, isBatch } = exchange.readRequest(bytes)
    const outcomes = messages.map((message): Reason => decide(message, judge))
    if (outcomes.some((reason) => reason !== 'allowed')) {
      const { status, body } = refuseMcp(messages, outcomes, isBatch, {
        ...CONTEXT,
        isOldTransport,
      })
      return new Response(body, { status, headers: { 'Content-Type': 'application/json' } })
    }
    for (const message of messages)
      if (message.kind === 'request') judge.methods.set(message.id, message.method)
    for (const message of messages) seen.push(message.kind === 'response' ? '' : message.method)
    const { method, signal } = request
    const response = await serve(
      new Request(url, {
        method,
        headers: request.headers,
        signal,
        ...(bytes.length > 0 && { body: bytes }),
      }),
    )
    if (!response.body) return response
    const { status } = response
    const filtered = await exchange.filterResponse(
      { status, headers: [...response.headers].flat() },
      new StreamBody(response.body),
    )
    const head = new Headers()
    for (let at = 0; at < filtered.headers.length; at += 2)
      head.append(filtered.headers[at]!, filtered.headers[at + 1]!)
    return new Response(toStream(filtered.body), { status, headers: head })
  }
}

function decide(message: McpMessage, judge: ListJudge): Reason {
  const isAllowed = message.subjects.every(
    ({ kind, name = '' }) => kind === 'session' || (kind === 'item' && judge.mayUse('tools', name)),
  )
  return isAllowed ? 'allowed' : 'tool-not-allowed'
}

const NAMES = ['read', 'sample', 'file:///a', 'p', 'grow']

function makeOldServer(called: string[]): McpServer {
  const server = new McpServer({ name: 's', version: '1' }, { capabilities: { logging: {} } })
  for (const name of ['read', 'write'])
    server.registerTool(name, { inputSchema: { path: z.string() } }, ({ path }) => {
      called.push(name)
      return { content: [{ type: 'text', text: `${name} ${path} wörld\u2028` }] }
    })
  server.registerTool('sample', {}, async (extra) => {
    await extra.sendNotification({
      method: 'notifications/message',
      params: { level: 'info', data: 'asking' },
    })
    try {
      await server.server.createMessage(
        { messages: [{ role: 'user', content: { type: 'text', text: 'x' } }], maxTokens: 1 },
        { relatedRequestId: extra.requestId },
      )
      return { content: [{ type: 'text', text: 'sampled' }] }
    } catch (error) {
      return {
        content: [{ type: 'text', text: error instanceof Error ? error.message : '' }],
        isError: true,
      }
    }
  })
  server.registerTool('grow', {}, () => {
    server.registerTool('grown', {}, () => ({ content: [] }))
    return { content: [] }
  })
  server.registerResource('a', 'file:///a', {}, () => ({
    contents: [{ uri: 'file:///a', text: 'A' }],
  }))
  server.registerResource('b', 'file:///b', {}, () => ({
    contents: [{ uri: 'file:///b', text: 'B' }],
  }))
  server.registerPrompt('p', {}, () => ({
    messages: [{ role: 'user', content: { type: 'text', text: 'P' } }],
  }))
  server.registerPrompt('q', {}, () => ({ messages: [] }))
  return server
}

async function connectOld(
  judge: ListJudge,
  called: string[],
  seen: string[],
  enableJsonResponse: boolean,
) {
  const server = makeOldServer(called)
  const transport = new WebStandardStreamableHTTPServerTransport({
    sessionIdGenerator: () => 'session-1',
    enableJsonResponse,
  })
  await server.connect(transport)
  const client = new Client(
    { name: 'c', version: '1' },
    { capabilities: { sampling: {}, elicitation: {} } },
  )
  let samples = 0
  client.setRequestHandler(CreateMessageRequestSchema, () => {
    samples += 1
    return { role: 'assistant', model: 'm', content: { type: 'text', text: 'y' } }
  })
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'decline' }))
  const way = new StreamableHTTPClientTransport(URL_OF_SERVER, {
    fetch: through((request) => transport.handleRequest(request), judge, seen),
  })
  await client.connect(way)
  return { client, way, server, samples: () => samples }
}

for (const enableJsonResponse of [false, true])
  void t.test(
    `R38: a whole conversation of 2025-11-25 works, in ${enableJsonResponse ? 'JSON' : 'event streams'}`,
    async (t) => {
      const called: string[] = []
      const seen: string[] = []
      const { client, way, server, samples } = await connectOld(
        new ListJudge(NAMES),
        called,
        seen,
        enableJsonResponse,
      )
      const { tools } = await client.listTools()
      t.strictSame(tools.map(({ name }) => name).sort(), ['grow', 'read', 'sample'])
      t.match(await client.callTool({ name: 'read', arguments: { path: 'a' } }), {
        content: [{ text: 'read a wörld\u2028' }],
      })
      await t.rejects(client.callTool({ name: 'write', arguments: { path: 'a' } }), {
        code: -32050,
      })
      t.strictSame(called, ['read'], 'the server never sees the call')
      t.strictSame(
        (await client.listResources()).resources.map(({ uri }) => uri),
        ['file:///a'],
      )
      t.match(await client.readResource({ uri: 'file:///a' }), { contents: [{ text: 'A' }] })
      await t.rejects(client.readResource({ uri: 'file:///b' }), { code: -32050 })
      t.strictSame(
        (await client.listPrompts()).prompts.map(({ name }) => name),
        ['p'],
      )
      t.match(await client.getPrompt({ name: 'p' }), { messages: [{ content: { text: 'P' } }] })
      await t.rejects(client.getPrompt({ name: 'q' }), { code: -32050 })
      await client.ping()
      await client.setLoggingLevel('info')
      if (!enableJsonResponse) {
        t.match(await client.callTool({ name: 'sample' }), {
          isError: true,
          content: [{ text: /Method not found/i }],
        })
        t.equal(samples(), 0, 'the model is never asked')
        const changed = new Promise<void>((resolve) => {
          client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
            resolve()
          })
        })
        await client.callTool({ name: 'grow' })
        await changed
        t.pass('the GET stream brings what the server tells by itself')
      }
      await way.terminateSession()
      await client.close()
      await server.close()
      t.ok(seen.includes('notifications/initialized'))
    },
  )

void t.test('R38: where sampling is let through, it works', async (t) => {
  const { client, server, samples } = await connectOld(
    new ListJudge(NAMES, ['sampling/createMessage']),
    [],
    [],
    false,
  )
  t.match(await client.callTool({ name: 'sample' }), { content: [{ text: 'sampled' }] })
  t.equal(samples(), 1)
  await client.close()
  await server.close()
})

function makeNewServer(called: string[]): NewServer {
  const server = new NewServer(
    { name: 's', version: '1' },
    { capabilities: { tools: { listChanged: true } } },
  )
  for (const name of ['read', 'write'])
    server.registerTool(
      name,
      { inputSchema: z.object({ path: z.string() }) },
      async ({ path }, context) => {
        called.push(name)
        await context.mcpReq.notify({
          method: 'notifications/progress',
          params: { progressToken: 1, progress: 1 },
        })
        return { content: [{ type: 'text', text: `${name} ${path}` }] }
      },
    )
  server.registerTool('sample', {}, () =>
    inputRequired({
      inputRequests: {
        who: inputRequired.elicit({
          message: 'who?',
          requestedSchema: { type: 'object', properties: {} },
        }),
      },
    }),
  )
  server.registerResource('a', 'file:///a', {}, () => ({
    contents: [{ uri: 'file:///a', text: 'A' }],
  }))
  server.registerResource('b', 'file:///b', {}, () => ({ contents: [] }))
  return server
}

void t.test('R38: a whole conversation of 2026-07-28 works', async (t) => {
  const called: string[] = []
  const seen: string[] = []
  const handler = createMcpHandler(() => makeNewServer(called))
  const client = new NewClient(
    { name: 'c', version: '1' },
    {
      capabilities: { elicitation: { form: {} } },
      versionNegotiation: { mode: { pin: '2026-07-28' } },
    },
  )
  let elicitations = 0
  client.setRequestHandler('elicitation/create', () => {
    elicitations += 1
    return { action: 'decline' }
  })
  const fetch = through((request) => handler.fetch(request), new ListJudge(NAMES), seen)
  await client.connect(new NewTransport(URL_OF_SERVER, { fetch }))
  t.strictSame((await client.listTools()).tools.map(({ name }) => name).sort(), ['read', 'sample'])
  t.match(await client.callTool({ name: 'read', arguments: { path: 'a' } }), {
    content: [{ text: 'read a' }],
  })
  await t.rejects(client.callTool({ name: 'write', arguments: { path: 'a' } }), { code: -32050 })
  t.strictSame(called, ['read'], 'the server never sees the call')
  t.strictSame(
    (await client.listResources()).resources.map(({ uri }) => uri),
    ['file:///a'],
  )
  t.match(await client.readResource({ uri: 'file:///a' }), { contents: [{ text: 'A' }] })
  await t.rejects(client.readResource({ uri: 'file:///b' }), { code: -32050 })
  await t.rejects(client.callTool({ name: 'sample' }), {
    code: -32050,
    message: /operation-not-allowed/,
  })
  t.equal(elicitations, 0, 'the user is never asked')
  const subscription = await client.listen({ toolsListChanged: true })
  const changed = new Promise<void>((resolve) => {
    client.setNotificationHandler('notifications/tools/list_changed', () => {
      resolve()
    })
  })
  handler.notify.toolsChanged()
  await changed
  t.pass('the long stream brings what the server tells')
  await subscription.close()
  await client.close()
  await handler.close()
})

void t.test('R38: a whole conversation of 2024-11-05 works, over the old transport', async (t) => {
  const called: string[] = []
  const seen: string[] = []
  const server = makeOldServer(called)
  let transport: SSEServerTransport | undefined
  const listener = createServer((incoming, outgoing) => {
    if (incoming.method === 'POST') void transport?.handlePostMessage(incoming, outgoing)
    else {
      transport = new SSEServerTransport('/messages', outgoing)
      void server.connect(transport)
    }
  })
  await new Promise<void>((resolve) => {
    listener.listen(0, '127.0.0.1', resolve)
  })
  const address = listener.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const judge = new ListJudge(NAMES)
  const client = new Client({ name: 'c', version: '1' }, { capabilities: { sampling: {} } })
  await client.connect(
    new SSEClientTransport(new URL(`http://127.0.0.1:${port}/sse`), {
      fetch: through(fetch, judge, seen),
    }),
  )
  t.match(judge.endpoints, [/^\/messages\?sessionId=/])
  t.strictSame((await client.listTools()).tools.map(({ name }) => name).sort(), [
    'grow',
    'read',
    'sample',
  ])
  t.match(await client.callTool({ name: 'read', arguments: { path: 'a' } }), {
    content: [{ text: 'read a wörld\u2028' }],
  })
  await t.rejects(client.callTool({ name: 'write', arguments: { path: 'a' } }), {
    message: /403.*tool-not-allowed/s,
  })
  t.strictSame(called, ['read'], 'the server never sees the call')
  await client.close()
  await server.close()
  listener.closeAllConnections()
  listener.close()
})
