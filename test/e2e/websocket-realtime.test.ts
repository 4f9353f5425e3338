// The realtime API of models over a WebSocket, with the SDK of OpenAI on one side: what is said in a session is on record as
// any question to a model is, and nothing of it is changed, also where it cannot be read.

import OpenAI from 'openai'
import { OpenAIRealtimeWS } from 'openai/realtime/ws'
import t from 'tap'
import { WebSocket, WebSocketServer, type RawData } from 'ws'

import { ruleSet, scenario, startSecure, type Scenario } from '../fixtures/scenario.ts'

const MODEL = 'gpt-realtime'
const TOKEN = `ghp_${'a1B2c3D4e5F6'.repeat(3)}`

const RESPONSE = {
  object: 'realtime.response',
  id: 'resp_2',
  status: 'completed',
  status_details: null,
  output: [
    {
      id: 'item_2',
      type: 'message',
      role: 'assistant',
      content: [{ type: 'output_audio', transcript: 'I will look.', audio: 'AAAA' }],
    },
    {
      id: 'item_3',
      type: 'function_call',
      call_id: 'call_1',
      name: 'get_invoice',
      arguments: '{"id":"PAY-1"}',
    },
  ],
  usage: { total_tokens: 30, input_tokens: 20, output_tokens: 10 },
}

const secure = await startSecure(['model.test'])
const extensions: (string | undefined)[] = []
const sockets = new WebSocketServer({
  server: secure.server,
  perMessageDeflate: { threshold: 0 },
})
sockets.on('connection', (peer, incoming) => {
  extensions.push(incoming.headers['sec-websocket-extensions'])
  peer.on('error', () => undefined)
  const say = (event: object): void => peer.send(JSON.stringify(event))
  say({
    type: 'session.created',
    event_id: 'e1',
    session: { id: 'sess_1', model: `${MODEL}-2025` },
  })
  peer.on('message', (data: Buffer) => {
    const event: { type: string } = JSON.parse(data.toString())
    if (event.type !== 'response.create') return
    for (let at = 0; at < 20; at += 1)
      say({ type: 'response.output_audio.delta', response_id: 'resp_1', delta: 'A'.repeat(4000) })
    const first = { ...RESPONSE, id: 'resp_1', output: [], status: 'cancelled' }
    say({
      type: 'response.done',
      response: { ...first, status_details: { type: 'cancelled', reason: 'turn_detected' } },
    })
    // In pieces, as a server may send it.
    const text = JSON.stringify({ type: 'response.done', response: RESPONSE })
    peer.send(text.slice(0, 50), { fin: false })
    peer.send(text.slice(50), { fin: true })
  })
})
t.teardown(() => secure.close())
const host = `model.test:${secure.port}`

const options = (record: string): Parameters<typeof scenario>[2] => ({
  hosts: ['model.test'],
  ...(record !== '' && { config: `record: { ${record} }` }),
  rules: ruleSet(`id: model, allow: 'wss://${host}', addresses: [127.0.0.0/8]`),
})

/** One session of the SDK: a question with a tool's result, and the answer. */
async function talk(cx: Scenario): Promise<string[]> {
  const tunnel = await cx.secure(host)
  tunnel.resume()
  const client = new OpenAI({ apiKey: 'sk-of-the-sandbox', baseURL: `https://${host}/v1` })
  const session = new OpenAIRealtimeWS(
    { model: MODEL, options: { createConnection: () => tunnel } },
    client,
  )
  const seen: string[] = []
  const done = new Promise<void>((resolve, reject) => {
    session.on('error', reject)
    session.on('event', (event) => {
      seen.push(event.type)
      if (event.type === 'response.done' && event.response.id === 'resp_2') resolve()
    })
  })
  await new Promise((resolve) => session.socket.once('open', resolve))
  session.send({
    type: 'session.update',
    session: { type: 'realtime', instructions: 'Be brief.', max_output_tokens: 200 },
  })
  session.send({
    type: 'conversation.item.create',
    item: {
      type: 'message',
      role: 'user',
      content: [{ type: 'input_text', text: `Pay it with ${TOKEN}` }],
    },
  })
  session.send({
    type: 'conversation.item.create',
    item: { type: 'function_call_output', call_id: 'call_0', output: 'paid' },
  })
  session.send({ type: 'response.create' })
  await done
  const closed = new Promise((resolve) => session.socket.once('close', resolve))
  session.close()
  await closed
  return seen
}

