// Questions to models: which calls are some, what rules see of them, and every way to say one thing to us and another to
// the provider.

import { Buffer } from 'node:buffer'

import t from 'tap'

import { EgressError } from '../../../src/errors.ts'
import type { JsonValue } from '../../../src/inspect/fields.ts'
import { makeKeeper } from '../../../src/inspect/keep.ts'
import { recogniseModelApi, type ModelApi } from '../../../src/inspect/model/api.ts'
import { readModelRequest, type ModelRequest } from '../../../src/inspect/model/request.ts'

const JSON_TYPE = ['Content-Type', 'application/json']

function recognise(
  host: string,
  path: string,
  headers: readonly string[] = JSON_TYPE,
): ModelApi | undefined {
  return recogniseModelApi({ method: 'POST', host, path, headers })
}

function apiAt(host: string, path: string, headers?: readonly string[]): ModelApi {
  const api = recognise(host, path, headers)
  if (!api) throw new Error(`not recognised: ${host}${path}`)
  return api
}

const CHAT = apiAt('api.openai.com', '/v1/chat/completions')
const RESPONSES = apiAt('api.openai.com', '/v1/responses')
const MESSAGES = apiAt('api.anthropic.com', '/v1/messages')
const GEMINI = apiAt('generativelanguage.googleapis.com', '/v1beta/models/g-pro:generateContent')
const OLLAMA = apiAt('ollama.test', '/api/chat')

function read(api: ModelApi, body: JsonValue | string, strict = true): ModelRequest | undefined {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return readModelRequest(api, Buffer.from(text), { strict })
}

function toolsOf(api: ModelApi, body: JsonValue): readonly string[] | undefined {
  return read(api, body)?.subject.serverTools
}

function refusalOf(api: ModelApi, body: JsonValue | string): string {
  try {
    read(api, body)
    return 'read'
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    return `${error.reason} ${error.detail['why']}`
  }
}

const user = (content: JsonValue): JsonValue => [{ role: 'user', content }]

void t.test('an endpoint is recognised by its path, at any host', (t) => {
  const rows: readonly (readonly [string, string, string, string, string])[] = [
    ['api.openai.com', '/v1/chat/completions', 'openai', 'chat', 'openai'],
    ['api.openai.com', '/v1/responses', 'openai', 'responses', 'openai'],
    ['api.openai.com', '/v1/responses/compact', 'openai', 'responses', 'openai'],
    ['api.openai.com', '/v1/responses/input_tokens', 'openai', 'responses-count', 'openai'],
    ['api.openai.com', '/v1/completions', 'openai', 'completions', 'openai'],
    ['api.openai.com', '/v1/embeddings', 'openai', 'embeddings', 'openai'],
    ['api.openai.com', '/v1/moderations', 'openai', 'moderations', 'openai'],
    ['openrouter.test', '/api/v1/chat/completions', 'openai', 'chat', 'openai'],
    ['api.groq.com', '/openai/v1/chat/completions', 'openai', 'chat', 'groq'],
    ['api.anthropic.com', '/v1/messages', 'anthropic', 'messages', 'anthropic'],
    ['api.anthropic.com', '/v1/messages/count_tokens', 'anthropic', 'messages-count', 'anthropic'],
    ['api.anthropic.com', '/v1/complete', 'anthropic', 'complete', 'anthropic'],
    ['ollama.test', '/api/chat', 'ollama', 'ollama-chat', 'ollama'],
    ['ollama.test', '/api/generate', 'ollama', 'ollama-generate', 'ollama'],
    ['ollama.test', '/api/embed', 'ollama', 'ollama-embed', 'ollama'],
    ['ollama.test', '/api/embeddings', 'ollama', 'ollama-embed', 'ollama'],
  ]
  for (const [host, path, family, endpoint, provider] of rows)
    t.match(recognise(host, path), { family, endpoint, provider, basis: 'path' }, host + path)
  t.end()
})

