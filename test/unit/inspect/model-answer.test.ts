// Models' answers as they flow by: cut anywhere they are read alike, and whatever an upstream sends makes nothing fail.

import { Buffer } from 'node:buffer'
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'

import {
  array,
  assert,
  constantFrom,
  integer,
  oneof,
  property,
  string,
  uint8Array,
} from 'fast-check'
import t from 'tap'

import { makeKeeper } from '../../../src/inspect/keep.ts'
import { ModelAnswer, type ModelAnswerRead } from '../../../src/inspect/model/answer.ts'
import { recogniseModelApi, type ModelApi } from '../../../src/inspect/model/api.ts'
import { modelFields, unreadModelFields } from '../../../src/inspect/model/fields.ts'
import { readModelRequest } from '../../../src/inspect/model/request.ts'

function apiAt(host: string, path: string): ModelApi {
  const api = recogniseModelApi({ method: 'POST', host, path, headers: [] })
  if (!api) throw new Error(`not recognised: ${host}${path}`)
  return api
}

const CHAT = apiAt('api.openai.com', '/v1/chat/completions')
const RESPONSES = apiAt('api.openai.com', '/v1/responses')
const MESSAGES = apiAt('api.anthropic.com', '/v1/messages')
const GEMINI = apiAt('generativelanguage.googleapis.com', '/v1beta/models/g:streamGenerateContent')
const OLLAMA = apiAt('ollama.test', '/api/chat')

function readAnswer(
  api: ModelApi,
  chunks: readonly Uint8Array[],
  options: { status?: number; headers?: readonly string[]; bytesMax?: number } = {},
): ModelAnswerRead {
  const head = { status: options.status ?? 200, headers: options.headers ?? [] }
  const answer = new ModelAnswer(api, head, options.bytesMax ?? 100_000)
  for (const chunk of chunks) answer.push(chunk)
  return answer.end()
}

const readText = (api: ModelApi, text: string): ModelAnswerRead =>
  readAnswer(api, [Buffer.from(text)])

const events = (...values: readonly unknown[]): string =>
  values.map((value) => `data: ${JSON.stringify(value)}\n\n`).join('')

const GEMINI_PARTS = [
  {
    candidates: [{ index: 0, content: { role: 'model', parts: [{ text: 'Hm.', thought: true }] } }],
    usageMetadata: { promptTokenCount: 7 },
    modelVersion: 'g-2026',
    responseId: 'r1',
  },
  { candidates: [{ content: { parts: [{ text: 'Olé {"[' }] } }] },
  {
    candidates: [
      {
        content: {
          parts: [
            { text: ' done ☀️ \\"' },
            { functionCall: { name: 'get', args: { city: 'A"]}' } } },
            { functionCall: { name: 'get', args: {} } },
          ],
        },
        finishReason: 'STOP',
      },
    ],
    usageMetadata: { promptTokenCount: 7, candidatesTokenCount: 5, thoughtsTokenCount: 3 },
  },
]
const OLLAMA_PARTS = [
  { model: 'l', message: { role: 'assistant', content: 'Sun', thinking: 'hm' }, done: false },
  { model: 'l', message: { role: 'assistant', content: 'ny ☀️' }, done: false },
  {
    model: 'l',
    message: { content: '', tool_calls: [{ function: { name: 'get', arguments: { a: 1 } } }] },
    done: false,
  },
  { model: 'l', done: true, done_reason: 'stop', prompt_eval_count: 3, eval_count: 4 },
]
const ANTHROPIC_EVENTS = events(
  { type: 'message_start', message: { id: 'm', model: 'c', usage: { input_tokens: 3 } } },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Sonne ☀️' } },
  { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 4 } },
  { type: 'message_stop' },
)
const CHAT_EVENTS = `: comment\r\n\r\n${events(
  { id: 'i', model: 'm', choices: [{ index: 1, delta: { content: 'second' } }] },
  { id: 'i', model: 'm', choices: [{ index: 0, delta: { content: 'fi☀️rst' } }] },
  { id: 'i', model: 'm', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] },
  { id: 'i', choices: [], usage: { prompt_tokens: 1, completion_tokens: 2 } },
)}data: [DONE]\n\n`

