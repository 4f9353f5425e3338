// The SDKs of OpenAI and Anthropic speak to a local server; what was read of the bytes is what they sent and got.

import { Buffer } from 'node:buffer'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'

import { Anthropic } from '@anthropic-ai/sdk'
import { AzureOpenAI, OpenAI } from 'openai'
import t, { type Test } from 'tap'

import type { InspectedFields } from '../../../src/inspect/fields.ts'
import { makeKeeper } from '../../../src/inspect/keep.ts'
import { ModelAnswer } from '../../../src/inspect/model/answer.ts'
import { recogniseModelApi } from '../../../src/inspect/model/api.ts'
import { modelFields } from '../../../src/inspect/model/fields.ts'
import { readModelRequest, type ModelRequest } from '../../../src/inspect/model/request.ts'

interface Canned {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string
}

interface Exchange {
  readonly request: ModelRequest
  readonly fields: InspectedFields
}

const keeper = makeKeeper({ bytesMax: 64 * 1024, mask: (each) => each })

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

// Serves one canned answer, and reads each exchange as the sidecar would.
async function serve(t: Test, canned: Canned): Promise<{ url: string; exchanges: Exchange[] }> {
  const exchanges: Exchange[] = []
  const answerCall = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const bytes = await readBody(incoming)
    const { pathname } = new URL(incoming.url ?? '', 'http://local')
    const head = {
      method: incoming.method ?? '',
      host: '127.0.0.1',
      path: pathname,
      headers: incoming.rawHeaders,
    }
    const api = recogniseModelApi(head)
    const request = api && readModelRequest(api, bytes, { strict: true })
    const status = canned.status ?? 200
    const headers = { 'content-type': 'application/json', ...canned.headers }
    response.writeHead(status, headers)
    const plain = Buffer.from(canned.body)
    const body = canned.headers?.['content-encoding'] === 'gzip' ? gzipSync(plain) : plain
    response.end(body)
    if (!request) return
    const answer = new ModelAnswer(
      request.api,
      { status, headers: Object.entries(headers).flat() },
      64 * 1024,
    )
    answer.push(body)
    const fields = modelFields(request, answer.end(), { keeper, mode: 'full' })
    exchanges.push({ request, fields })
  }
  const server = createServer((incoming, response) => {
    void answerCall(incoming, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  return { url: `http://127.0.0.1:${port}`, exchanges }
}

const sse = (events: readonly unknown[]): string =>
  events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')
const named = (
  events: readonly { readonly type: string; readonly [key: string]: unknown }[],
): string =>
  events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('')
const STREAM = { 'content-type': 'text/event-stream; charset=utf-8' }

const weather = {
  type: 'function' as const,
  function: { name: 'get_weather', parameters: { type: 'object', properties: { city: {} } } },
}

const chunk = (choices: unknown, usage?: unknown): unknown => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'gpt-x-2026',
  choices,
  ...(usage !== undefined && { usage }),
})

void t.test('R51: a streamed chat of the OpenAI SDK is recorded as it was', async (t) => {
  const call = (args: string, first = false): unknown => ({
    index: 0,
    ...(first && { id: 'call_1', type: 'function' }),
    function: { ...(first && { name: 'get_weather' }), arguments: args },
  })
  const { url, exchanges } = await serve(t, {
    headers: STREAM,
    body: `${sse([
      chunk([{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }]),
      chunk([{ index: 0, delta: { content: 'Let me ' }, finish_reason: null }]),
      chunk([{ index: 0, delta: { content: 'look ☀️.' }, finish_reason: null }]),
      chunk([{ index: 0, delta: { tool_calls: [call('', true)] }, finish_reason: null }]),
      chunk([{ index: 0, delta: { tool_calls: [call('{"city":')] }, finish_reason: null }]),
      chunk([{ index: 0, delta: { tool_calls: [call('"Paris"}')] }, finish_reason: null }]),
      chunk([{ index: 0, delta: {}, finish_reason: 'tool_calls' }]),
      chunk([], { prompt_tokens: 21, completion_tokens: 9, total_tokens: 30 }),
    ])}data: [DONE]\n\n`,
  })
  const client = new OpenAI({ apiKey: 'none', baseURL: `${url}/v1` })
  const stream = client.chat.completions.stream({
    model: 'gpt-x',
    max_completion_tokens: 50,
    stream_options: { include_usage: true },
    tools: [weather],
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Weather in Paris?' },
    ],
  })
  const final = await stream.finalChatCompletion()
  const [exchange] = exchanges
  t.strictSame(exchange?.request.subject, {
    operation: 'chat',
    model: 'gpt-x',
    hasOutput: true,
    maxTokens: 50,
    serverTools: [],
  })
  t.equal(final.choices[0]?.message.content, 'Let me look ☀️.')
  t.match(exchange?.fields.gen_ai, {
    operation: { name: 'chat' },
    provider: { name: 'openai' },
    request: { model: 'gpt-x', max_tokens: 50, stream: true },
    response: {
      id: final.id,
      model: final.model,
      finish_reasons: [final.choices[0]?.finish_reason],
    },
    usage: { input_tokens: 21, output_tokens: 9 },
    input: {
      messages: [
        { role: 'system', parts: [{ type: 'text', content: 'Be brief.' }] },
        { role: 'user', parts: [{ type: 'text', content: 'Weather in Paris?' }] },
      ],
    },
    output: {
      messages: [
        {
          role: 'assistant',
          finish_reason: 'tool_calls',
          parts: [
            { type: 'text', content: 'Let me look ☀️.' },
            { type: 'tool_call', id: 'call_1', name: 'get_weather', arguments: { city: 'Paris' } },
          ],
        },
      ],
    },
  })
  t.strictSame(exchange?.fields.content?.tool_calls, ['get_weather'])
  t.equal(exchange?.fields.content?.unread, undefined)
})

