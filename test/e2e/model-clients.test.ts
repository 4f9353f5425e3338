// Models from outside: the real SDKs of OpenAI and Anthropic against servers that speak their protocols, through the real
// program. What is recorded is compared with what was sent; streams flow on untouched; rules bind what may be asked.

import t, { type Test } from 'tap'

import { DIALECTS, openModels, type ModelClients } from '../fixtures/model-client.ts'
import { COMPLETION, MISSING_MODEL, TOOL_CALL, USAGE } from '../fixtures/model-protocols.ts'
import { startModel } from '../fixtures/model-upstream.ts'
import {
  pki,
  ruleSet,
  scenario,
  until,
  type JournalRecord,
  type Scenario,
  type ScenarioOptions,
} from '../fixtures/scenario.ts'

const model = await startModel(pki.issue({ names: ['model.test'] }))
t.teardown(() => model.close())
const host = `model.test:${model.port}`
const SPOKEN = COMPLETION.join('')
const DIGEST = /^sha256:[0-9a-f]{64}$/
const GITHUB_TOKEN = `ghp_${'a1B2c3D4e5F6'.repeat(3)}`

const rules = (keys = ''): Record<string, string> =>
  ruleSet(
    `id: model, allow: 'https://${host}', ${keys === '' ? '' : `${keys}, `}addresses: [127.0.0.0/8]`,
  )

/** A scenario with the SDKs. @param more of its options */
function ask(
  title: string,
  more: Partial<ScenarioOptions>,
  body: (cx: Scenario, t: Test, clients: ModelClients) => Promise<void>,
): void {
  scenario(t, title, { hosts: ['model.test'], rules: rules(), ...more }, async (cx, t) => {
    const clients = openModels(cx, host)
    try {
      await body(cx, t, clients)
    } finally {
      await clients.close()
    }
  })
}

const isAsked = ({ url, event }: JournalRecord): boolean =>
  event.action === 'call-ended' && url !== undefined && url.path !== '/'

/** The records of questions, once there are so many. */
async function asked(cx: Scenario, count: number): Promise<JournalRecord[]> {
  const all = (): JournalRecord[] => cx.terminal().filter(isAsked)
  await until(() => all().length >= count, `${count} questions are on record:\n${cx.summary()}`)
  return all()
}

/** The answers whose digest was recorded, so that two can be compared. */
const outputOf = ({ sallyport }: JournalRecord): unknown => sallyport.content?.output?.digest

