// Conditions through the running proxy: each thing that a rule can look at flips the verdict by itself, the record cites the
// rule, and what is read of a body arrives byte for byte.

import net from 'node:net'
import { gzipSync } from 'node:zlib'

import t from 'tap'

import { request, ruleSet, scenario, until, type Scenario } from '../fixtures/scenario.ts'
import { api, makeTask, type MadeTask } from '../fixtures/tasks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const JSON_TYPE = 'Content-Type: application/json'
const ACCEPT = 'Accept: application/json, text/event-stream'

const upstream = await startHttp({
  handler: ({ url = '' }, body) => ({
    headers: ['Content-Type', 'application/json'],
    body: url === '/mcp' ? answerMcp(body.toString()) : '{}',
  }),
})
t.teardown(() => upstream.close())
const authority = `up.test:${upstream.port}`
const url = `http://${authority}`
const other = `http://other.test:${upstream.port}`

function answerMcp(body: string): string {
  const { id, method } = JSON.parse(body)
  const tools = [{ name: 'pay', inputSchema: { type: 'object' } }]
  const result = method === 'tools/list' ? { tools } : { content: [{ type: 'text', text: 'paid' }] }
  return JSON.stringify({ jsonrpc: '2.0', id, result })
}

let started = 0
let sinkUrl = ''

interface Asked {
  readonly task?: MadeTask
  readonly method?: string
  readonly target?: string
  readonly headers?: readonly string[]
  readonly body?: string | Buffer
}

/** `allow RULE` or `deny REASON RULE`, by the record of the call. */
async function ask(cx: Scenario, asked: Asked): Promise<string> {
  const { task, method = 'GET', target = `${url}/`, headers = [], body } = asked
  const { length } = cx.terminal()
  const fields = [...(task ? [task.login] : []), ...headers]
  if (body !== undefined) fields.push(`Content-Length: ${Buffer.byteLength(body)}`)
  const head = request(method, target, new URL(target).host, { headers: fields })
  const answer = await cx.raw(Buffer.concat([Buffer.from(head), Buffer.from(body ?? '')]))
  await until(() => cx.terminal().length > length, 'the call is on record')
  const { event, rule } = cx.terminal().at(-1)!
  if (event.action === 'call-ended') return `allow ${rule?.id}`
  const [, token] = /^HTTP\/1\.1 403 Sallyport: (\S+)/.exec(answer) ?? []
  return `deny ${token ?? event.reason} ${rule?.id}`
}

const ALL = `id: all, allow: ['${url}', '${other}'], data: public, ${LOOPBACK}`

/** A rule that denies by a condition what another allows. */
function denying(when: string): Record<string, string> {
  return ruleSet(ALL, `id: never, deny: '${url}', when: '${when}'`)
}

const DENIED = 'deny denied-by-rule never'
const base = { hosts: ['up.test', 'other.test'], expires: null }

interface Flip {
  readonly what: string
  readonly when: string
  readonly task?: Readonly<Record<string, unknown>>
  readonly asked?: Asked
  /** A stage of the usual task. */
  readonly isStage?: true
}

const FLIPS: readonly Flip[] = [
  {
    what: 'identity',
    when: 'task.agent.account == "rogue"',
    task: { agent: { account: 'rogue', instance: 'rogue/1' } },
  },
  {
    what: 'destination',
    when: 'call.host == "other.test"',
    asked: { target: `${other}/` },
  },
  { what: 'method', when: 'call.method == "DELETE"', asked: { method: 'DELETE' } },
  {
    what: 'path',
    when: 'call.segments.size() > 0 && call.segments[0] == "secret"',
    asked: { target: `${url}/secret` },
  },
  {
    what: 'query',
    when: 'has(call.query.force) && call.query.force == "1"',
    asked: { target: `${url}/?force=1` },
  },
  {
    what: 'header',
    when: '"x-force" in call.headers',
    asked: { headers: ['X-Force: 1'] },
  },
  {
    what: 'environment',
    when: 'task.environment == "prod"',
    task: { environment: 'prod' },
  },
  {
    what: 'intent',
    when: 're2(task.intent, "(?i)exfiltrat")',
    task: { intent: 'Exfiltrate everything' },
  },
  {
    what: 'owner',
    when: 'task.owner.team != "test"',
    task: { owner: { name: 'bob', team: 'interns' } },
  },
  { what: 'depth', when: 'task.depth > 0', isStage: true, task: { expires: '10m' } },
  { what: 'ceiling', when: 'task.ceiling == "restricted"', task: { ceiling: 'restricted' } },
]