void t.test('a chat that is not streamed has the same fields, also compressed', async (t) => {
  const { url, exchanges } = await serve(t, {
    headers: { 'content-encoding': 'gzip' },
    body: JSON.stringify({
      id: 'chatcmpl-2',
      object: 'chat.completion',
      model: 'gpt-x-2026',
      choices: [
        { index: 0, message: { role: 'assistant', content: 'One.' }, finish_reason: 'stop' },
        { index: 1, message: { role: 'assistant', content: 'Two.' }, finish_reason: 'length' },
      ],
      usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
    }),
  })
  const client = new OpenAI({ apiKey: 'none', baseURL: `${url}/v1` })
  const answer = await client.chat.completions.create({
    model: 'gpt-x',
    n: 2,
    max_tokens: 8,
    messages: [
      {
        role: 'assistant',
        tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 'c', content: 'sunny' },
    ],
  })
  t.equal(answer.choices.length, 2)
  t.equal(exchanges[0]?.request.subject.maxTokens, 16)
  t.match(exchanges[0]?.fields.gen_ai, {
    response: { id: 'chatcmpl-2', finish_reasons: ['stop', 'length'] },
    usage: { input_tokens: 5, output_tokens: 2 },
  })
  t.equal(exchanges[0]?.fields.content?.tool_results, 1)
  t.match(exchanges[0]?.fields.gen_ai?.output?.messages, [
    { parts: [{ content: 'One.' }] },
    { parts: [{ content: 'Two.' }] },
  ])
})

void t.test('an error of the API is recorded by its name', async (t) => {
  const error = { message: 'slow down', type: 'rate_limit_error', code: 'rate_limit_exceeded' }
  const { url, exchanges } = await serve(t, { status: 429, body: JSON.stringify({ error }) })
  const client = new OpenAI({ apiKey: 'none', baseURL: `${url}/v1`, maxRetries: 0 })
  await t.rejects(client.embeddings.create({ model: 'e', input: ['a', 'b'] }), { message: /429/ })
  t.match(exchanges[0]?.fields, {
    gen_ai: { operation: { name: 'embeddings' } },
    error: { type: 'rate_limit_error' },
  })
  t.equal(exchanges[0]?.request.subject.hasOutput, false)
})