void t.test('a path names the model where the API has it there', (t) => {
  const google = 'generativelanguage.googleapis.com'
  t.match(recognise(google, '/v1beta/models/g-pro:streamGenerateContent'), {
    endpoint: 'generateContent',
    provider: 'gcp.gemini',
    model: 'g-pro',
    isStream: true,
  })
  t.match(recognise(google, '/v1/models/e:batchEmbedContents'), { endpoint: 'batchEmbedContents' })
  t.match(recognise(google, '/v1/models/g%3AcountTokens'), { endpoint: 'countTokens', model: 'g' })
  const vertex = 'europe-west1-aiplatform.googleapis.com'
  const project = '/v1/projects/p/locations/l/publishers'
  t.match(recognise(vertex, `${project}/google/models/g-pro:generateContent`), {
    family: 'gemini',
    provider: 'gcp.vertex_ai',
    model: 'g-pro',
  })
  t.match(recognise(vertex, `${project}/anthropic/models/c@1:streamRawPredict`), {
    family: 'anthropic',
    model: 'c@1',
    isStream: true,
  })
  t.match(
    recognise('r.openai.azure.com', '/openai/deployments/my-gpt/chat/completions', [
      'content-type',
      'application/json',
    ]),
    { family: 'openai', provider: 'azure.ai.openai', model: 'my-gpt' },
  )
  t.match(
    recognise('bedrock-runtime.eu-west-1.amazonaws.com', '/model/anthropic.claude-x/invoke'),
    { family: 'anthropic', provider: 'aws.bedrock', model: 'anthropic.claude-x' },
  )
  t.end()
})

void t.test('a path in disguise is the same endpoint', (t) => {
  for (const path of [
    '/v1/chat/completions/',
    '/v1//chat///completions//',
    '/v1/%63hat/completions',
    '/v1/chat%2Fcompletions',
    '/V1/Chat/Completions',
    '/chat/completions',
  ])
    t.match(recognise('api.openai.com', path), { endpoint: 'chat', basis: 'path' }, path)
  t.match(recognise('api.openai.com', '/v1/chat/completions', []), { basis: 'path' })
  t.match(recognise('api.openai.com', '/v1/chat/completions', ['content-type', 'text/x']), {
    basis: 'path',
  })
  t.end()
})

void t.test('a call that asks no model is surely none, or one that its body settles', (t) => {
  const head = { host: 'api.openai.com', path: '/v1/chat/completions', headers: JSON_TYPE }
  t.equal(recogniseModelApi({ ...head, method: 'GET' }), undefined)
  t.equal(recognise('up.test', '/upload', ['content-type', 'multipart/form-data']), undefined)
  t.equal(recognise('up.test', '/upload', ['content-type', 'application/jsonish']), undefined)
  t.equal(recognise('api.anthropic.com', '/v1/messages/batches'), undefined)
  t.match(recognise('discord.test', '/api/v10/channels/1/messages'), { basis: 'shape' })
  const api = apiAt('up.test', '/things')
  t.equal(read(api, { messages: [{ text: 'no role' }], model: 'm' }), undefined)
  t.equal(read(api, { jsonrpc: '2.0', method: 'tools/call', params: {} }), undefined)
  t.equal(read(api, [1, 2]), undefined)
  t.equal(read(api, '{"messages":', false), undefined)
  const log = apiAt('up.test', '/log', ['content-type', 'text/plain'])
  t.equal(read(log, 'a line of a log'), undefined)
  t.equal(refusalOf(log, '\uFEFF{"model":"m","messages":[]}'), 'malformed-body bom')
  const sms = apiAt('sms.test', '/v1/messages')
  t.equal(read(sms, { to: '+49', content: 'hi' }), undefined)
  t.match(read(sms, { model: 'm', messages: user('hi') }), { subject: { model: 'm' } })
  t.equal(read(apiAt('app.test', '/api/chat'), { messages: user('hi') }), undefined)
  t.end()
})

