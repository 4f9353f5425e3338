// Proves what bytes are read as where rules of several kinds look, and that what could be two things is neither.

import t from 'tap'

import { decide } from '../../../src/policy/decide.ts'
import { askAbout } from '../../../src/policy/written-call.ts'
// Loaded before it is required: the test runner's own loader cannot.
import '../../../src/inspect/graphql/read.ts'
import { readContent } from '../../../src/understand/read-content.ts'
import { MOMENT, policyOf } from '../policy/ask.ts'

const JSON_TYPE = ['Content-Type', 'application/json']
const QUESTION = { model: 'm', messages: [{ role: 'user', content: 'hi' }] }

/** `allow ID` or `deny REASON` for a call with this body. */
const verdict = (
  rules: string,
  call: string,
  body: unknown = '',
  headers: readonly string[] = JSON_TYPE,
): string => {
  const policy = policyOf(rules)
  const [method = '', target = ''] = call.split(' ')
  const question = askAbout(method, target, headers)
  if ('connect' in question) throw new Error('no call')
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  const { inspectors = [] } = decide(policy, question, MOMENT)
  const content = readContent(question, bytes, inspectors)
  const decision = decide(policy, { ...question, content }, MOMENT)
  return decision.verdict === 'allow' ? `allow ${decision.rule?.id}` : `deny ${decision.reason}`
}

const DENIES = `- { id: m, deny: 'https://a.test', models: [gpt-4*] }
- { id: g, deny: 'https://a.test', graphql: { operations: [mutation] } }
- { id: t, deny: 'https://a.test', tools: ['*delete*'] }
- { id: all, allow: 'https://a.test' }`

void t.test('R38: what could be of two kinds, of which rules look for both, is neither', (t) => {
  const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'delete_all' } }
  const wire = { query: 'mutation { wire }' }
  const read = { query: '{ me }' }
  const post = (body: unknown): string => verdict(DENIES, 'POST https://a.test/x', body)
  t.equal(post(wire), 'deny denied-by-rule')
  t.equal(post({ ...wire, ...QUESTION }), 'deny malformed-body')
  t.equal(post({ ...QUESTION, Query: wire.query }), 'deny malformed-body')
  t.equal(post({ ...call, ...QUESTION }), 'deny malformed-body')
  t.equal(post({ ...call, ...read }), 'deny malformed-body')
  t.equal(post({ ...read, ...QUESTION, model: 'gpt-4', Model: 'x' }), 'deny malformed-body')
  t.equal(post(read), 'allow all')
  t.equal(post(QUESTION), 'allow all')
  t.equal(post({ ...call, params: { name: 'list' } }), 'allow all')
  const stored = { extensions: { persistedQuery: { version: 1, sha256Hash: 'a' } } }
  t.equal(post(stored), 'deny operation-not-allowed')
  const document = verdict(DENIES, 'POST https://a.test/x', '{ me }', [
    'Content-Type',
    'application/graphql',
  ])
  t.equal(document, 'allow all')
  const stream = ['Accept', 'text/event-stream']
  const get = (query: string): string => verdict(DENIES, `GET https://a.test/x${query}`, '', stream)
  t.equal(get('?query=mutation%7Bwire%7D'), 'deny malformed-body')
  t.equal(get('?session=1'), 'allow all')
  t.end()
})

void t.test('R38: an allow of one kind is no way around an allow of another one', (t) => {
  const rules = `- { id: m, allow: 'https://a.test', models: [m] }
- { id: g, allow: 'https://a.test', graphql: { operations: [query] } }`
  const post = (body: unknown): string => verdict(rules, 'POST https://a.test/x', body)
  t.equal(post({ query: 'mutation { wire }', ...QUESTION }), 'deny malformed-body')
  t.equal(post({ query: '{ me }' }), 'allow g')
  t.equal(post(QUESTION), 'allow m')
  t.end()
})

void t.test('R38: a deny of operations leaves alone what asks nothing of GraphQL', (t) => {
  const rules = `- { id: g, deny: 'https://a.test', graphql: { operations: [mutation] } }
- { id: all, allow: 'https://a.test' }`
  t.equal(verdict(rules, 'GET https://a.test/user?page=2'), 'allow all')
  t.equal(verdict(rules, 'DELETE https://a.test/user'), 'allow all')
  t.equal(verdict(rules, 'GET https://a.test/?query=%7Bme%7D'), 'allow all')
  for (const method of ['GET', 'PUT', 'HEAD', 'POST'])
    t.match(verdict(rules, `${method} https://a.test/?query=mutation%7Bwire%7D`), /^deny/, method)
  t.end()
})

void t.test('R38: at a provider’s own host a deny of models misses no question', (t) => {
  const ask = (host: string, path: string, body: unknown, headers?: readonly string[]): string =>
    verdict(
      `- { id: m, deny: 'https://${host}', models: ['*opus*'] }
- { id: all, allow: 'https://${host}' }`,
      `POST https://${host}${path}`,
      body,
      headers,
    )
  const opus = { ...QUESTION, model: 'claude-opus', max_tokens: 1 }
  const anthropic = 'api.anthropic.com'
  t.equal(ask(anthropic, '/v1/messages', opus), 'deny denied-by-rule')
  t.equal(ask(anthropic, '/v1/messages', { ...opus, model: 'claude-haiku' }), 'allow all')
  const requests = [{ custom_id: 'a', params: opus }]
  for (const host of [anthropic, 'gateway.test'])
    t.equal(ask(host, '/v1/messages/batches', { requests }), 'deny protocol-not-allowed')
  const run = { assistant_id: 'a', model: 'opus', thread: { messages: [] } }
  t.equal(ask('api.openai.com', '/v1/threads/runs', run), 'deny protocol-not-allowed')
  const form = ['Content-Type', 'multipart/form-data; boundary=x']
  t.equal(ask('api.openai.com', '/v1/audio/x', '--x--', form), 'deny protocol-not-allowed')
  t.equal(ask('uploads.test', '/x', '--x--', form), 'allow all')
  const bedrock = 'bedrock-runtime.us-east-1.amazonaws.com'
  const converse = { messages: [{ role: 'user', content: [{ text: 'hi' }] }] }
  t.equal(ask(bedrock, '/model/anthropic.opus/converse', converse), 'deny protocol-not-allowed')
  t.end()
})

void t.test(
  'R38: a path that is two endpoints, or none to somebody, asks nothing that can be judged',
  (t) => {
    const rule = `- { id: m, allow: 'https://a.test', maxTokens: 10 }`
    const ask = (path: string, tokens = 10): string =>
      verdict(rule, `POST https://a.test${path}`, { ...QUESTION, max_tokens: tokens })
    t.equal(ask('/v1/chat/completions'), 'allow m')
    t.equal(ask('/v1//chat/completions/'), 'allow m')
    t.equal(ask('/v1/chat%2Fcompletions'), 'allow m')
    t.equal(ask('/v1//chat/completions/', 11), 'deny operation-not-allowed')
    t.equal(ask('/v1/chat/completions;%2Fembeddings', 11), 'deny malformed-body')
    t.equal(ask('/v1/responses;x'), 'deny malformed-body')
    t.end()
  },
)