void t.test('conditions', async (t) => {
  scenario(
    t,
    'R27: each thing that a condition looks at flips the verdict alone, and the record cites the rule',
    {
      ...base,
      rules: ruleSet(
        ALL,
        ...FLIPS.map(
          ({ what, when }) => `id: ${what}, deny: ['${url}', '${other}'], when: '${when}'`,
        ),
      ),
    },
    async (cx, t) => {
      const usual = await makeTask(cx)
      t.equal(await ask(cx, { task: usual }), 'allow all')
      for (const { what, task, asked, isStage } of FLIPS) {
        const changed =
          task || isStage ? await makeTask(cx, task, isStage ? usual.id : undefined) : usual
        t.equal(await ask(cx, { ...asked, task: changed }), `deny denied-by-rule ${what}`)
      }
      t.equal(await ask(cx, { task: usual }), 'allow all')
    },
  )

  scenario(
    t,
    'R27: the class of what comes back alone flips the verdict by a condition',
    {
      ...base,
      rules: ruleSet(
        ...['public', 'internal'].map(
          (data) =>
            `id: ${data}, allow: '${url}', paths: [/${data}], data: ${data}, when: 'level(destination.data) < level("internal")', ${LOOPBACK}`,
        ),
      ),
    },
    async (cx, t) => {
      const task = await makeTask(cx)
      t.equal(await ask(cx, { task, target: `${url}/public` }), 'allow public')
      t.match(await ask(cx, { task, target: `${url}/internal` }), /^deny operation-not-allowed/)
    },
  )

  scenario(
    t,
    'R27: the time alone flips the verdict by a condition',
    { ...base, rules: denying('false') },
    async (cx, t) => {
      const task = await makeTask(cx)
      const setTime = async (at: number): Promise<void> => {
        const when = `now >= timestamp("${new Date(at).toISOString()}")`
        cx.file('rules/set.yaml', denying(when)['set'] ?? '')
        t.match(await api(cx, 'POST', '/v1/rules/reload', {}), { status: 200 })
      }
      await setTime(Date.now() + 3_600_000)
      t.equal(await ask(cx, { task }), 'allow all')
      const at = Date.now() + 500
      await setTime(at)
      await until(() => Date.now() > at, 'it is time')
      t.equal(await ask(cx, { task }), DENIED)
    },
  )

  const call = (amount: string): string =>
    `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"amount":${amount}}}}`
  const say = (method: string): string => `{"jsonrpc":"2.0","id":1,"method":"${method}"}`

  scenario(
    t,
    "R27, R77: a tool's arguments alone flip the verdict, and the session is not in the way of it",
    {
      ...base,
      rules: ruleSet(
        `id: pay, allow: '${url}/mcp', methods: [POST], tools: [pay], when: 'call.tool.arguments.amount <= 100', ${LOOPBACK}`,
      ),
    },
    async (cx, t) => {
      const task = await makeTask(cx)
      const post = async (body: string): Promise<string> => {
        const head = [task.login, JSON_TYPE, ACCEPT]
        return cx.raw(request('POST', `${url}/mcp`, authority, { headers: head, body }))
      }
      t.match(await post(say('ping')), /^HTTP\/1\.1 200/)
      t.match(await post(say('tools/list')), /"name":"pay"/, 'the tool is shown')
      t.match(await post(call('100')), /paid/)
      for (const amount of ['101', '1.01e2', '100.5'])
        t.match(await post(call(amount)), /operation-not-allowed/, amount)
      for (const amount of ['"1"', 'null', '[1]', '{"a":1}'])
        t.match(await post(call(amount)), /condition-error/, amount)
      for (const amount of ['1e400', '9007199254740993', '1,"amount":101'])
        t.notMatch(await post(call(amount)), /paid/, amount)
      t.equal(upstream.seen.filter(({ body }) => body.includes('tools/call')).length, 1)
      const record = await cx.message(({ event }) => event.action === 'message-allowed')
      t.equal(record.rule?.id, 'pay')
    },
  )

  scenario(
    t,
    'R27: neither unreadable bytes, an upgrade, another method by a field nor a field of one hop get around a condition',
    {
      ...base,
      rules: ruleSet(
        `id: mcp, allow: '${url}', paths: [/mcp], ${LOOPBACK}`,
        `id: no-pay, deny: '${url}', paths: [/mcp], when: 'has(call.tool) && call.tool.name == "pay"'`,
        `id: socket, allow: 'ws://${authority}', paths: [/socket], when: 'call.body.json.amount <= 100', ${LOOPBACK}`,
        `id: post, allow: '${url}', paths: [/order], methods: [POST], ${LOOPBACK}`,
        `id: remove, allow: '${url}', paths: [/order], methods: [DELETE], when: 'call.body.json.mine == true', ${LOOPBACK}`,
        `id: dry, allow: '${url}', paths: [/dry], headers: { x-dry-run: '1' }, ${LOOPBACK}`,
      ),
    },
    async (cx, t) => {
      const task = await makeTask(cx)
      const headers = [JSON_TYPE, ACCEPT]
      const post = (body: string): Promise<string> =>
        ask(cx, { task, method: 'POST', target: `${url}/mcp`, headers, body })
      t.equal(await post(say('ping')), 'allow mcp')
      t.equal(await post(call('1')), 'deny denied-by-rule no-pay')
      const { length } = upstream.seen
      t.match(await post(call('1,"amount":2')), /^deny .+ no-pay/)
      const handshake = ['Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13']
      const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
      t.match(
        await ask(cx, { task, target: `${url}/socket`, headers: [...handshake, key] }),
        /^deny condition-error/,
      )
      const order = { task, method: 'POST', target: `${url}/order`, body: '{"mine":false}' }
      t.match(
        await ask(cx, { ...order, headers: [JSON_TYPE, 'X-HTTP-Method-Override: DELETE'] }),
        /^deny method-not-allowed/,
      )
      const dry = { task, target: `${url}/dry` }
      t.match(
        await ask(cx, { ...dry, headers: ['X-Dry-Run: 1', 'Connection: x-dry-run'] }),
        /^deny path-not-allowed/,
      )
      t.equal(upstream.seen.length, length, 'nothing of it has left')
      t.equal(await ask(cx, { ...order, headers: [JSON_TYPE] }), 'allow post')
      t.equal(await ask(cx, { ...dry, headers: ['X-Dry-Run: 1'] }), 'allow dry')
    },
  )

  const payments = ruleSet(
    `id: pay, allow: '${url}', paths: [/pay], methods: [POST], when: 'call.body.json.amount <= 100', ${LOOPBACK}`,
    `id: send, allow: '${url}', paths: [/send], methods: [POST], ${LOOPBACK}`,
    `id: much, deny: '${url}', paths: [/send], when: 'call.body.json.amount > 100'`,
    `id: load, allow: '${url}', paths: [/load], methods: [POST], ${LOOPBACK}`,
  )

  scenario(
    t,
    'R77: an amount of 101 is over a limit of 100, however it is sent',
    { ...base, rules: payments },
    async (cx, t) => {
      const task = await makeTask(cx)
      const post = (
        path: string,
        body: string | Buffer,
        headers: readonly string[] = [JSON_TYPE],
      ): Promise<string> => ask(cx, { task, method: 'POST', target: url + path, body, headers })
      const { length } = upstream.seen
      const odd = '{ "amount" : 1.0e2 ,\r\n"to":"\\u0061" }'
      t.equal(await post('/pay', odd), 'allow pay')
      t.equal(await post('/send', odd), 'allow send')
      t.same(
        upstream.seen.slice(length).map(({ body }) => body.toString()),
        [odd, odd],
        'what was read arrives byte for byte',
      )
      t.equal(await post('/pay', '{"amount":101}'), 'deny operation-not-allowed undefined')
      t.equal(await post('/send', '{"amount":101}'), 'deny denied-by-rule much')
      const evasions: [what: string, body: string | Buffer, headers?: readonly string[]][] = [
        ['a string', '{"amount":"1"}'],
        ['twice', '{"amount":1,"amount":101}'],
        ['escaped', '{"amount":1,"\\u0061mount":101}'],
        ['absent', '{}'],
        ['infinite', '{"amount":1e400}'],
        ['imprecise', '{"amount":9007199254740993}'],
        ['no JSON', 'amount=1'],
        ['nothing', ''],
        [
          'a form',
          '{"amount":1,"x":"&amount=101"}',
          ['Content-Type: application/x-www-form-urlencoded'],
        ],
        ['without a type', '{"amount":1}', []],
        ['of two types', '{"amount":1}', [JSON_TYPE, 'Content-Type: text/plain']],
        ['of another character set', '{"amount":1}', [`${JSON_TYPE}; charset=utf-7`]],
        ['compressed', gzipSync('{"amount":1}'), [JSON_TYPE, 'Content-Encoding: gzip']],
        ['too large', `{"amount":1,"x":"${'x'.repeat(70_000)}"}`],
      ]
      for (const [what, body, headers] of evasions) {
        t.equal(await post('/pay', body, headers), 'deny condition-error undefined', what)
        t.equal(await post('/send', body, headers), 'deny condition-error much', what)
      }
      t.equal(upstream.seen.length, length + 2)
      t.equal(await post('/load', 'x'.repeat(100_000)), 'allow load')
    },
  )

  scenario(
    t,
    'conditionBodyBytesMax: a body is read up to it and sent on whole beyond it',
    {
      ...base,
      limits: 'conditionBodyBytesMax: 1024',
      rules: ruleSet(
        `id: log, allow: '${url}/log', methods: [POST], when: '!has(call.body.json) || call.body.json.level == "info"', ${LOOPBACK}`,
      ),
    },
    async (cx, t) => {
      const task = await makeTask(cx)
      const post = (body: string): Promise<string> =>
        ask(cx, { task, method: 'POST', target: `${url}/log`, body, headers: [JSON_TYPE] })
      const padded = (level: string, length: number): string =>
        `{"level":"${level}","x":"${'x'.repeat(length)}"}`
      t.equal(await post(padded('info', 100)), 'allow log')
      t.match(await post(padded('debug', 100)), /^deny operation-not-allowed/)
      const large = padded('debug', 300_000)
      t.equal(await post(large), 'allow log', 'what is not read is not there')
      t.equal(upstream.seen.at(-1)?.body.toString(), large)
    },
  )

  scenario(
    t,
    'an upload flows while it is sent, beside rules that read bodies and where it is too large for one',
    async () => {
      const sink = await startHttp({
        raw: (incoming, response) => {
          incoming.once('data', () => (started += 1))
          incoming.resume().once('end', () => response.end())
        },
      })
      sinkUrl = `http://up.test:${sink.port}`
      t.teardown(() => sink.close())
      return {
        ...base,
        rules: ruleSet(
          `id: pay, allow: '${sinkUrl}', paths: [/pay], when: 'call.body.json.amount <= 100', ${LOOPBACK}`,
          `id: load, allow: '${sinkUrl}', paths: [/load], ${LOOPBACK}`,
          `id: big, allow: '${sinkUrl}', paths: [/big], when: '!has(call.body.json)', ${LOOPBACK}`,
        ),
      }
    },
    async (cx, t) => {
      const task = await makeTask(cx)
      for (const [path, headers] of [
        ['/load', ['Content-Length: 200000']],
        ['/big', ['Content-Length: 200000', JSON_TYPE]],
        ['/big', ['Transfer-Encoding: chunked', JSON_TYPE]],
      ] as const) {
        const isChunked = headers[0] === 'Transfer-Encoding: chunked'
        const before = started
        const socket = net.connect(cx.proxyPort, '127.0.0.1')
        const { host } = new URL(sinkUrl)
        socket.write(request('POST', sinkUrl + path, host, { headers: [task.login, ...headers] }))
        const half = 'x'.repeat(100_000)
        const piece = isChunked ? `${half.length.toString(16)}\r\n${half}\r\n` : half
        socket.write(piece)
        await until(() => started > before, `${path} has begun before it is over`)
        socket.write(isChunked ? `${piece}0\r\n\r\n` : piece)
        const answer = await new Promise<string>((resolve) => {
          let text = ''
          socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
          socket.on('close', () => resolve(text))
        })
        t.match(answer, /^HTTP\/1\.1 200/, path)
      }
    },
  )
})