void t.test('a compatible server is recognised by the shape of the body', (t) => {
  const api = apiAt('llm.test', '/invoke')
  const rows: readonly (readonly [JsonValue, string, string])[] = [
    [{ model: 'm', messages: user('hi') }, 'openai', 'chat'],
    [{ model: 'm', messages: user('hi'), system: 's', max_tokens: 1 }, 'anthropic', 'messages'],
    [{ model: 'm', messages: user('hi'), options: {} }, 'ollama', 'ollama-chat'],
    [{ model: 'm', prompt: 'hi' }, 'openai', 'completions'],
    [{ model: 'm', prompt: 'hi', keep_alive: 5 }, 'ollama', 'ollama-generate'],
    [{ model: 'm', input: 'hi' }, 'openai', 'responses'],
    [{ model: 'm', input: 'hi', encoding_format: 'float' }, 'openai', 'embeddings'],
    [{ contents: [{ parts: [{ text: 'hi' }] }] }, 'gemini', 'generateContent'],
  ]
  for (const [body, family, endpoint] of rows)
    t.match(read(api, body)?.api, { family, endpoint, basis: 'shape' }, JSON.stringify(body))
  const anthropic = apiAt('llm.test', '/invoke', [...JSON_TYPE, 'anthropic-version', '2023-06-01'])
  t.match(read(anthropic, { model: 'm', messages: user('hi') })?.api, { family: 'anthropic' })
  t.end()
})

void t.test('a question at an unknown path of a provider’s own host cannot be judged', (t) => {
  const api = apiAt('api.openai.com', '/v1/somewhere')
  const body = { model: 'm', messages: user('hi') }
  t.equal(refusalOf(api, body), 'malformed-body endpoint')
  t.match(read(api, body, false)?.subject, { model: 'm' }, 'it is recorded all the same')
  t.equal(refusalOf(CHAT, body), 'read')
  t.match(refusalOf(api, { assistant_id: 'a' }), /^protocol-not-allowed/, 'whose model is stored')
  t.equal(read(api, { assistant_id: 'a' }, false), undefined)
  t.equal(read(apiAt('up.test', '/v1/somewhere'), { assistant_id: 'a' }), undefined)
  t.end()
})

void t.test('the most tokens of output are those of all choices together', (t) => {
  const rows: readonly (readonly [ModelApi, { [key: string]: JsonValue }, number | undefined])[] = [
    [CHAT, { max_tokens: 10 }, 10],
    [CHAT, { max_completion_tokens: 20 }, 20],
    [CHAT, { max_tokens: 10, max_completion_tokens: 20 }, 20],
    [CHAT, { max_tokens: 10, n: 3 }, 30],
    [CHAT, {}, undefined],
    [CHAT, { max_tokens: null, n: null }, undefined],
    [CHAT, { max_tokens: -1 }, undefined],
    [CHAT, { max_tokens: 0 }, undefined],
    [RESPONSES, { max_output_tokens: 5 }, 5],
    [RESPONSES, { max_tokens: 5 }, undefined],
    [apiAt('x.test', '/v1/completions'), { max_tokens: 5, n: 2, best_of: 4 }, 20],
    [apiAt('x.test', '/v1/chat/completions'), { max_tokens: 5, n: 2, best_of: 4 }, 20],
    [apiAt('x.test', '/v1/completions'), { max_tokens: 5, prompt: ['a', 'b'] }, 10],
    [apiAt('x.test', '/v1/completions'), { max_tokens: 5, prompt: [1, 2] }, 5],
    [MESSAGES, { max_tokens: 7 }, 7],
    [MESSAGES, { max_tokens: 7, fallbacks: [{ model: 'm', max_tokens: 9 }] }, 9],
    [apiAt('api.anthropic.com', '/v1/complete'), { max_tokens_to_sample: 8 }, 8],
    [GEMINI, { generationConfig: { maxOutputTokens: 6, candidateCount: 2 } }, 12],
    [GEMINI, { generation_config: { max_output_tokens: 6 } }, 6],
    [OLLAMA, { options: { num_predict: 4 } }, 4],
    [OLLAMA, { options: { num_predict: -2 } }, undefined],
  ]
  for (const [api, body, tokens] of rows) {
    const model = api === GEMINI ? 'g-pro' : 'm'
    const request = read(api, { model, messages: user('hi'), ...body })
    t.equal(request?.subject.maxTokens, tokens, JSON.stringify(body))
    t.equal(request?.subject.model, model)
  }
  for (const value of ['9', [9], {}, true])
    t.equal(
      refusalOf(CHAT, { model: 'm', messages: [], max_tokens: value }),
      'malformed-body tokens',
    )
  for (const value of ['2', 0, -1, {}])
    t.equal(refusalOf(CHAT, { model: 'm', messages: [], n: value }), 'malformed-body choices')
  t.end()
})