for (const dialect of DIALECTS) {
  ask(
    `${dialect.name}: the SDK works as if nothing stood between, whole and streamed, with tools and with errors`,
    {},
    async (_cx, t, clients) => {
      const before = model.exchanges.length
      const body = dialect.question('What is to be paid?')
      t.match(JSON.stringify(await dialect.ask(clients, body)), SPOKEN)
      const events = await dialect.stream(clients, body)
      for (const piece of COMPLETION) t.match(JSON.stringify(events), piece)
      const withTool = dialect.question('Read PAY-1.', { tools: [dialect.ownTool] })
      t.match(JSON.stringify(await dialect.ask(clients, withTool)), TOOL_CALL.id)
      await t.rejects(
        dialect.ask(clients, dialect.question('What?', { model: MISSING_MODEL })),
        { status: 404, message: /does not exist/ },
        'an error of the provider is the provider’s own',
      )
      t.strictSame(model.exchanges[before]?.asked, body, 'the question arrives as it was asked')
      t.equal(model.exchanges.length - before, 4)
    },
  )

  ask(
    `R52: ${dialect.name}: what is recorded is what was sent, whole and streamed`,
    { config: 'record: { prompts: full }' },
    async (cx, t, clients) => {
      const body = dialect.question('What is to be paid?', { temperature: 0.5 })
      await dialect.ask(clients, body)
      await dialect.stream(clients, body)
      const records = await asked(cx, 2)
      for (const [at, record] of records.entries()) {
        t.match(record, {
          event: { outcome: 'success', reason: 'allowed' },
          gen_ai: {
            operation: { name: 'chat' },
            provider: { name: dialect.provider },
            request: { model: dialect.model, max_tokens: 100 },
            response: {
              id: 'answer_1',
              model: `${dialect.model}-2026`,
              finish_reasons: [dialect.ends.stop],
            },
            usage: { input_tokens: USAGE.input, output_tokens: USAGE.output },
          },
          sallyport: { content: { input: { digest: DIGEST }, output: { digest: DIGEST } } },
        })
        t.equal(record.gen_ai?.request?.stream === true, at === 1)
        t.match(JSON.stringify(record.gen_ai?.input?.messages), 'What is to be paid?')
        t.match(JSON.stringify(record.gen_ai?.output?.messages), SPOKEN)
      }
      t.equal(outputOf(records[0]!), outputOf(records[1]!), 'streamed, the same was said')
      t.equal(
        records[0]!.sallyport.content?.input?.digest,
        records[1]!.sallyport.content?.input?.digest,
        'and asked',
      )
    },
  )

  ask(
    `R52: ${dialect.name}: tools that the model asks for and results that it is given are on record`,
    {},
    async (cx, t, clients) => {
      const question = dialect.question('Read PAY-1.', { tools: [dialect.ownTool] })
      await dialect.ask(clients, question)
      await dialect.stream(clients, question)
      const answered = dialect.question('Read PAY-1.', {
        tools: [dialect.ownTool],
        ...withResult(dialect.path),
      })
      await dialect.ask(clients, answered)
      const records = await asked(cx, 3)
      for (const record of records.slice(0, 2)) {
        t.strictSame(record.sallyport.content?.tool_calls, ['get_issue'])
        t.strictSame(record.gen_ai?.response?.finish_reasons, [dialect.ends.tool])
        t.match(outputOf(record), DIGEST)
      }
      t.equal(outputOf(records[0]!), outputOf(records[1]!))
      t.equal(records[2]?.sallyport.content?.tool_results, 1)
      t.equal(records[2]?.sallyport.content?.tool_calls, undefined)
    },
  )

  ask(
    `R52: ${dialect.name}: an error of the provider is on record as one`,
    {},
    async (cx, t, clients) => {
      const body = dialect.question('What?', { model: MISSING_MODEL })
      await t.rejects(dialect.ask(clients, body), /404/)
      await t.rejects(dialect.stream(clients, body), /404/)
      for (const record of await asked(cx, 2))
        t.match(record, {
          http: { response: { status_code: 404 } },
          gen_ai: { request: { model: MISSING_MODEL } },
          error: { type: /not_found/ },
        })
    },
  )

  ask(
    `R52: ${dialect.name}: a stream flows on as it comes, byte for byte, while it is read for the record`,
    { rules: rules('models: [gpt-*, claude-*]') },
    async (cx, t, clients) => {
      const release = model.hold()
      const body = JSON.stringify({ ...dialect.question('What?'), stream: true })
      const response = await clients.post(dialect.path, body)
      const reader = response.body!.getReader()
      const decoder = new TextDecoder()
      let text = ''
      // The last piece is held by the server until the first has arrived at the client.
      while (!text.includes(COMPLETION[0]!)) {
        const { value, done } = await reader.read()
        if (done) break
        text += decoder.decode(value, { stream: true })
      }
      t.match(text, COMPLETION[0]!, 'the first words are here before the last are sent')
      release()
      for (;;) {
        const { value, done } = await reader.read()
        if (done) break
        text += decoder.decode(value, { stream: true })
      }
      t.equal(text, model.exchanges.at(-1)?.answered)
      t.equal(response.headers.get('content-type'), 'text/event-stream')
      t.match((await asked(cx, 1))[0], { gen_ai: { response: { finish_reasons: [/./] } } })
    },
  )

  ask(
    `${dialect.name}: rules limit models, tokens of output and what the provider runs; a refusal can be read in the SDK's error`,
    { rules: rules('models: [gpt-*, claude-*], maxTokens: 1000, serverTools: false') },
    async (cx, t, clients) => {
      const refusedWith = async (more: Readonly<Record<string, unknown>>): Promise<void> => {
        const before = model.exchanges.length
        const error: unknown = await dialect
          .ask(clients, dialect.question('What?', more))
          .catch((why: unknown) => why)
        t.match(error, { status: 403 }, JSON.stringify(more))
        t.match(readable(error), /Sallyport: operation-not-allowed/)
        t.equal(model.exchanges.length, before, 'the provider was not asked')
      }
      t.ok(await dialect.ask(clients, dialect.question('What?')))
      await refusedWith({ model: 'o9-expensive' })
      await refusedWith({ [dialect.limit]: 1001 })
      t.ok(await dialect.ask(clients, dialect.question('What?', { [dialect.limit]: 1000 })))
      await refusedWith({ [dialect.limit]: undefined })
      await refusedWith({ tools: [dialect.ownTool, dialect.serverTool] })
      t.ok(await dialect.ask(clients, dialect.question('What?', { tools: [dialect.ownTool] })))
      await refusedWith({ stream: true, model: 'o9-expensive' })
      t.ok(await dialect.stream(clients, dialect.question('What?')))
      const denied = await cx.record(({ event }) => event.reason === 'operation-not-allowed')
      t.match(denied, { gen_ai: { request: { model: 'o9-expensive' } } })
    },
  )
}

