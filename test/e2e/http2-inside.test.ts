// What is inside a call is read over HTTP/2 as it is over HTTP/1.1: tools, documents, bodies, placeholders. Every refusal has an allowed twin on the same connection.

import t from 'tap'

import { startConnectProxy, type ConnectProxy } from '../fixtures/connect-proxy.ts'
import { ask, openHttp2 } from '../fixtures/http2-client.ts'
import { startHttp2 } from '../fixtures/http2-upstream.ts'
import { ALLOWED_CALL, FORBIDDEN_CALL } from '../fixtures/mcp-evasions.ts'
import { pki, ruleSet, scenario } from '../fixtures/scenario.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
const TOKEN = 'canary-http2-inside-55d1c0aa'
const certificate = pki.issue({ names: ['two.test'] })
const two = await startHttp2(certificate, ({ path, body }) => {
  if (path !== '/mcp') return { body: 'ok' }
  const { id }: { id: number } = JSON.parse(body)
  return { headers: JSON_TYPE, body: JSON.stringify({ jsonrpc: '2.0', id, result: {} }) }
})
t.teardown(() => two.close())

const at = `https://two.test:${two.port}`
const options = {
  hosts: ['two.test'],
  rules: ruleSet(
    `id: mcp, allow: '${at}/mcp', tools: [get_*], addresses: [127.0.0.0/8]`,
    `id: graphql, allow: '${at}/graphql', graphql: { operations: [query], fields: [viewer] }, addresses: [127.0.0.0/8]`,
    `id: small, allow: '${at}/small', limit: { bodyBytes: 16 }, addresses: [127.0.0.0/8]`,
    `id: twice, allow: '${at}/twice', limit: { callsPerHour: 1 }, addresses: [127.0.0.0/8]`,
    `id: git, allow: '${at}', paths: ['/acme/**'], git: { repos: [acme/widgets] }, addresses: [127.0.0.0/8]`,
    `id: api, allow: '${at}/api', credential: api, addresses: [127.0.0.0/8]`,
  ),
  secrets: { API: TOKEN },
  config: `credentials:
  api: { source: { env: API }, inject: { bearer: true }, hosts: ['two.test:${two.port}'], placeholder: { env: API_TOKEN } }`,
}

scenario(t, 'I8: what is inside a call is judged over HTTP/2 too', options, async (cx, t) => {
  const session = await openHttp2(cx, `two.test:${two.port}`)
  const post = (path: string, body: string, fields: Record<string, string> = JSON_TYPE) =>
    ask(session, { ':method': 'POST', ':path': path, ...fields }, body)
  const document = (query: string) => post('/graphql', JSON.stringify({ query }))

  t.match(await post('/mcp', ALLOWED_CALL), { status: 200, body: /"result"/ })
  const refused = await post('/mcp', FORBIDDEN_CALL)
  t.match(JSON.parse(refused.body), { error: { data: { reason: 'tool-not-allowed' } } })
  t.match(await document('{ viewer { login } }'), { status: 200 })
  t.match(await document('mutation { viewer { login } }'), { status: 403 })
  t.match(await post('/small', 'sixteen bytes ok'), { status: 200 })
  t.match(await post('/small', 'seventeen bytes !'), { status: 413 })
  t.match(await ask(session, { ':path': '/twice' }), { status: 200 })
  const second = await ask(session, { ':path': '/twice' })
  t.match(second, { status: 429, headers: { 'retry-after': /^\d+$/ } })
  const refs = (repo: string) =>
    ask(session, { ':path': `/acme/${repo}/info/refs?service=git-upload-pack` })
  t.match(await refs('widgets'), { status: 200 })
  t.match(await refs('other'), { body: /ERR .*sallyport/i }, 'in the words of git')
  session.close()

  t.notOk(
    two.seen.some(({ body, path }) => /delete_issue|mutation|!/.test(body) || /other/.test(path)),
    'nothing of what is refused arrives',
  )
  t.equal(two.seen.filter(({ path }) => path === '/twice').length, 1)
  t.match(await cx.record(({ event }) => event.reason === 'tool-not-allowed'), {
    http: { version: '2' },
  })
})

scenario(t, 'I3: a placeholder over HTTP/2 is worth what it is worth', options, async (cx, t) => {
  const placeholder = cx.env()['API_TOKEN'] ?? ''
  t.not(placeholder, '')
  const session = await openHttp2(cx, `two.test:${two.port}`)
  const before = two.seen.length
  const bearer = { ':path': '/api', authorization: `Bearer ${placeholder}` }
  t.match(await ask(session, bearer), { status: 200 })
  t.equal(two.seen.at(-1)?.headers.authorization, `Bearer ${TOKEN}`)
  for (const place of ['x-other', 'cookie', 'user-agent'])
    t.match(await ask(session, { ':path': '/api', [place]: placeholder }), { status: 403 }, place)
  t.match(await ask(session, { ':path': `/api?q=${placeholder}` }), { status: 403 })
  t.equal(two.seen.length, before + 1)
  session.close()
})

let above: ConnectProxy

scenario(
  t,
  'HTTP/2 goes out through a proxy above',
  async () => {
    above = await startConnectProxy()
    const proxy = `proxy: { url: 'http://127.0.0.1:${above.port}' }`
    return {
      rules: ruleSet(`id: two, allow: '${at}'`),
      config: `upstream: { ca: [upstream-ca.pem], hosts: { two.test: ['127.0.0.1'] }, allowAddresses: [127.0.0.0/8], ${proxy} }`,
    }
  },
  async (cx, t) => {
    try {
      const session = await openHttp2(cx, `two.test:${two.port}`)
      const answers = await Promise.all([1, 2, 3].map(() => ask(session, { ':path': '/above' })))
      for (const answer of answers) t.match(answer, { status: 200, body: 'ok' })
      t.equal(two.seen.at(-1)?.version, '2.0')
      t.match(above.asked, [{ target: `127.0.0.1:${two.port}` }], 'once, by a checked address')
      session.close()
    } finally {
      await above.close()
    }
  },
)