void t.test('what makes no output says so', (t) => {
  const rows: readonly (readonly [string, string, string, boolean])[] = [
    ['api.openai.com', '/v1/embeddings', 'embeddings', false],
    ['api.openai.com', '/v1/moderations', 'moderation', false],
    ['api.anthropic.com', '/v1/messages/count_tokens', 'count_tokens', false],
    ['api.openai.com', '/v1/responses', 'chat', true],
    ['api.openai.com', '/v1/completions', 'text_completion', true],
    ['ollama.test', '/api/embed', 'embeddings', false],
  ]
  for (const [host, path, operation, hasOutput] of rows)
    t.match(read(apiAt(host, path), { model: 'm', input: 'x' })?.subject, { operation, hasOutput })
  t.match(read(GEMINI, { contents: [] })?.subject, { operation: 'generate_content' })
  t.end()
})

void t.test('what the provider would run by itself is named', (t) => {
  const base = { model: 'm', messages: user('hi') }
  t.strictSame(toolsOf(CHAT, base), [])
  t.strictSame(toolsOf(CHAT, { ...base, web_search_options: {} }), ['web_search_options'])
  t.strictSame(toolsOf(CHAT, { ...base, plugins: [{ id: 'web' }] }), ['plugins'])
  t.strictSame(toolsOf(CHAT, { ...base, enable_search: true, search_mode: null }), [
    'enable_search',
  ])
  t.strictSame(toolsOf(CHAT, { ...base, model: 'gpt-4o-search-preview' }), ['search_model'])
  t.strictSame(toolsOf(CHAT, { ...base, model: 'a/b:online' }), ['online'])
  t.strictSame(toolsOf(CHAT, { ...base, model: 'a/b:Online:free' }), ['online'])
  t.strictSame(
    toolsOf(CHAT, { ...base, tools: [{ type: 'function', function: { name: 'web_search' } }] }),
    [],
    'a tool of the client may have any name',
  )
  t.strictSame(
    toolsOf(RESPONSES, {
      model: 'm',
      input: [
        { type: 'additional_tools', role: 'developer', tools: [{ type: 'code_interpreter' }] },
        { type: 'tool_search_output', tools: [{ type: 'image_generation' }] },
        { type: 'mcp_list_tools', server_label: 's', tools: [{ name: 'x', input_schema: {} }] },
      ],
      tools: [
        { type: 'mcp', server_label: 's', server_url: 'https://mcp.test' },
        { type: 'namespace', name: 'n', tools: [{ type: 'web_search' }, { type: 'function' }] },
      ],
    }),
    ['code_interpreter', 'image_generation', 'mcp', 'web_search'],
  )
  t.strictSame(
    toolsOf(MESSAGES, {
      model: 'm',
      max_tokens: 1,
      messages: [
        {
          role: 'user',
          content: [
            {
              type: 'tool_addition',
              tool: {
                type: 'tool_definition',
                definition: { type: 'web_fetch_20250910', name: 'web_fetch' },
              },
            },
          ],
        },
      ],
      tools: [
        { name: 'mine', input_schema: { type: 'object' } },
        { type: 'web_search_20250305', name: 'web_search' },
      ],
      mcp_servers: [{ type: 'url', url: 'https://mcp.test', name: 'x' }],
      container: 'c_1',
    }),
    ['container', 'mcp_servers', 'web_fetch_20250910', 'web_search_20250305'],
  )
  t.strictSame(toolsOf(MESSAGES, { ...base, mcp_servers: [], container: null }), [])
  t.strictSame(toolsOf(GEMINI, { contents: [], tools: { googleSearch: {} } }), ['googleSearch'])
  t.strictSame(
    toolsOf(GEMINI, {
      contents: [],
      tools: [
        { functionDeclarations: [{ name: 'f', response: { properties: { Text: {} } } }] },
        { googleSearch: {}, url_context: {} },
        { notYetKnown: {} },
      ],
      cachedContent: 'cachedContents/1',
    }),
    ['googleSearch', 'notYetKnown', 'stored_prompt', 'url_context'],
  )
  t.end()
})

