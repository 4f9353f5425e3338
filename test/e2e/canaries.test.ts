// Secrets and hostile bytes in every place that a client or an upstream chooses: the secrets are in nothing that is written down
// or sent on to a sink, and what is written cannot forge a line, colour a terminal or run in a browser.

import { readdirSync, readFileSync } from 'node:fs'
import { request as httpRequest, type RequestListener } from 'node:http'
import path from 'node:path'

import t, { type Test } from 'tap'

import { canariesIn, canaryOf } from '../fixtures/canary.ts'
import { controlSocket } from '../fixtures/control-socket.ts'
import {
  exchange,
  pki,
  request,
  ruleSet,
  scenario,
  until,
  type Scenario,
  type ScenarioOptions,
} from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const MODEL = 'api.openai.com'
const LOOPBACK = 'addresses: [127.0.0.0/8]'
const SECRETS = {
  BEARER: 'canary-Bearer/9f8e+7d6c5b4a',
  QUERY: 'canary-Query=0a1b2c3d&4e5f',
  HEC_TOKEN: 'canary-Hec-token 6f7a8b9c',
}
const FILE_SECRET = 'canary-File"\\0123456789abc'
const ALL = { ...SECRETS, FILE: FILE_SECRET }
/** What clients hold themselves, and how it would be known. */
const OWN = {
  github: `ghp_${'a1B2'.repeat(9)}`,
  aws: 'AKIAIOSFODNN7EXAMPLE',
  parameter: 'parameter-0123456789',
  pattern: 'EMP-904117',
  mine: 'tenant-pin-4711',
}
const HARMFUL = /[<>\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Default_Ignorable_Code_Point}]/u
const everything = [
  ...Object.entries(ALL).map(([name, secret]) => canaryOf(name, secret)),
  ...Object.entries(OWN).map(([name, forms]) => ({ name, forms: [forms] })),
]

// Says all that it was told, wherever an upstream can say something.
const echo: RequestListener = (incoming, response) => {
  const chunks: Buffer[] = []
  incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
  incoming.on('end', () => {
    const { url = '', headers, rawHeaders } = incoming
    const body = Buffer.concat(chunks).toString()
    const told = [headers.authorization, headers['x-secret'], url].join(' ')
    const safe = told.replaceAll(/[^\x21-\x7e]/g, '.')
    response.sendDate = false
    if (url.startsWith('/broken')) {
      response.socket?.end(`HTTP/1.1 abc ${safe}\r\n${safe}\r\n\r\n`)
      return
    }
    if (url.startsWith('/redirect')) {
      response.writeHead(302, safe, ['Location', `https://elsewhere.test/?q=${safe}`])
      response.end()
      return
    }
    if (url.startsWith('/mcp')) {
      response.writeHead(200, ['Content-Type', 'application/json'])
      response.end(JSON.stringify(answerMcp(JSON.parse(body), told)))
      return
    }
    if (url.startsWith('/v1/')) {
      response.writeHead(200, ['Content-Type', 'application/json'])
      const message = { role: 'assistant', content: told }
      const choices = [{ index: 0, message, finish_reason: told }]
      response.end(JSON.stringify({ id: told, object: 'chat.completion', model: told, choices }))
      return
    }
    if (url.startsWith('/sse')) {
      response.writeHead(200, ['Content-Type', 'text/event-stream'])
      response.end(`event: ${safe}\ndata: ${safe}\n\n`)
      return
    }
    response.writeHead(200, safe, [
      'Content-Type',
      `text/plain; x="${safe.replaceAll(/["\\]/g, '.')}"; y=${Buffer.from(told).toString('base64url')}`,
      'Set-Cookie',
      `a=${safe}`,
      `X-${Buffer.from(told).toString('hex').slice(0, 200)}`,
      safe,
      'Trailer',
      'X-End',
    ])
    response.write(`${rawHeaders.join('\n')}\n${body}`)
    response.addTrailers([['X-End', safe]])
    response.end()
  })
}

function answerMcp(asked: { id?: unknown; method: string }, told: string): object {
  const { id = null, method } = asked
  const answer = (result: object): object => ({ jsonrpc: '2.0', id, result })
  if (method === 'tools/list')
    return answer({
      tools: [{ name: told, description: told, inputSchema: { type: 'object', title: told } }],
    })
  if (method === 'tools/call')
    return answer({ content: [{ type: 'text', text: told }], isError: true, [told]: told })
  return { jsonrpc: '2.0', id, error: { code: told, message: told, data: { [told]: told } } }
}