void t.test('R51: a streamed response of the OpenAI SDK is recorded as it was', async (t) => {
  const response = (rest: object): object => ({
    id: 'resp_1',
    object: 'response',
    created_at: 1,
    model: 'gpt-x-2026',
    output: [],
    error: null,
    incomplete_details: null,
    tools: [],
    ...rest,
  })
  const message = (text: string): object => ({
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    status: 'completed',
    content: [{ type: 'output_text', text, annotations: [] }],
  })
  const call = (args: string): object => ({
    id: 'fc_1',
    type: 'function_call',
    call_id: 'call_1',
    name: 'get_weather',
    arguments: args,
  })
  const search = {
    id: 'ws_1',
    type: 'web_search_call',
    status: 'completed',
    action: { type: 'search', query: 'q' },
  }
  const text = { item_id: 'msg_1', output_index: 1, content_index: 0 }
  const events = [
    { type: 'response.created', response: response({ status: 'in_progress' }) },
    {
      type: 'response.output_item.added',
      output_index: 0,
      item: { ...search, status: 'in_progress' },
    },
    { type: 'response.output_item.done', output_index: 0, item: search },
    { type: 'response.output_item.added', output_index: 1, item: { ...message(''), content: [] } },
    {
      type: 'response.content_part.added',
      ...text,
      part: { type: 'output_text', text: '', annotations: [] },
    },
    { type: 'response.output_text.delta', ...text, delta: 'It is ' },
    { type: 'response.output_text.delta', ...text, delta: 'sunny.' },
    { type: 'response.output_text.done', ...text, text: 'It is sunny.' },
    { type: 'response.output_item.done', output_index: 1, item: message('It is sunny.') },
    { type: 'response.output_item.added', output_index: 2, item: call('') },
    {
      type: 'response.function_call_arguments.delta',
      item_id: 'fc_1',
      output_index: 2,
      delta: '{"city":',
    },
    {
      type: 'response.function_call_arguments.delta',
      item_id: 'fc_1',
      output_index: 2,
      delta: '"Rome"}',
    },
    { type: 'response.output_item.done', output_index: 2, item: call('{"city":"Rome"}') },
    {
      type: 'response.completed',
      response: response({
        status: 'completed',
        output: [search, message('It is sunny.'), call('{"city":"Rome"}')],
        usage: { input_tokens: 30, output_tokens: 12, total_tokens: 42 },
      }),
    },
  ].map((event, at) => ({ ...event, sequence_number: at }))
  const { url, exchanges } = await serve(t, { headers: STREAM, body: named(events) })
  const client = new OpenAI({ apiKey: 'none', baseURL: `${url}/v1` })
  const final = await client.responses
    .stream({
      model: 'gpt-x',
      instructions: 'Be brief.',
      input: 'Weather in Rome?',
      max_output_tokens: 99,
      tools: [{ type: 'web_search' }],
    })
    .finalResponse()
  t.equal(final.output_text, 'It is sunny.')
  const [exchange] = exchanges
  t.match(exchange?.request.subject, { model: 'gpt-x', maxTokens: 99, serverTools: ['web_search'] })
  t.match(exchange?.fields.gen_ai, {
    response: { id: final.id, model: 'gpt-x-2026', finish_reasons: ['completed'] },
    usage: { input_tokens: 30, output_tokens: 12 },
    output: {
      messages: [
        {
          parts: [
            { type: 'server_tool_call', name: 'web_search' },
            { type: 'text', content: 'It is sunny.' },
            { type: 'tool_call', id: 'call_1', name: 'get_weather', arguments: { city: 'Rome' } },
          ],
        },
      ],
    },
  })
  t.strictSame(exchange?.fields.content?.tool_calls, ['get_weather'])

  // What broke off before its last event is read from its pieces.
  const answer = new ModelAnswer(exchange!.request.api, { status: 200, headers: [] }, 10_000)
  answer.push(Buffer.from(named(events.slice(0, -1))))
  const broken = answer.end()
  t.match(exchange?.fields.gen_ai?.output?.messages, [{ parts: broken.messages[0]?.parts }])
  t.equal(broken.messages[0]?.parts.length, 3)
  t.strictSame(broken.finishReasons, [])
})