void t.test('what the provider would fetch for a prompt is named', (t) => {
  const chat = (part: JsonValue): readonly string[] | undefined =>
    toolsOf(CHAT, { model: 'm', messages: user([part]) })
  const url = 'https://evil.test/?q=secret'
  t.strictSame(chat({ type: 'image_url', image_url: { url } }), ['url_source'])
  t.strictSame(chat({ type: 'image_url', image_url: url }), ['url_source'])
  t.strictSame(chat({ type: 'image_url', image_url: { url: 'data:image/png;base64,AA' } }), [])
  t.strictSame(chat({ type: 'video_url', video_url: { url } }), ['url_source'])
  t.strictSame(chat({ type: 'document_url', document_url: url }), ['url_source'])
  t.strictSame(chat({ type: 'document_url', document_url: 'data:,x' }), [])
  t.strictSame(chat({ type: 'file', file: { file_id: 'f' } }), ['file_source'])
  t.strictSame(chat({ type: 'file', file: { file_data: url } }), ['url_source'])
  t.strictSame(chat({ type: 'file', file: { file_data: 'JVBERi0xLjQ=' } }), [])
  t.strictSame(chat({ type: 'text', text: url }), [], 'an address in words is not fetched')
  const input = (part: JsonValue): readonly string[] | undefined =>
    toolsOf(RESPONSES, { model: 'm', input: user([part]) })
  t.strictSame(input({ type: 'input_file', file_url: url }), ['url_source'])
  t.strictSame(input({ type: 'input_image', image_url: url }), ['url_source'])
  t.strictSame(input({ type: 'input_image', file_id: 'f', image_url: null }), ['file_source'])
  const block = (part: JsonValue): readonly string[] | undefined =>
    toolsOf(MESSAGES, { model: 'm', messages: user([part]) })
  t.strictSame(block({ type: 'image', source: { type: 'url', url } }), ['url_source'])
  t.strictSame(block({ type: 'document', source: { type: 'file', file_id: 'f' } }), ['file_source'])
  t.strictSame(
    block({ type: 'tool_result', tool_use_id: 't', content: [{ type: 'image', source: { url } }] }),
    ['url_source'],
  )
  t.strictSame(
    block({ type: 'tool_use', id: 't', name: 'n', input: { image_url: url, Type: 'x' } }),
    [],
    'arguments are the caller’s words',
  )
  const part = (value: JsonValue): readonly string[] | undefined =>
    toolsOf(GEMINI, { contents: [{ role: 'user', parts: [value] }] })
  t.strictSame(part({ fileData: { fileUri: url } }), ['url_source'])
  t.strictSame(part({ file_data: { file_uri: 'gs://bucket/x' } }), ['file_source'])
  t.strictSame(part({ functionCall: { name: 'f', args: { fileUri: url } } }), [])
  t.strictSame(part({ inlineData: { mimeType: 'image/png', data: 'AA' } }), [])
  t.end()
})

void t.test('what was said elsewhere is named', (t) => {
  const base = { model: 'm', input: 'hi' }
  t.strictSame(toolsOf(RESPONSES, { ...base, prompt: { id: 'p' } }), ['stored_prompt'])
  t.strictSame(toolsOf(RESPONSES, { ...base, previous_response_id: 'r' }), ['stored_state'])
  t.strictSame(toolsOf(RESPONSES, { ...base, background: true }), ['stored_state'])
  t.strictSame(toolsOf(RESPONSES, { ...base, background: false, conversation: null }), [])
  const item = (value: JsonValue): readonly string[] | undefined =>
    toolsOf(RESPONSES, { model: 'm', input: [value] })
  t.strictSame(item({ type: 'item_reference', id: 'i' }), ['stored_state'])
  t.strictSame(item({ id: 'i' }), ['stored_state'], 'the type may be left out')
  t.strictSame(item({ id: 'i', type: null }), ['stored_state'])
  t.strictSame(item({ id: 'i', role: 'assistant', content: 'hi' }), [])
  t.strictSame(item({ type: 'image_generation_call', id: 'i' }), ['stored_state'])
  t.strictSame(item({ type: 'image_generation_call', id: 'i', result: 'AA' }), [])
  const said = (audio: JsonValue): readonly string[] | undefined =>
    toolsOf(CHAT, { model: 'm', messages: [{ role: 'assistant', audio }] })
  t.strictSame(said({ id: 'audio_1' }), ['stored_state'])
  t.strictSame(said(null), [])
  t.end()
})