scenario(
  t,
  'R41: a session of the SDK is on record with model, session, answers, tokens, tools and reasons',
  options(''),
  async (cx, t) => {
    const seen = await talk(cx)
    t.equal(seen.filter((type) => type === 'response.output_audio.delta').length, 20)
    const record = await cx.record(({ url }) => url?.path === '/v1/realtime')
    t.match(record, {
      event: { reason: 'allowed' },
      http: { response: { status_code: 101 } },
      gen_ai: {
        operation: { name: 'chat' },
        provider: { name: 'openai' },
        conversation: { id: 'sess_1' },
        request: { model: MODEL, max_tokens: 200, stream: true },
        response: {
          id: 'resp_2',
          model: `${MODEL}-2025`,
          finish_reasons: ['turn_detected', 'completed'],
        },
        usage: { input_tokens: 40, output_tokens: 20 },
      },
      sallyport: {
        call: { kind: 'upgrade' },
        content: {
          input: { digest: /^sha256:/ },
          output: { digest: /^sha256:/ },
          tool_calls: ['get_invoice'],
          tool_results: 1,
          responses: ['resp_1', 'resp_2'],
        },
      },
    })
    t.equal(record.gen_ai?.input, undefined, 'by default a digest of what was said is kept')
    t.equal(record.sallyport.content?.unread, undefined)
  },
)

scenario(
  t,
  'what was said is kept as the configuration says, without what looks like a secret',
  options('prompts: redacted'),
  async (cx, t) => {
    await talk(cx)
    const { gen_ai: model } = await cx.record(({ url }) => url?.path === '/v1/realtime')
    t.match(model?.input?.messages, [
      { role: 'system', parts: [{ content: 'Be brief.' }] },
      { role: 'user', parts: [{ content: /^Pay it with \[/ }] },
      { role: 'tool', parts: [{ type: 'tool_call_response', result: 'paid' }] },
    ])
    t.match(model?.output?.messages, [
      { role: 'assistant', parts: [{ type: 'text', content: 'I will look.' }] },
      { parts: [{ type: 'tool_call', name: 'get_invoice', arguments: { id: 'PAY-1' } }] },
    ])
    t.notMatch(JSON.stringify(model), TOKEN)
  },
)

scenario(t, 'nothing is kept where nothing is to be', options('prompts: off'), async (cx, t) => {
  await talk(cx)
  const { sallyport, gen_ai: model } = await cx.record(({ url }) => url?.path === '/v1/realtime')
  t.equal(sallyport.content?.input, undefined)
  t.equal(model?.usage?.input_tokens, 40)
})

scenario(
  t,
  'compression is not offered for a session that is read, and is for any other',
  options(''),
  async (cx, t) => {
    for (const path of ['/v1/realtime?model=m', '/other']) {
      const tunnel = await cx.secure(host)
      tunnel.resume()
      const client = new WebSocket(`wss://${host}${path}`, { createConnection: () => tunnel })
      await new Promise((resolve, reject) => client.once('message', resolve).once('error', reject))
      t.equal(extensions.at(-1) === undefined, path !== '/other', path)
      t.equal(client.extensions.includes('permessage-deflate'), path === '/other')
      client.close()
      await new Promise((resolve) => client.once('close', resolve))
    }
    const other = await cx.record(({ url }) => url?.path === '/other')
    t.equal(other.gen_ai, undefined)
  },
)

/** A session of which the first event has come. */
async function openSession(cx: Scenario): Promise<WebSocket> {
  const tunnel = await cx.secure(host)
  tunnel.resume()
  const client = new WebSocket(`wss://${host}/v1/realtime?model=m`, {
    createConnection: () => tunnel,
  })
  await new Promise((resolve, reject) => client.once('message', resolve).once('error', reject))
  return client
}

scenario(
  t,
  'what cannot be read passes as it is, and the record says that it was not read',
  options(''),
  async (cx, t) => {
    const client = await openSession(cx)
    const back: RawData[] = []
    sockets.clients.forEach((peer) => peer.on('message', (data) => back.push(data)))
    client.send(Buffer.from([0xc3, 0x28]), { binary: false })
    const code = await new Promise((resolve) => client.once('close', resolve))
    t.equal(code, 1007, 'the other end judges it')
    t.match(await cx.record(({ url }) => url?.path === '/v1/realtime'), {
      gen_ai: { request: { model: 'm' }, conversation: { id: 'sess_1' } },
      sallyport: { content: { unread: 'malformed' } },
    })
  },
)

scenario(
  t,
  'the end of its task cuts a session, and what was said is on record',
  options(''),
  async (cx, t) => {
    const client = await openSession(cx)
    const closed = new Promise((resolve) => client.once('close', resolve))
    const { id } = cx.records().find(({ event }) => event.action === 'task-created')!.sallyport
      .task!
    t.equal(cx.run('task', 'revoke', id, '--reason', 'over').status, 0)
    t.equal(await closed, 1006)
    t.match(await cx.record(({ url }) => url?.path === '/v1/realtime'), {
      event: { reason: 'task-ended-midway' },
      gen_ai: { conversation: { id: 'sess_1' } },
    })
  },
)