/** What an SDK shows a program of a refusal: its message, and the head that came with it. */
function readable(error: unknown): string {
  const headers: unknown =
    typeof error === 'object' && error !== null && 'headers' in error ? error.headers : undefined
  const status = headers instanceof Headers ? headers.get('proxy-status') : ''
  return `${String(error)} ${JSON.stringify(error)} ${status}`
}

/** The conversation after a tool has run, in the words of each protocol. */
function withResult(path: string): Readonly<Record<string, unknown>> {
  const { id, arguments: given } = TOOL_CALL
  const user = { role: 'user', content: 'Read PAY-1.' }
  const call = { name: 'get_issue', arguments: JSON.stringify(given) }
  if (path === '/v1/messages')
    return {
      messages: [
        user,
        { role: 'assistant', content: [{ type: 'tool_use', id, name: 'get_issue', input: given }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: id, content: 'paid' }] },
      ],
    }
  if (path === '/v1/responses')
    return {
      input: [
        user,
        { type: 'function_call', call_id: id, ...call },
        { type: 'function_call_output', call_id: id, output: 'paid' },
      ],
    }
  return {
    messages: [
      user,
      { role: 'assistant', content: null, tool_calls: [{ id, type: 'function', function: call }] },
      { role: 'tool', tool_call_id: id, content: 'paid' },
    ],
  }
}

for (const mode of ['off', 'digest', 'redacted', 'full'] as const)
  ask(
    `R52: the same prompt under the mode ${mode}`,
    { config: `record: { prompts: ${mode} }` },
    async (cx, t, clients) => {
      const prompt = `The word is rhubarb; my token is ${GITHUB_TOKEN}.`
      for (const dialect of DIALECTS) await dialect.ask(clients, dialect.question(prompt))
      const records = await asked(cx, DIALECTS.length)
      for (const record of records) {
        const text = JSON.stringify(record)
        t.equal(text.includes('rhubarb'), mode === 'full' || mode === 'redacted', 'words')
        t.equal(text.includes(SPOKEN), mode === 'full' || mode === 'redacted', 'answer')
        t.equal(text.includes(GITHUB_TOKEN), mode === 'full', 'a secret is masked but in full')
        if (mode === 'off') t.equal(record.sallyport.content?.input, undefined)
        else t.match(record.sallyport.content?.input?.digest, DIGEST)
        t.match(record.gen_ai, { usage: { input_tokens: USAGE.input } }, 'the measures always')
      }
    },
  )