void t.test('names that an upstream may read otherwise are refused where a rule looks', (t) => {
  const text = (members: string): string => `{"model":"m","messages":[],${members}}`
  const rows: readonly (readonly [ModelApi, string, string])[] = [
    [CHAT, text('"Model":"x"'), 'malformed-body spelling'],
    [CHAT, text('"MAX_TOKENS":9'), 'malformed-body spelling'],
    [CHAT, text('"meſſages":[]'), 'malformed-body spelling'],
    [CHAT, text('"too\\u212As":1,"toolS":[]'), 'malformed-body spelling'],
    [CHAT, text('"tools":[{"Type":"web_search","type":"function"}]'), 'malformed-body spelling'],
    [CHAT, text('"x":1,"X":2'), 'malformed-body twins'],
    [CHAT, text('"model":"other"'), 'malformed-body duplicate key'],
    [CHAT, text('"mode\\u006c":"other"'), 'malformed-body duplicate key'],
    [CHAT, `\uFEFF${text('"n":1')}`, 'malformed-body bom'],
    [CHAT, text('"n":1') + text('"n":1'), 'malformed-body trailing'],
    [CHAT, text('"tool\\u0073":[{"type":"f\\u0075nction"}]'), 'read'],
    [CHAT, text('"metadata":{"Model":"x"}'), 'read'],
    [CHAT, text('"tools":[{"type":"function","function":{"parameters":{"Name":1}}}]'), 'read'],
    [
      GEMINI,
      '{"contents":[],"generationConfig":{"x":{"$defs":{"Name":{"properties":{"Type":{}}}}}}}',
      'read',
    ],
    [OLLAMA, text('"Options":{"num_predict":9}'), 'malformed-body spelling'],
    [OLLAMA, text('"options":{"Num_Predict":9}'), 'malformed-body spelling'],
    [GEMINI, '{"contents":[],"Tools":[]}', 'malformed-body spelling'],
    [GEMINI, '{"contents":[],"generationconfig":{}}', 'malformed-body spelling'],
    [
      GEMINI,
      '{"contents":[],"generationConfig":{},"generation_config":{}}',
      'malformed-body twins',
    ],
    [
      GEMINI,
      '{"contents":[],"generationConfig":{"maxOutputTokens":1,"max_output_tokens":9}}',
      'malformed-body twins',
    ],
    [GEMINI, '{"contents":[],"generation_config":{"maxOutputTokens":1}}', 'read'],
  ]
  for (const [api, body, expected] of rows) t.equal(refusalOf(api, body), expected, body)
  t.end()
})

void t.test('bytes that are said to be in another coding are refused where a rule looks', (t) => {
  const body = { model: 'm', messages: user('hi') }
  const rows: readonly (readonly [readonly string[], string])[] = [
    [['content-type', 'application/json; charset=utf-7'], 'malformed-body coding'],
    [['content-type', 'application/json; charset = "UTF-16"'], 'malformed-body coding'],
    [[...JSON_TYPE, 'content-type', 'application/json'], 'malformed-body coding'],
    [[...JSON_TYPE, 'Content-Encoding', 'br'], 'malformed-body coding'],
    [[...JSON_TYPE, 'Content-Encoding', 'identity'], 'read'],
    [['content-type', 'application/json; charset=UTF-8'], 'read'],
    [['content-type', 'text/plain'], 'read'],
  ]
  for (const [headers, expected] of rows) {
    const api = apiAt('api.openai.com', '/v1/chat/completions', headers)
    t.equal(refusalOf(api, body), expected, headers.join(' '))
    t.equal(read(api, body, false)?.subject.model, 'm')
  }
  t.end()
})

