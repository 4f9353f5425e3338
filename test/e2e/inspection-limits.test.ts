// The bounds of looking inside, reached from outside: what has to be seen whole is refused beyond its bound, never cut, and
// what nobody has to see flows on however large it is.

import { spawn } from 'node:child_process'

import t from 'tap'

import {
  request,
  ruleSet,
  scenario,
  startSecure,
  until,
  type JournalRecord,
  type Scenario,
} from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const ACCEPT = 'Accept: application/json, text/event-stream'
const JSON_TYPE = 'Content-Type: application/json'
const LIMITS =
  'inspectBytesMax: 2048, tapBytesMax: 4096, messageBytesMax: 2048, recordedContentBytesMax: 256, refusedPushBytesMax: 65536'
const COMPLETION = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  model: 'gpt-5',
  choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'fine' } }],
  usage: { prompt_tokens: 5, completion_tokens: 1, total_tokens: 6 },
}

const bodies: string[] = []
const server = await startHttp({
  handler: ({ url = '' }, body) => {
    bodies.push(body.toString())
    const text = body.includes('long') ? 'x'.repeat(4000) : 'it ran'
    const result = { content: [{ type: 'text', text }] }
    const answer = url === '/mcp' ? { jsonrpc: '2.0', id: 1, result } : COMPLETION
    return { headers: ['Content-Type', 'application/json'], body: JSON.stringify(answer) }
  },
})
t.teardown(() => server.close())
const host = `up.test:${server.port}`
const url = `http://${host}`

const options = {
  hosts: ['up.test', 'git.test'],
  limits: LIMITS,
  config: 'record: { prompts: full, tools: full }',
  rules: ruleSet(
    `id: mcp, allow: '${url}/mcp', tools: ['*'], addresses: [127.0.0.0/8]`,
    `id: chat, allow: '${url}/v1/chat/completions', addresses: [127.0.0.0/8]`,
  ),
}

const callTool = (tool: string, argument: string): string =>
  JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { name: tool, arguments: { text: argument } },
  })

const ask = (words: string): string =>
  JSON.stringify({ model: 'gpt-5', messages: [{ role: 'user', content: words }] })

function post(cx: Scenario, path: string, body: string, isChunked = false): Promise<string> {
  const framed = isChunked ? `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n` : body
  const length = isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.length}`
  const head = request('POST', `${url}${path}`, host, { headers: [JSON_TYPE, ACCEPT, length] })
  return cx.raw(Buffer.from(head + framed, 'latin1'))
}

scenario(
  t,
  'inspectBytesMax: what a rule has to see whole is refused beyond it',
  options,
  async (cx, t) => {
    const before = bodies.length
    for (const isChunked of [false, true]) {
      const answer = await post(cx, '/mcp', callTool('echo', 'x'.repeat(3000)), isChunked)
      t.match(answer, /^HTTP\/1\.1 413 Sallyport: body-too-large/)
    }
    t.equal(bodies.length, before, 'nothing of it arrived')
    const body = callTool('echo', 'x'.repeat(1000))
    t.match(await post(cx, '/mcp', body, true), /it ran/)
    t.equal(bodies.at(-1), body, 'byte for byte')
  },
)

scenario(
  t,
  'messageBytesMax: a server that says more at once is not heard',
  options,
  async (cx, t) => {
    t.match(
      await post(cx, '/mcp', callTool('long', '')),
      /^HTTP\/1\.1 502 Sallyport: response-malformed/,
    )
    t.match(await post(cx, '/mcp', callTool('short', '')), /it ran/)
  },
)

scenario(
  t,
  'tapBytesMax: a longer question flows on, and its record says that it was not read',
  options,
  async (cx, t) => {
    const long = ask('y'.repeat(10_000))
    t.match(await post(cx, '/v1/chat/completions', long), /"fine"/)
    t.equal(bodies.at(-1), long, 'byte for byte')
    const unread = await cx.record(
      ({ event, sallyport }) =>
        event.action === 'call-ended' && sallyport.content?.unread === 'too-large',
    )
    t.equal(unread.gen_ai?.operation?.name, 'chat')
    t.match(await post(cx, '/v1/chat/completions', ask('hello')), /"fine"/)
    await cx.record(({ gen_ai }) => gen_ai?.usage?.input_tokens === 5)
  },
)

scenario(
  t,
  'recordedContentBytesMax: what is longer is cut on record, and says so',
  options,
  async (cx, t) => {
    await post(cx, '/v1/chat/completions', ask('z'.repeat(1000)))
    const cut = await cx.record(({ sallyport }) => sallyport.content?.input?.truncated === true)
    t.ok(JSON.stringify(cut.gen_ai?.input).length < 600)
    await post(cx, '/v1/chat/completions', ask('short'))
    const whole = await cx.record(({ gen_ai }) =>
      JSON.stringify(gen_ai?.input ?? '').includes('short'),
    )
    t.equal(whole.sallyport.content?.input?.truncated, undefined)
  },
)

const git = await startSecure(['git.test'])
t.teardown(() => git.close())

scenario(
  t,
  'refusedPushBytesMax: a refused push is read to its bound and no further',
  {
    ...options,
    rules: ruleSet(
      `id: git, allow: 'https://git.test:${git.port}', git: { repos: [a/b], push: [refs/heads/agent/*] }, addresses: [127.0.0.0/8]`,
    ),
  },
  async (cx, t) => {
    t.match(await push(cx, 1000), /ref-not-allowed/, 'in the words of git')
    // curl goes on sending what nobody reads any more until the connection is closed.
    t.match(await push(cx, 100_000_000), /ref-not-allowed|curl: \(/)
    const isRefused = ({ event }: JournalRecord): boolean => event.reason === 'ref-not-allowed'
    await until(() => cx.terminal().filter(isRefused).length === 2, 'both are on record')
  },
)

/** What curl gets for a push to a branch that is not allowed, with so many bytes behind its command. */
function push(cx: Scenario, bytes: number): Promise<string> {
  const command = `${'0'.repeat(40)} ${'1'.repeat(40)} refs/heads/main\0 report-status\n`
  const line = `${(command.length + 4).toString(16).padStart(4, '0')}${command}0000`
  const file = cx.file(`push-${bytes}`, line + 'P'.repeat(bytes))
  const type = 'Content-Type: application/x-git-receive-pack-request'
  const words = ['-sS', '-i', '-H', type, '-H', 'Expect:', '--data-binary', `@${file}`]
  const target = `https://git.test:${git.port}/a/b.git/git-receive-pack`
  return new Promise((resolve) => {
    const child = spawn('curl', [...words, target], { env: { ...process.env, ...cx.env() } })
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
    child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
    child.once('close', () => resolve(text))
  })
}