ask(
  'R52: the digest is that of what was said, however it was spelled, and another for other words',
  { config: 'record: { prompts: digest }' },
  async (cx, t, clients) => {
    const spellings = [
      '{"model":"gpt-5-mini","messages":[{"role":"user","content":"Pay 5 €"}]}',
      '{ "messages" : [ { "content" : "Pay 5 \\u20ac", "role" : "user" } ],\n "model" : "gpt-5-mini" }',
      '{"model":"gpt-5-mini","messages":[{"\\u0072ole":"user","content":"\\u0050ay 5 \\u20AC"}]}',
    ]
    const others = ['{"model":"gpt-5-mini","messages":[{"role":"user","content":"Pay 6 €"}]}']
    for (const body of [...spellings, ...others])
      t.equal((await clients.post('/v1/chat/completions', body)).status, 200)
    const digests = (await asked(cx, 4)).map(({ sallyport }) => sallyport.content?.input?.digest)
    t.match(digests[0], DIGEST)
    t.equal(new Set(digests.slice(0, 3)).size, 1)
    t.equal(new Set(digests).size, 2)
  },
)

ask(
  'R52: embeddings, Gemini and Ollama are recognised by their shape on a host that nobody knows',
  {},
  async (cx, t, clients) => {
    await clients.openai.embeddings.create({ model: 'text-embed-3', input: 'words' })
    const contents = [{ role: 'user', parts: [{ text: 'What?' }] }]
    const gemini = JSON.stringify({ contents, generationConfig: { maxOutputTokens: 50 } })
    const at = '/v1beta/models/gemini-2.5-flash'
    await (await clients.post(`${at}:generateContent`, gemini)).text()
    await (await clients.post(`${at}:streamGenerateContent?alt=sse`, gemini)).text()
    const messages = [{ role: 'user', content: 'What?' }]
    for (const stream of [false, true])
      await (
        await clients.post('/api/chat', JSON.stringify({ model: 'llama4', messages, stream }))
      ).text()
    const [embedding, ...rest] = await asked(cx, 5)
    t.match(embedding, {
      gen_ai: {
        operation: { name: 'embeddings' },
        request: { model: 'text-embed-3' },
        usage: { input_tokens: USAGE.input },
      },
    })
    const usage = { input_tokens: USAGE.input, output_tokens: USAGE.output }
    for (const record of rest.slice(0, 2))
      t.match(record, {
        gen_ai: {
          operation: { name: 'generate_content' },
          request: { model: 'gemini-2.5-flash', max_tokens: 50 },
          response: { finish_reasons: ['STOP'] },
          usage,
        },
      })
    for (const record of rest.slice(2))
      t.match(record, {
        gen_ai: { operation: { name: 'chat' }, request: { model: 'llama4' }, usage },
      })
    for (const record of rest) t.match(outputOf(record), DIGEST)
    t.equal(outputOf(rest[0]!), outputOf(rest[1]!))
    t.equal(outputOf(rest[2]!), outputOf(rest[3]!))
  },
)

ask(
  'what is a question to no model is forwarded and recorded without being called one',
  {},
  async (cx, t, clients) => {
    t.equal((await clients.post('/api/orders', '{"messages":"none","model":7}')).status, 200)
    const [record] = await asked(cx, 1)
    t.equal(record?.gen_ai, undefined)
  },
)

ask(
  'what rules cannot read they do not let pass: no JSON, a name twice, another charset',
  { rules: rules('models: [gpt-*]') },
  async (cx, t, clients) => {
    const before = model.exchanges.length
    for (const body of [
      'not json',
      '{"model":"gpt-5","model":"o9","messages":[{"role":"user","content":"x"}]}',
      '{"model":"gpt-5","\\u006dodel":"o9","messages":[{"role":"user","content":"x"}]}',
    ]) {
      const response = await clients.post('/v1/chat/completions', body)
      t.equal(response.status, 400, body)
      t.match(await response.text(), /malformed-body/)
    }
    t.equal(model.exchanges.length, before)
    const twin = '{"model":"gpt-5","messages":[{"role":"user","content":"x"}]}'
    t.equal((await clients.post('/v1/chat/completions', twin)).status, 200)
    await cx.record(({ event }) => event.reason === 'malformed-body')
  },
)