void t.test('a request that names two models is refused where a rule looks', (t) => {
  const base = { messages: user('hi') }
  const azure = apiAt('r.openai.azure.com', '/openai/deployments/small/chat/completions')
  const rows: readonly (readonly [ModelApi, JsonValue, string])[] = [
    [azure, { ...base, model: 'large' }, 'malformed-body models'],
    [azure, { ...base, model: 'small' }, 'read'],
    [azure, base, 'read'],
    [
      apiAt('llm.test', '/engines/small/large/chat/completions'),
      { ...base, model: 'small' },
      'malformed-body models',
    ],
    [
      apiAt('llm.test', '/engines/small/large/chat/completions'),
      { ...base, model: 'small/large' },
      'read',
    ],
    [
      apiAt('x.test', '/v1/engines/a/completions'),
      { prompt: '', model: 'b' },
      'malformed-body models',
    ],
    [GEMINI, { contents: [], model: 'models/g-max' }, 'malformed-body models'],
    [GEMINI, { contents: [], model: 'models/g-pro' }, 'read'],
    [CHAT, { ...base, model: 'a', models: ['b'] }, 'malformed-body models'],
    [CHAT, { ...base, model: 'a', models: 'b' }, 'malformed-body models'],
    [CHAT, { ...base, model: 'a', models: ['a'], fallbacks: null }, 'read'],
    [CHAT, { ...base, model: 'a', fallbacks: [{ a: ['b'] }] }, 'malformed-body model type'],
    [CHAT, { ...base, model: ['a'] }, 'malformed-body model type'],
    [MESSAGES, { ...base, model: 'a', fallbacks: [{ model: 'b' }] }, 'malformed-body models'],
    [MESSAGES, { ...base, model: 'a', fallbacks: 'default' }, 'malformed-body model type'],
    [MESSAGES, { ...base, model: 'a', fallbacks: [{ model: 'a' }] }, 'read'],
  ]
  for (const [api, body, expected] of rows)
    t.equal(refusalOf(api, body), expected, JSON.stringify(body))
  const batch = apiAt('generativelanguage.googleapis.com', '/v1/models/e:batchEmbedContents')
  t.equal(
    refusalOf(batch, { requests: [{ model: 'models/e' }, { model: 'models/f' }] }),
    'malformed-body models',
  )
  t.end()
})

void t.test('values are bounded, whether or not a rule looks', (t) => {
  const body = (count: number): string =>
    `{"model":"m","messages":[{"role":"user","content":[${'[],'.repeat(count)}"hi"]}]}`
  t.equal(refusalOf(CHAT, body(100_000)), 'body-too-large values')
  t.throws(() => read(CHAT, body(100_000), false), EgressError)
  t.equal(read(CHAT, body(1000), false)?.subject.model, 'm')
  t.equal(refusalOf(CHAT, body(1000)), 'read')
  const tokens = apiAt('api.openai.com', '/v1/embeddings')
  t.match(read(tokens, { model: 'm', input: [1, 2] })?.prompt, [
    { parts: [{ type: 'tokens', value: [1, 2] }] },
  ])
  t.end()
})

void t.test('nesting is bounded where a rule looks, and harmless where none does', (t) => {
  const depth = 10_000
  const body = `{"model":"m","messages":[{"role":"user","content":${'['.repeat(depth)}${']'.repeat(depth)}}]}`
  t.equal(refusalOf(CHAT, body), 'malformed-body depth')
  const request = read(CHAT, body, false)
  t.equal(request?.subject.model, 'm')
  t.ok(makeKeeper({ bytesMax: 100, mask: (each) => each }).keep(request?.prompt ?? [], 'redacted'))
  t.end()
})