const STREAMS: readonly (readonly [string, ModelApi, string])[] = [
  ['Gemini’s events', GEMINI, events(...GEMINI_PARTS).replaceAll('\n', '\r\n')],
  ['Gemini’s list', GEMINI, JSON.stringify(GEMINI_PARTS, null, 1)],
  ['Ollama’s lines', OLLAMA, OLLAMA_PARTS.map((part) => `${JSON.stringify(part)}\n`).join('')],
  ['Anthropic’s events', MESSAGES, ANTHROPIC_EVENTS],
  ['events that end in carriage returns', MESSAGES, ANTHROPIC_EVENTS.replaceAll('\n', '\r')],
  ['chat’s events', CHAT, CHAT_EVENTS],
]

void t.test('an answer has the same fields wherever it is cut into chunks', (t) => {
  for (const [name, api, text] of STREAMS) {
    const bytes = Buffer.from(text)
    const whole = readAnswer(api, [bytes])
    t.equal(whole.unread, undefined, name)
    t.ok(whole.messages.length > 0, name)
    for (let at = 1; at < bytes.length; at += 1) {
      const cut = readAnswer(api, [bytes.subarray(0, at), bytes.subarray(at)])
      if (JSON.stringify(cut) !== JSON.stringify(whole))
        t.strictSame(cut, whole, `${name} at ${at}`)
    }
    const single = readAnswer(
      api,
      [...bytes].map((byte) => Uint8Array.of(byte)),
    )
    t.strictSame(single, whole, `${name}, byte by byte`)
  }
  t.end()
})

void t.test('Gemini’s stream is read as events and as a list', (t) => {
  for (const text of [events(...GEMINI_PARTS), JSON.stringify(GEMINI_PARTS)])
    t.match(readText(GEMINI, text), {
      id: 'r1',
      model: 'g-2026',
      finishReasons: ['STOP'],
      inputTokens: 7,
      outputTokens: 8,
      toolCalls: ['get', 'get'],
      messages: [
        {
          role: 'assistant',
          parts: [
            { type: 'text', content: 'Olé {"[ done ☀️ \\"' },
            { type: 'tool_call', name: 'get', arguments: { city: 'A"]}' } },
            { type: 'tool_call', name: 'get', arguments: {} },
          ],
        },
      ],
    })
  t.match(readText(GEMINI, '{"totalTokens":12}'), { inputTokens: 12, messages: [] })
  t.match(readText(GEMINI, '{"promptFeedback":{"blockReason":"SAFETY"}}'), {
    finishReasons: ['SAFETY'],
  })
  t.end()
})

void t.test('Ollama’s answer is read line by line', (t) => {
  t.match(readText(OLLAMA, OLLAMA_PARTS.map((part) => JSON.stringify(part)).join('\n')), {
    model: 'l',
    inputTokens: 3,
    outputTokens: 4,
    finishReasons: ['stop'],
    toolCalls: ['get'],
    messages: [{ parts: [{ content: 'Sunny ☀️' }, { name: 'get', arguments: { a: 1 } }] }],
  })
  t.match(readText(apiAt('o.test', '/api/generate'), '{"response":"hi","done":true}'), {
    messages: [{ parts: [{ content: 'hi' }], finish_reason: 'stop' }],
  })
  t.end()
})

void t.test('choices stand in the order of their numbers', (t) => {
  t.match(readText(CHAT, CHAT_EVENTS).messages, [
    { parts: [{ content: 'fi☀️rst' }], finish_reason: 'stop' },
    { parts: [{ content: 'second' }] },
  ])
  t.end()
})