async function withEcho(t: Test): Promise<{
  readonly at: string
  readonly sent: (place?: string) => string
  readonly options: (mode?: 'redacted' | 'full') => ScenarioOptions
}> {
  const upstream = await startHttp({ tls: pki.issue({ names: ['echo.test', MODEL] }), raw: echo })
  const sink = await startHttp({
    handler: ({ url }) => ({
      status: 200,
      headers: ['Content-Type', 'application/json'],
      body: url?.includes('splunk') ? '{"text":"Success","code":0}' : '{}',
    }),
  })
  t.teardown(() => Promise.all([upstream.close(), sink.close()]))
  const at = `echo.test:${upstream.port}`
  const modelAt = `${MODEL}:${upstream.port}`
  return {
    at,
    sent: (place) =>
      sink.seen
        .filter(({ url }) => place === undefined || url?.startsWith(place))
        .map(({ body }) => body.toString())
        .join('\n'),
    options: (mode = 'redacted') => ({
      hosts: ['echo.test', 'elsewhere.test', MODEL],
      secrets: SECRETS,
      files: { 'file.secret': FILE_SECRET },
      rules: ruleSet(
        `id: bearer, allow: 'https://${at}', paths: ['/bearer/**', '/broken', '/redirect', '/sse'], credential: bearer, ${LOOPBACK}`,
        `id: query, allow: 'https://${at}', paths: ['/query/**'], credential: query, ${LOOPBACK}`,
        `id: file, allow: 'https://${at}', paths: ['/file/**'], credential: file, ${LOOPBACK}`,
        `id: model, allow: 'https://${modelAt}', credential: file, ${LOOPBACK}`,
        `id: mcp, allow: 'https://${at}', paths: ['/mcp'], tools: ['*'], credential: file, ${LOOPBACK}`,
      ),
      config: `credentials:
  bearer: { source: { env: BEARER }, inject: { bearer: true }, hosts: ['${at}'] }
  query: { source: { env: QUERY }, inject: { query: { name: q } }, hosts: ['${at}'] }
  file: { source: { file: file.secret }, inject: { header: { name: X-Secret, format: 'v1 {}' } }, hosts: ['${at}', '${modelAt}'] }
redact: { patterns: ['EMP-\\d{6}'], query: [mine], headers: [X-Request-Id] }
record: { prompts: ${mode}, tools: ${mode} }
control: { listen: 'unix:${controlSocket(t)}' }
sinks:
  - stdout: { all: true }
  - file: { path: records.ndjson, all: true }
  - http: { url: 'http://127.0.0.1:${sink.port}/', all: true }
${['cloudevents', 'ocsf', 'ecs', 'agents-net'].map((format) => `  - http: { url: 'http://127.0.0.1:${sink.port}/${format}', format: ${format}, all: true }\n`).join('')}  - otlp: { url: 'http://127.0.0.1:${sink.port}/otlp', all: true, compress: none }
  - splunk: { url: 'http://127.0.0.1:${sink.port}/splunk', token: { env: HEC_TOKEN }, acknowledge: false, all: true, compress: none }
`,
    }),
  }
}

async function call(
  cx: Scenario,
  at: string,
  bytes: string | Buffer,
  sni?: string,
): Promise<string> {
  const socket = await cx.secure(at, sni)
  return exchange(socket, bytes)
}

/** All forms of a text that fit into a URL. */
const inUrl = (text: string): string[] => [
  encodeURIComponent(text),
  encodeURIComponent(encodeURIComponent(text)),
  text.replaceAll(/[^]/g, (one) => `%${one.charCodeAt(0).toString(16).padStart(2, '0')}`),
  Buffer.from(`me:${text}`).toString('base64url'),
  Buffer.from(text).toString('hex'),
]

async function sayEverywhere(cx: Scenario, at: string, text: string): Promise<string[]> {
  const told: string[] = []
  const hex = Buffer.from(text).toString('hex')
  const header = text.replaceAll(/[^\x21-\x7e]/g, '.')
  for (const form of inUrl(text))
    told.push(
      await call(cx, at, request('GET', `/bearer/${form}/x?${form}=1&a=${form};${form}`, at)),
      await call(cx, at, request('GET', `/denied/${form}?a=${form}`, at)),
    )
  const headers = [
    `User-Agent: agent ${header}`,
    `X-Request-Id: ${header}`,
    `X-Other: ${header}`,
    `Cookie: ${header}`,
    `traceparent: 00-${hex.padEnd(32, '0').slice(0, 32)}-${hex.slice(0, 16)}-01`,
    `Content-Type: text/plain; a=${header}`,
  ]
  for (const where of [
    '/bearer/h',
    '/query/h',
    '/file/h',
    '/denied/h',
    '/broken',
    '/redirect',
    '/sse',
  ])
    told.push(await call(cx, at, request('POST', where, at, { headers, body: text })))
  told.push(
    await call(cx, at, request(`X${hex}`, '/bearer/method', at)),
    await cx.raw(`CONNECT ${hex.slice(0, 60)}.test:443 HTTP/1.1\r\nHost: a\r\n\r\n`),
    await cx.raw(
      `CONNECT no.test:443 HTTP/1.1\r\nHost: no.test:443\r\nProxy-Authorization: Basic ${Buffer.from(`t_x:${text}`).toString('base64')}\r\nUser-Agent: ${header}\r\n\r\n`,
    ),
    await cx.raw(request('GET', `http://me:${encodeURIComponent(text)}@no.test/${hex}`, 'no.test')),
    await cx.raw(request('GET', `/${hex} ${header}`, header)),
    await call(cx, at, request('GET', '/bearer/sni', at), `${hex.slice(0, 60)}.test`).catch(String),
  )
  return told
}