void t.test('R51: a streamed message of the Anthropic SDK is recorded as it was', async (t) => {
  const { url, exchanges } = await serve(t, {
    headers: STREAM,
    body: named([
      {
        type: 'message_start',
        message: {
          id: 'msg_1',
          type: 'message',
          role: 'assistant',
          model: 'claude-x-2026',
          content: [],
          stop_reason: null,
          usage: {
            input_tokens: 10,
            cache_read_input_tokens: 100,
            cache_creation_input_tokens: 5,
            output_tokens: 1,
          },
        },
      },
      { type: 'ping' },
      { type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'hm' } },
      { type: 'content_block_stop', index: 0 },
      { type: 'content_block_start', index: 1, content_block: { type: 'text', text: '' } },
      { type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: 'Sun' } },
      { type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: 'ny.' } },
      { type: 'content_block_stop', index: 1 },
      {
        type: 'content_block_start',
        index: 2,
        content_block: { type: 'tool_use', id: 'toolu_1', name: 'get_weather', input: {} },
      },
      {
        type: 'content_block_delta',
        index: 2,
        delta: { type: 'input_json_delta', partial_json: '{"city"' },
      },
      {
        type: 'content_block_delta',
        index: 2,
        delta: { type: 'input_json_delta', partial_json: ':"Oslo"}' },
      },
      { type: 'content_block_stop', index: 2 },
      {
        type: 'message_delta',
        delta: { stop_reason: 'tool_use', stop_sequence: null },
        usage: { output_tokens: 42 },
      },
      { type: 'message_stop' },
    ]),
  })
  const client = new Anthropic({ apiKey: 'none', baseURL: url })
  const final = await client.messages
    .stream({
      model: 'claude-x',
      max_tokens: 128,
      system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
      messages: [
        { role: 'user', content: 'Weather in Oslo?' },
        { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'f', input: { x: 1 } }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', content: 'rain' }] },
      ],
      tools: [
        { name: 'get_weather', input_schema: { type: 'object' } },
        { type: 'web_search_20250305', name: 'web_search' },
      ],
    })
    .finalMessage()
  t.equal(final.stop_reason, 'tool_use')
  const [exchange] = exchanges
  t.match(exchange?.request.subject, {
    operation: 'chat',
    model: 'claude-x',
    maxTokens: 128,
    serverTools: ['web_search_20250305'],
  })
  t.match(exchange?.fields.gen_ai, {
    provider: { name: 'anthropic' },
    request: { stream: true },
    response: { id: 'msg_1', model: 'claude-x-2026', finish_reasons: ['tool_use'] },
    usage: { input_tokens: 115, output_tokens: 42 },
    output: {
      messages: [
        {
          finish_reason: 'tool_use',
          parts: [
            { type: 'text', content: 'Sunny.' },
            { type: 'tool_call', id: 'toolu_1', name: 'get_weather', arguments: { city: 'Oslo' } },
          ],
        },
      ],
    },
  })
  t.notMatch(JSON.stringify(exchange?.fields.gen_ai?.output), 'hm')
  t.match(exchange?.fields.content, { tool_calls: ['get_weather'], tool_results: 1 })
})

void t.test(
  'the counting of tokens, and errors within a stream, are read of Anthropic',
  async (t) => {
    const counting = await serve(t, { body: '{"input_tokens":77}' })
    const counter = new Anthropic({ apiKey: 'none', baseURL: counting.url })
    const question = { model: 'claude-x', messages: [{ role: 'user' as const, content: 'hi' }] }
    t.equal((await counter.messages.countTokens(question)).input_tokens, 77)
    t.match(counting.exchanges[0]?.fields, {
      gen_ai: { operation: { name: 'count_tokens' }, usage: { input_tokens: 77 } },
    })
    t.equal(counting.exchanges[0]?.request.subject.hasOutput, false)
    const failing = await serve(t, {
      headers: STREAM,
      body: named([{ type: 'error', error: { type: 'overloaded_error', message: 'busy' } }]),
    })
    const client = new Anthropic({ apiKey: 'none', baseURL: failing.url, maxRetries: 0 })
    await t.rejects(client.messages.stream({ ...question, max_tokens: 9 }).finalMessage())
    t.match(failing.exchanges[0]?.fields, { error: { type: 'overloaded_error' } })
  },
)

void t.test('a call of the Azure SDK names its deployment by the path', async (t) => {
  const { url, exchanges } = await serve(t, { body: '{"choices":[]}' })
  const client = new AzureOpenAI({ apiKey: 'none', endpoint: url, apiVersion: '2026-01-01' })
  await client.chat.completions.create({ model: 'my-gpt', messages: [] })
  t.match(exchanges[0]?.request, { api: { model: 'my-gpt' }, subject: { model: 'my-gpt' } })
})

void t.test('moderations and completions of the OpenAI SDK are read', async (t) => {
  const moderating = await serve(t, { body: '{"id":"modr-1","model":"omni","results":[]}' })
  const moderator = new OpenAI({ apiKey: 'none', baseURL: moderating.url })
  await moderator.moderations.create({ input: 'words' })
  t.match(moderating.exchanges[0]?.fields.gen_ai, {
    operation: { name: 'moderation' },
    response: { id: 'modr-1' },
  })
  const completing = await serve(t, {
    body: JSON.stringify({
      id: 'cmpl-1',
      model: 'm',
      choices: [{ index: 0, text: ' world', finish_reason: 'stop' }],
      usage: { prompt_tokens: 1, completion_tokens: 1 },
    }),
  })
  const client = new OpenAI({ apiKey: 'none', baseURL: completing.url })
  await client.completions.create({ model: 'm', prompt: 'hello', max_tokens: 4 })
  t.match(completing.exchanges[0]?.fields.gen_ai, {
    operation: { name: 'text_completion' },
    output: { messages: [{ parts: [{ content: ' world' }], finish_reason: 'stop' }] },
  })
})