void t.test('the first id stays, and lines of one event are lines', (t) => {
  const read = readText(CHAT, events({ id: 'one', model: 'a' }, { id: 'two', model: 'b' }))
  t.match(read, { id: 'one', model: 'b' })
  const lines = 'data: {"choices":[],\ndata: "id":"x"}\n\n'
  t.match(readText(CHAT, lines), { id: 'x', unread: undefined })
  const split = 'data: {"usage":{"prompt_tokens":1\ndata: 2}}\n\n'
  t.match(readText(CHAT, split), { inputTokens: undefined, unread: 'malformed' })
  t.end()
})

void t.test('tool calls are joined by their number, though their pieces interleave', (t) => {
  const piece = (index: number, rest: object): unknown => ({
    choices: [{ index: 0, delta: { tool_calls: [{ index, ...rest }] } }],
  })
  const read = readText(
    CHAT,
    events(
      piece(0, { id: 'a', function: { name: 'one', arguments: '{"x"' } }),
      piece(1, { id: 'b', function: { name: 'two', arguments: '[' } }),
      piece(0, { function: { arguments: ':1}' } }),
      piece(1, { function: { arguments: '2' } }),
    ),
  )
  t.match(read.messages[0]?.parts, [
    { id: 'a', name: 'one', arguments: { x: 1 } },
    { id: 'b', name: 'two', arguments: '[2' },
  ])
  t.strictSame(read.toolCalls, ['one', 'two'])
  t.end()
})

void t.test('a compressed answer is read like a plain one', (t) => {
  const bytes = Buffer.from(CHAT_EVENTS)
  const plain = readAnswer(CHAT, [bytes])
  for (const [coding, encoded] of [
    ['gzip', gzipSync(bytes)],
    ['deflate', deflateSync(bytes)],
    ['br', brotliCompressSync(bytes)],
    ['zstd', zstdCompressSync(bytes)],
    ['identity', bytes],
  ] as const) {
    const headers = ['Content-Encoding', coding]
    const half = encoded.length >> 1
    const chunks = [encoded.subarray(0, half), encoded.subarray(half)]
    t.strictSame(readAnswer(CHAT, chunks, { headers }), plain, coding)
  }
  t.equal(readAnswer(CHAT, [bytes], { headers: ['content-encoding', 'gzip'] }).unread, 'encoded')
  t.equal(readAnswer(CHAT, [bytes], { headers: ['content-encoding', 'lzma'] }).unread, 'encoded')
  const twice = gzipSync(gzipSync(bytes))
  t.equal(
    readAnswer(CHAT, [twice], { headers: ['content-encoding', 'gzip, gzip'] }).unread,
    'encoded',
  )
  t.end()
})

void t.test('what unpacks to more than is kept is not read', (t) => {
  const headers = ['content-encoding', 'gzip']
  const bomb = gzipSync(Buffer.alloc(50_000_000, 'a'))
  t.equal(readAnswer(CHAT, [bomb], { headers }).unread, 'too-large')
  const noise = Buffer.from(Array.from({ length: 200_000 }, (_, at) => (at * 7919) % 251))
  t.equal(readAnswer(CHAT, [noise], { headers }).unread, 'too-large')
  t.end()
})

void t.test('beyond the bound texts are cut, and counts go on', (t) => {
  const piece = { choices: [{ index: 0, delta: { content: 'x'.repeat(100) } }] }
  const usage = { choices: [], usage: { prompt_tokens: 1, completion_tokens: 5000 } }
  const text = events(...Array.from({ length: 50 }, () => piece), usage)
  const read = readAnswer(CHAT, [Buffer.from(text)], { bytesMax: 1000 })
  t.equal(read.isCut, true)
  t.strictSame(read.messages[0]?.parts, [{ type: 'text', content: 'x'.repeat(1000) }])
  t.equal(read.outputTokens, 5000)
  t.equal(read.unread, undefined)
  const huge = events({ choices: [{ delta: { content: 'y'.repeat(5000) } }] }, piece, usage)
  const rest = readAnswer(CHAT, [Buffer.from(huge)], { bytesMax: 1000 })
  t.match(rest, { unread: 'too-large', outputTokens: 5000 })
  t.strictSame(rest.messages[0]?.parts, [{ type: 'text', content: 'x'.repeat(100) }])
  t.end()
})