async function talk(cx: Scenario, at: string, text: string, id = text): Promise<void> {
  const json = ['Content-Type: application/json', 'Accept: application/json, text/event-stream']
  const model = at.replace('echo.test', MODEL)
  const say = (where: string, body: object, to = at): Promise<string> =>
    call(cx, to, request('POST', where, to, { headers: json, body: JSON.stringify(body) }))
  const rpc = { jsonrpc: '2.0', id }
  await say('/mcp', { ...rpc, method: 'tools/list' })
  await say('/mcp', {
    ...rpc,
    method: 'tools/call',
    params: { name: text, arguments: { [text]: text, token: text } },
  })
  await say('/mcp', { ...rpc, method: 'resources/read', params: { uri: `x://${text}?a=${text}` } })
  await say('/mcp', { ...rpc, method: text })
  const asked = {
    model: text,
    messages: [{ role: 'user', content: `say ${text} again`, name: text }],
  }
  await say('/v1/chat/completions', asked, model)
}

void t.test('canaries', async (t) => {
  const { at, sent, options } = await withEcho(t)

  scenario(
    t,
    'R55: canary scan of all sinks → 0',
    () => options(),
    async (cx, t) => {
      cx.guard('FILE', FILE_SECRET)
      const variables = cx.env()
      const placeholders = ['BEARER_TOKEN', 'QUERY_TOKEN', 'FILE_TOKEN'].map(
        (name) => variables[name]!,
      )
      for (const [at_, placeholder] of placeholders.entries())
        cx.guard(`placeholder ${at_}`, placeholder)
      const refusals: string[] = []
      for (const text of [
        ...Object.values(ALL),
        OWN.github,
        OWN.aws,
        OWN.pattern,
        placeholders[0]!,
      ]) {
        refusals.push(...(await sayEverywhere(cx, at, text)))
        await talk(cx, at, text)
      }
      await call(
        cx,
        at,
        request(
          'GET',
          `/bearer/p?access_token=${OWN.parameter}&sig=${OWN.parameter}&mine=${OWN.mine}`,
          at,
        ),
      )
      const last = (): number => cx.records().at(-1)!.sallyport.chain.seq
      const places = ['/cloudevents', '/ocsf', '/ecs', '/agents-net', '/otlp', '/splunk']
      await until(() => sent().includes(`"seq":${last()},`), 'the sink has all')
      await until(
        () =>
          places
            .filter((place) => place !== '/agents-net')
            .every((place) => sent(place).includes(cx.records().at(-1)!.event.id)),
        'each sink has all',
      )
      const ours = refusals.filter((answer) => answer.includes('Proxy-Status: sallyport'))
      t.ok(ours.length > 20, `${ours.length} refusals`)
      const health = await Promise.all(
        ['metrics', 'readyz'].map((name) =>
          fetch(`http://127.0.0.1:${cx.healthPort}/${name}`).then((response) => response.text()),
        ),
      )
      const told = {
        journal: cx
          .records()
          .map((record) => JSON.stringify(record))
          .join('\n'),
        sink: sent(),
        ...Object.fromEntries(places.map((place) => [place, sent(place)])),
        file: readFileSync(path.join(cx.directory, 'records.ndjson'), 'utf8'),
        ...Object.fromEntries(
          ['ocsf', 'otlp', 'cloudevents', 'agents-net'].map((format) => [
            format,
            cx.run('export', '--all', '--format', format).stdout,
          ]),
        ),
        state: stateOf(cx),
        log: cx.log(),
        health: health.join('\n'),
        calls: await control(cx, '/v1/calls?limit=1000'),
        tail: cx.run('tail', '--all').stdout,
        json: cx.run('tail', '--all', '--json').stdout,
      }
      for (const [where, text] of Object.entries(told)) {
        t.ok(text.length > 100, where)
        t.strictSame(canariesIn(text, everything), [], where)
      }
      t.match(told.journal, /"\[secret:credential\]/, 'that something was there is told')
      t.ok(cx.records().some(({ event }) => event.reason === 'placeholder-misused'))
      t.match(told.journal, 'access_token=[secret:parameter]')
      t.match(told.journal, /"headers":\{"x-request-id"/)
      const paths = cx.terminal().map(({ url }) => url?.path)
      t.ok(paths.includes('/bearer/h'), 'the rest stays as it was')
    },
  )

  scenario(
    t,
    'R55: what is kept in full keeps no known secret and no configured pattern either',
    () => options('full'),
    async (cx, t) => {
      cx.guard('FILE', FILE_SECRET)
      cx.guard('pattern', OWN.pattern)
      const placeholder = cx.env()['BEARER_TOKEN']!
      cx.guard('placeholder', placeholder)
      for (const text of [...Object.values(ALL), OWN.pattern, placeholder]) await talk(cx, at, text)
      await talk(cx, at, OWN.github)
      const said = JSON.stringify(cx.records())
      t.match(said, '[secret:credential]')
      t.match(said, OWN.github, 'the words are kept otherwise')
      t.ok(
        cx.messages().some(({ gen_ai }) => gen_ai?.tool?.call?.arguments !== undefined),
        'arguments are kept',
      )
      t.ok(
        cx.terminal().some(({ gen_ai }) => gen_ai?.output?.messages !== undefined),
        'answers are kept',
      )
    },
  )

  scenario(
    t,
    'R55: hostile bytes forge no line, colour no terminal and run in no browser',
    () => options('full'),
    async (cx, t) => {
      const hostile =
        '\u001b[31m\u009b31m\u202e\u2066\u2028\ufeff\u{e0041}<script>alert(1)</script>\r\n{"event":1}'
      await sayHostile(cx, at, hostile)
      await talk(cx, at, hostile, 'id')
      const directory = path.join(cx.directory, 'journal')
      const lines = readdirSync(directory)
        .filter((name) => name.endsWith('.ndjson'))
        .flatMap((name) =>
          readFileSync(path.join(directory, name), 'utf8').split('\n').slice(0, -1),
        )
      t.ok(lines.length > 20)
      for (const line of lines) if (!line.startsWith('{') || HARMFUL.test(line)) t.fail(line)
      const said = JSON.stringify(hostile).slice(1, -1)
      await until(() => JSON.stringify(cx.records()).includes(said), 'the values are as sent')
      const harmful = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u
      for (const words of [
        ['tail', '--all'],
        ['tail', '--all', '--json'],
      ])
        for (const line of cx.run(...words).stdout.split('\n')) t.notMatch(line, harmful)
      for (const line of cx.log().split('\n')) if (harmful.test(line)) t.fail(JSON.stringify(line))
    },
  )
})

async function sayHostile(cx: Scenario, at: string, hostile: string): Promise<void> {
  const latin1 = Buffer.from(hostile.replaceAll(/[\r\n]/g, '')).toString('latin1')
  const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')
  for (const head of [
    `GET /bearer/${encodeURIComponent(hostile)}?a=${encodeURIComponent(hostile)} HTTP/1.1\r\nHost: ${at}\r\n`,
    `GET /bearer/${latin1} HTTP/1.1\r\nHost: ${at}\r\n`,
    `GET /bearer/x?${latin1} HTTP/1.1\r\nHost: ${at}\r\n`,
    `GET /bearer/x HTTP/1.1\r\nHost: ${at}\r\nUser-Agent: ${latin1.replaceAll('\u001b', '')}\r\nX-Request-Id: ${latin1.replaceAll('\u001b', '')}\r\n`,
    `${latin1} /bearer/x HTTP/1.1\r\nHost: ${at}\r\n`,
    `GET /bearer/x HTTP/1.1\r\nHost: ${latin1}\r\n`,
  ])
    await call(cx, at, bytes(`${head}Connection: close\r\n\r\n`))
  await cx.raw(bytes(`CONNECT ${latin1}:443 HTTP/1.1\r\nHost: a\r\n\r\n`))
}

function control(cx: Scenario, route: string): Promise<string> {
  const socketPath = /unix:([^']+)/.exec(readFileSync(cx.configFile, 'utf8'))?.[1] ?? ''
  return new Promise((resolve, reject) => {
    const asking = httpRequest({ socketPath, path: route }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve(text))
    })
    asking.on('error', reject)
    asking.end()
  })
}

/** What the sidecar keeps besides its records, but for its keys. */
function stateOf(cx: Scenario): string {
  const directory = path.join(cx.directory, 'state')
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('json') && !entry.name.includes('key'))
    .map(({ name }) => readFileSync(path.join(directory, name), 'utf8'))
    .join('\n')
}