void t.test('the same prompt has the same digest, however it is sent', (t) => {
  const keeper = makeKeeper({ bytesMax: 1000, mask: (each) => each })
  const digest = (api: ModelApi, body: JsonValue | string): string | undefined =>
    keeper.keep(read(api, body)?.prompt ?? [], 'digest')?.digest
  const system = 'Be brief.'
  const first = digest(MESSAGES, { model: 'm', system, max_tokens: 1, messages: user('hi') })
  const same: readonly (readonly [ModelApi, JsonValue | string])[] = [
    [
      MESSAGES,
      { messages: user('hi'), stream: true, temperature: 1, max_tokens: 9, system, model: 'n' },
    ],
    [
      MESSAGES,
      ` { "system" : "Be brief.", "messages" : [ { "content" : "h\\u0069", "role" : "user" } ] } `,
    ],
    [
      MESSAGES,
      {
        system: [{ type: 'text', text: system, cache_control: { type: 'ephemeral' } }],
        messages: user([{ type: 'text', text: 'hi' }]),
      },
    ],
    [
      CHAT,
      {
        model: 'm',
        messages: [
          { role: 'system', content: system },
          { role: 'user', content: 'hi' },
        ],
      },
    ],
    [RESPONSES, { model: 'm', instructions: system, input: 'hi' }],
    [
      RESPONSES,
      { model: 'm', instructions: system, input: user([{ type: 'input_text', text: 'hi' }]) },
    ],
    [
      GEMINI,
      {
        systemInstruction: { parts: [{ text: system }] },
        contents: [{ role: 'user', parts: [{ text: 'hi' }] }],
      },
    ],
    [
      OLLAMA,
      {
        model: 'm',
        messages: [
          { role: 'system', content: system },
          { role: 'user', content: 'hi' },
        ],
      },
    ],
    [apiAt('o.test', '/api/generate'), { model: 'm', system, prompt: 'hi' }],
  ]
  for (const [api, body] of same) t.equal(digest(api, body), first, JSON.stringify(body))
  for (const content of ['hi ', 'Hi', ['hi'], 'hi\n'])
    if (!Array.isArray(content))
      t.not(digest(MESSAGES, { system, messages: user(content) }), first, JSON.stringify(content))
  t.not(digest(MESSAGES, { messages: user('hi') }), first)
  const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AA' } }
  t.equal(
    digest(MESSAGES, { messages: user([{ ...image, cache_control: { type: 'ephemeral' } }]) }),
    digest(MESSAGES, { messages: user([image]) }),
  )
  t.end()
})

void t.test('results of tools are counted, whichever API brings them', (t) => {
  const rows: readonly (readonly [ModelApi, JsonValue])[] = [
    [CHAT, { model: 'm', messages: [{ role: 'tool', tool_call_id: 'c', content: 'r' }] }],
    [
      RESPONSES,
      { model: 'm', input: [{ type: 'function_call_output', call_id: 'c', output: 'r' }] },
    ],
    [
      MESSAGES,
      { model: 'm', messages: user([{ type: 'tool_result', tool_use_id: 'c', content: 'r' }]) },
    ],
    [
      MESSAGES,
      {
        model: 'm',
        messages: user([
          { type: 'tool_result', tool_use_id: 'c', content: [{ type: 'text', text: 'r' }] },
        ]),
      },
    ],
  ]
  for (const [api, body] of rows) {
    const request = read(api, body)
    t.equal(request?.toolResults, 1)
    t.strictSame(request?.prompt[0]?.parts, [{ type: 'tool_call_response', id: 'c', result: 'r' }])
  }
  const call = { functionResponse: { name: 'f', response: { ok: true } } }
  t.equal(read(GEMINI, { contents: [{ role: 'user', parts: [call, call] }] })?.toolResults, 2)
  t.end()
})

void t.test('reading for the record alone never throws', (t) => {
  for (const body of [
    '',
    'null',
    '[]',
    '{"model":7,"messages":{"a":1},"tools":"x","n":"y","max_tokens":[]}',
    '{"model":"m","messages":[null,1,"x",[],{"content":7,"tool_calls":[1,{"function":3}]}]}',
    '{"contents":[null,{"parts":[null,7,{"functionCall":{}}]}],"generationConfig":[]}',
    '{"input":[null,7,{"type":"function_call"}],"instructions":7}',
    '{"model":"m","__proto__":{"tools":[]},"toString":1,"messages":[]}',
  ])
    for (const api of [CHAT, RESPONSES, MESSAGES, GEMINI, OLLAMA, apiAt('x.test', '/x')])
      t.doesNotThrow(() => read(api, body, false), body)
  t.end()
})