void t.test('parts and choices without number are bounded', (t) => {
  const many = Array.from({ length: 5000 }, (_, index) => ({ index, delta: { content: 'x' } }))
  const read = readAnswer(CHAT, [Buffer.from(events({ choices: many }))], { bytesMax: 1e6 })
  t.equal(read.isCut, true)
  t.ok(read.messages.length <= 1024)
  const calls = Array.from({ length: 5000 }, () => ({ functionCall: { name: 'n'.repeat(999) } }))
  const candidates = events({ candidates: [{ content: { parts: calls } }] })
  const gemini = readAnswer(GEMINI, [Buffer.from(candidates)], { bytesMax: 1e7 })
  t.equal(gemini.toolCalls.length, 128)
  t.ok(gemini.toolCalls.every((name) => name.length <= 256))
  t.end()
})

void t.test('what is no answer of a model says why it was not read', (t) => {
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['', undefined],
    ['  \n', undefined],
    ['{}', undefined],
    ['<html></html>', 'format'],
    ['{"id":"x","choices":[', 'incomplete'],
    ['{"id":"x",}', 'malformed'],
    ['[]', 'malformed'],
    ['data: hello\n\n', 'malformed'],
    [`data: hello\n\n${events({ choices: [] })}`, 'malformed'],
    [`${events({ choices: [] })}data: {"choices":[`, 'incomplete'],
    ['event: x\n\n', 'malformed'],
  ]
  for (const [text, unread] of rows) t.equal(readText(CHAT, text).unread, unread, text)
  t.end()
})

void t.test('an error has the API’s name, or else the status', (t) => {
  t.equal(
    readText(CHAT, '{"error":{"type":"invalid_request_error"}}').errorType,
    'invalid_request_error',
  )
  t.equal(
    readText(GEMINI, '[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}]').errorType,
    'RESOURCE_EXHAUSTED',
  )
  t.equal(readText(OLLAMA, '{"error":"model not found"}').errorType, '_OTHER')
  t.equal(readAnswer(CHAT, [], { status: 503 }).errorType, '503')
  t.equal(readText(CHAT, '{"choices":[]}').errorType, undefined)
  t.match(
    readText(
      RESPONSES,
      events({
        type: 'response.failed',
        response: { status: 'failed', error: { code: 'server_error' } },
      }),
    ),
    {
      errorType: 'server_error',
      finishReasons: ['failed'],
    },
  )
  t.end()
})

void t.test('nothing that an upstream sends makes reading fail', (t) => {
  const shard = constantFrom(
    'data: ',
    '\n\n',
    '\r',
    '{',
    '}',
    '[',
    ']',
    '"',
    '\\',
    '{"choices":[',
    '{"index":1e999,"delta":{',
    '"content":',
    'null',
    '{"type":"message_start","message":7}',
    '{"type":"content_block_start","content_block":{"type":"tool_use","name":7}}',
    '{"candidates":[{"content":{"parts":[null,{"functionCall":7}]}}]}',
    '{"usage":{"prompt_tokens":-1}}',
    '{"output":[null,{"type":"function_call","arguments":7}]}',
    '{"choices":[{"index":-1,"message":{"tool_calls":[1,{"index":"x"}]}}]}',
    '{"__proto__":{"id":"x"},"toString":1}',
    '[DONE]',
    ':',
    ',',
  )
  const bytes = oneof(
    shard.map((text) => Buffer.from(text)),
    string().map((text) => Buffer.from(text)),
    uint8Array({ maxLength: 12 }),
  )
  assert(
    property(
      array(bytes, { maxLength: 24 }),
      constantFrom(CHAT, RESPONSES, MESSAGES, GEMINI, OLLAMA),
      integer({ min: 1, max: 400 }),
      constantFrom('identity', 'gzip', 'br', 'zstd', 'deflate'),
      (chunks, api, bytesMax, coding) => {
        readAnswer(api, chunks, { bytesMax, headers: ['content-encoding', coding] })
      },
    ),
    { numRuns: 2000 },
  )
  const deep = `{"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":${'['.repeat(10_000)}${']'.repeat(10_000)}}}]}}]}`
  const request = readModelRequest(CHAT, Buffer.from('{"model":"m","messages":[]}'), {
    strict: true,
  })
  const keeper = makeKeeper({ bytesMax: 1000, mask: (each) => each })
  const fields = modelFields(request!, readAnswer(CHAT, [Buffer.from(deep)], { bytesMax: 1e6 }), {
    keeper,
    mode: 'redacted',
  })
  t.equal(fields.content?.output?.truncated, true)
  t.ok(JSON.stringify(fields).length < 10_000)
  const lists = `{"choices":[${'[],'.repeat(100_000)}1]}`
  t.equal(readAnswer(CHAT, [Buffer.from(lists)], { bytesMax: 1e6 }).unread, 'too-large')
  t.end()
})

void t.test('one byte at a time, a long event takes time that is linear in its length', (t) => {
  const text = events({ choices: [{ index: 0, delta: { content: 'z'.repeat(200_000) } }] })
  const answer = new ModelAnswer(CHAT, { status: 200, headers: [] }, 2_000_000)
  for (const byte of Buffer.from(text)) answer.push(Uint8Array.of(byte))
  t.equal(answer.end().isCut, false)
  t.end()
})

void t.test('each mode keeps of a conversation what it says', (t) => {
  const key = `ghp_${'a1B2'.repeat(9)}`
  const body = {
    model: 'm',
    messages: [{ role: 'user', content: `use ${key}` }],
    tools: [{ type: 'web_search' }],
  }
  const request = readModelRequest(CHAT, Buffer.from(JSON.stringify(body)), { strict: false })!
  const answer = readText(
    CHAT,
    JSON.stringify({ choices: [{ message: { content: `done, ${key}` } }] }),
  )
  const keeper = makeKeeper({ bytesMax: 1000, mask: (each) => each })
  const off = modelFields(request, answer, { keeper, mode: 'off' })
  t.strictSame(off.content, { server_tools: ['web_search'] })
  const digest = modelFields(request, answer, { keeper, mode: 'digest' })
  t.match(digest.content, { input: { digest: /^sha256:[0-9a-f]{64}$/ }, output: { bytes: Number } })
  t.notMatch(JSON.stringify(digest), 'ghp_')
  const redacted = modelFields(request, answer, { keeper, mode: 'redacted' })
  t.match(redacted.gen_ai?.input?.messages, [{ parts: [{ content: 'use [secret:github-token]' }] }])
  t.match(redacted.gen_ai?.output?.messages, [
    { parts: [{ content: 'done, [secret:github-token]' }] },
  ])
  t.strictSame(redacted.content?.input, digest.content?.input)
  const full = modelFields(request, undefined, { keeper, mode: 'full' })
  t.match(full.gen_ai?.input?.messages, [{ parts: [{ content: `use ${key}` }] }])
  t.equal(full.gen_ai?.output, undefined)
  t.end()
})

void t.test(
  'a question that could not be read says so where its path tells that it is one',
  (t) => {
    t.match(unreadModelFields(GEMINI, 'encoded'), {
      gen_ai: { operation: { name: 'generate_content' }, request: { model: 'g' } },
      content: { unread: 'encoded' },
    })
    const json = ['content-type', 'application/json']
    const api = recogniseModelApi({ method: 'POST', host: 'x.test', path: '/x', headers: json })
    t.strictSame(api && unreadModelFields(api, 'encoded'), {})
    t.end()
  },
)
