// Access tokens of a real authorization server: one a task, gone with it, never in the sandbox, whoever asked for them.

import type { RequestListener } from 'node:http'

import { decodeJwt } from 'jose'
import t from 'tap'

import {
  CLIENT_SECRETS,
  OPAQUE_API,
  JWT_API,
  startOidc,
  type OidcServer,
} from '../fixtures/oidc-server.ts'
import { pki, ruleSet, scenario, type Scenario } from '../fixtures/scenario.ts'
import { makeTask, revoke, type MadeTask } from '../fixtures/tasks.ts'
import { startHttp, type Upstream } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const PATIENCE_MS = 20_000

/** Resource servers that take no token but a living one of the authorization server. */
async function startApis(oidc: OidcServer): Promise<Upstream & { readonly tokens: string[] }> {
  const tokens: string[] = []
  const raw: RequestListener = (request, response) => {
    const token = (request.headers.authorization ?? '').replace(/^Bearer /, '')
    tokens.push(token)
    const isTaken = token.includes('.')
      ? oidc.claims(token, JWT_API).then(
          () => true,
          () => false,
        )
      : oidc.isActive(token)
    // By nothing that a token begins with: that would be kept back for a moment, and come by itself.
    void isTaken.then((ok) => response.writeHead(ok ? 200 : 401).end(ok ? 'taken.' : 'refused.'))
  }
  const names = ['api.test', 'jwt.test', 'other.test']
  return Object.assign(await startHttp({ raw, tls: pki.issue({ names }) }), { tokens })
}

void t.test('OAuth', async (t) => {
  const oidc = await startOidc(true)
  const apis = await startApis(oidc)
  t.teardown(() => Promise.all([oidc.close(), apis.close()]))
  const at = (host: string): string => `${host}:${apis.port}`
  const auth = `auth.test:${oidc.port}`
  const refreshToken = await oidc.login()
  const config = `control: { listen: 'unix:state/control.sock' }
credentials:
  opaque:
    source:
      oauth:
        issuer: ${oidc.issuer}
        client: { id: basic, secret: { env: CLIENT_BASIC } }
        scope: ['repo:{repo}']
        resource: ['${OPAQUE_API}']
    inject: { bearer: true }
    hosts: ['${at('api.test')}']
  exchanged:
    source:
      oauth:
        issuer: ${oidc.issuer}
        client: { id: keyed, key: { file: client-key.secret }, keyId: one }
        exchange: { subject: { task: true } }
        scope: [read]
    inject: { bearer: true }
    hosts: ['${at('jwt.test')}']
  refreshed:
    source:
      oauth:
        token: ${oidc.issuer}/token
        client: { id: refresh, secret: { env: CLIENT_REFRESH } }
        refresh: { file: refresh.secret }
    inject: { bearer: true }
    hosts: ['${at('api.test')}']
  client:
    source: { env: CLIENT_API }
    inject: { basic: { user: api } }
    hosts: ['${auth}']
  captured:
    source:
      captured:
        from: ${oidc.issuer}/token
        revoke: ${oidc.issuer}/token/revocation
        introspect: ${oidc.issuer}/token/introspection
        client: { id: api, secret: { env: CLIENT_API } }
    inject: { bearer: true }
    hosts: ['${at('api.test')}']
`
  const rules = ruleSet(
    `id: opaque, allow: 'https://${at('api.test')}', paths: ['/opaque/**'], credential: opaque, ${LOOPBACK}`,
    `id: refreshed, allow: 'https://${at('api.test')}', paths: ['/refreshed/**'], credential: refreshed, ${LOOPBACK}`,
    `id: captured, allow: 'https://${at('api.test')}', paths: ['/captured/**'], credential: captured, ${LOOPBACK}`,
    `id: exchanged, allow: 'https://${at('jwt.test')}', credential: exchanged, ${LOOPBACK}`,
    `id: elsewhere, allow: 'https://${at('other.test')}', credential: opaque, ${LOOPBACK}`,
    `id: token, allow: 'https://${auth}', paths: ['/token'], methods: [POST], credential: client, ${LOOPBACK}`,
    `id: uncredentialed, allow: 'https://${auth}', paths: ['/TOKEN', '/token', '/token/'], ${LOOPBACK}`,
  )
  const options = {
    hosts: ['auth.test', 'api.test', 'jwt.test', 'other.test'],
    config,
    rules: {
      ...rules,
      named: "ruleset: named\nparams:\n  repo: { pattern: '[a-z]+' }\nrules: []\n",
    },
    expires: null,
    limits: 'providerTimeoutMs: 10000',
    secrets: {
      CLIENT_BASIC: CLIENT_SECRETS.basic,
      CLIENT_REFRESH: CLIENT_SECRETS.refresh,
      CLIENT_API: CLIENT_SECRETS.api,
      REFRESH_TOKEN: refreshToken,
    },
    files: { 'client-key.secret': oidc.keyPem, 'refresh.secret': `${refreshToken}\n` },
  }
  const send = (
    cx: Scenario,
    task: MadeTask,
    method: string,
    url: string,
    headers: readonly string[] = [],
    body = '',
  ): Promise<string> => {
    const { host } = new URL(url)
    const fields = [`Host: ${host}`, task.login, ...headers, 'Connection: close']
    if (body !== '') fields.push(`Content-Length: ${body.length}`)
    return cx.raw(`${method} ${url} HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n${body}`, PATIENCE_MS)
  }
  const get = (cx: Scenario, task: MadeTask, host: string, path: string): Promise<string> =>
    send(cx, task, 'GET', `https://${at(host)}${path}`)
  const repo = (name: string): Record<string, unknown> => ({
    params: { repo: name },
    rules: ['set', 'named'],
  })
  const guardTokens = (cx: Scenario): void =>
    oidc.answered
      .filter(({ path, status }) => path === '/token' && status === 200)
      .filter(({ body }) => body.startsWith('{'))
      .forEach(({ body }, index) => {
        const { access_token, refresh_token } = JSON.parse(body)
        cx.guard(`token ${index}`, access_token)
        if (refresh_token !== undefined) cx.guard(`refresh ${index}`, refresh_token)
      })

  scenario(t, 'R20, R23: a token for each task, dead after it', options, async (cx, t) => {
    const [one, two] = [await makeTask(cx, repo('one')), await makeTask(cx, repo('two'))]
    for (const task of [one, two, one])
      t.match(await get(cx, task, 'api.test', '/opaque/x'), /^HTTP\/1\.1 200[^]*taken/)
    const [first = '', second = '', again = ''] = apis.tokens.slice(-3)
    t.not(first, second, 'two tasks never share one')
    t.equal(first, again)
    t.strictSame(
      oidc.answered.filter(({ path }) => path === '/token').map(({ form }) => form.get('scope')),
      ['repo:one', 'repo:two'],
    )
    const before = apis.tokens.length
    t.match(await get(cx, one, 'other.test', '/x'), /credential-unavailable/, 'only at its hosts')
    t.equal(apis.tokens.length, before)
    await revoke(cx, one.id)
    t.notOk(await oidc.isActive(first), 'R13: the provider does not know it any more')
    t.ok(await oidc.isActive(second), "the other task's lives")
    t.match(await get(cx, two, 'api.test', '/opaque/x'), /^HTTP\/1\.1 200/)
    guardTokens(cx)
  })

  scenario(t, 'R18: the task itself is exchanged for a JWT', options, async (cx, t) => {
    const task = await makeTask(cx)
    t.match(await get(cx, task, 'jwt.test', '/x'), /^HTTP\/1\.1 200[^]*taken/)
    t.match(await oidc.claims(apis.tokens.at(-1) ?? '', JWT_API), { client_id: 'keyed' })
    // The server has verified it.
    const facts = decodeJwt(oidc.answered.at(-1)?.form.get('subject_token') ?? '')
    t.match(facts, { iss: 'keyed', sub: 'bot', aud: oidc.issuer, task: task.id, team: 'test' })
    guardTokens(cx)
  })

  scenario(
    t,
    'R23: refresh tokens rotate and stay here, over a restart',
    options,
    async (cx, t) => {
      const asked = oidc.answered.length
      for (const task of [await makeTask(cx), await makeTask(cx)])
        t.match(await get(cx, task, 'api.test', '/refreshed/x'), /^HTTP\/1\.1 200[^]*taken/)
      t.equal(await cx.stop(), 0)
      await cx.start()
      const last = await makeTask(cx)
      t.match(await get(cx, last, 'api.test', '/refreshed/x'), /^HTTP\/1\.1 200[^]*taken/)
      const used = oidc.answered.slice(asked).flatMap(({ form }) => form.getAll('refresh_token'))
      t.equal(new Set(used).size, 3, 'each was used once')
      guardTokens(cx)
    },
  )

  scenario(t, 'R17: what a client asks for itself is captured', options, async (cx, t) => {
    const task = await makeTask(cx)
    t.match(await get(cx, task, 'api.test', '/captured/x'), /credential-unavailable/, 'none yet')
    const { CLIENT_TOKEN = '', CAPTURED_TOKEN = '' } = task.env
    const pair = Buffer.from(`api:${CLIENT_TOKEN}`).toString('base64')
    const form = 'Content-Type: application/x-www-form-urlencoded'
    const fields = [`Authorization: Basic ${pair}`, form, 'Accept-Encoding: gzip']
    const grant = 'grant_type=client_credentials&scope=read'
    const answer = await send(cx, task, 'POST', `${oidc.issuer}/token`, fields, grant)
    t.match(answer, /^HTTP\/1\.1 200/)
    const given = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))
    t.match(given, { access_token: CAPTURED_TOKEN, token_type: 'Bearer', expires_in: Number })
    const [real = ''] = oidc.tokens().slice(-1)
    t.notMatch(answer, real)
    const bearer = [`Authorization: Bearer ${given.access_token}`]
    const url = `https://${at('api.test')}/captured/x`
    t.match(await send(cx, task, 'GET', url, bearer), /^HTTP\/1\.1 200[^]*taken/)
    t.equal(apis.tokens.at(-1), real)

    const other = await makeTask(cx)
    t.match(await send(cx, other, 'GET', url), /credential-unavailable/, 'not for another task')
    const wrong = await send(cx, task, 'POST', `${oidc.issuer}/token`, fields, 'grant_type=no')
    t.match(wrong, /^HTTP\/1\.1 400[^]*unsupported_grant_type/, 'its errors pass')
    await revoke(cx, task.id)
    t.notOk(await oidc.isActive(real), 'R13: it is gone with the task')

    oidc.instead = (_, response) => {
      response
        .writeHead(200, { 'content-type': 'text/plain' })
        .end('access_token=canary-plain-token')
    }
    const echoed = await send(cx, other, 'POST', `${oidc.issuer}/token`, [form], grant)
    t.match(echoed, /^HTTP\/1\.1 502[^]*credential-echoed/)
    t.notMatch(echoed, /canary/)
    oidc.instead = (_, response) => {
      const body = { access_token: 'canary-foreign-token', refresh_token: 'canary-refresh' }
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    }
    for (const path of ['/TOKEN', '/token/']) {
      const spelled = await send(cx, other, 'POST', `${oidc.issuer}${path}`, [form], grant)
      t.match(spelled, /^HTTP\/1\.1 200[^]*sallyport-withheld/, path)
      t.notMatch(spelled, /canary/)
    }
    t.match(
      await send(cx, other, 'GET', url),
      /credential-unavailable/,
      'asked without ours: not kept',
    )
    oidc.instead = undefined
    guardTokens(cx)
  })

  const failures: Record<string, RequestListener> = {
    'it is down': (_, response) => response.destroy(),
    'it has no time': (_, response) =>
      void response.writeHead(429, { 'retry-after': '1' }).end('{"error":"slow_down"}'),
    'it knows no client': (_, response) =>
      void response
        .writeHead(401, { 'content-type': 'application/json' })
        .end('{"error":"invalid_client","error_description":"canary-description"}'),
    'it binds the token to a key': (_, response) =>
      void response
        .writeHead(200, { 'content-type': 'application/json' })
        .end('{"access_token":"canary-dpop-token","token_type":"DPoP"}'),
    'it gives more': (_, response) =>
      void response
        .writeHead(200, { 'content-type': 'application/json' })
        .end('{"access_token":"canary-wide-token","token_type":"bearer","scope":"repo:one admin"}'),
    'it redirects': (_, response) => void response.writeHead(302, { location: '/else' }).end(),
    'it says nothing sensible': (_, response) => void response.writeHead(200).end('<html>'),
    'providerAnswerBytesMax: it talks without end': (_, response) =>
      void response.writeHead(200).end('x'.repeat(2 * 1024 * 1024)),
    'it does not answer': () => undefined,
  }
  scenario(
    t,
    'a provider that fails fails its calls, and no others',
    { ...options, limits: 'providerTimeoutMs: 6000' },
    async (cx, t) => {
      const well = await makeTask(cx, repo('one'))
      t.match(await get(cx, well, 'api.test', '/opaque/x'), /^HTTP\/1\.1 200/)
      for (const [title, instead] of Object.entries(failures)) {
        oidc.instead = instead
        const task = await makeTask(cx, repo('one'))
        const answer = await get(cx, task, 'api.test', '/opaque/x')
        t.match(answer, /^HTTP\/1\.1 502[^]*credential-unavailable/, title)
        t.match(await get(cx, well, 'api.test', '/opaque/x'), /^HTTP\/1\.1 200/, 'others go on')
      }
      oidc.instead = undefined
      const task = await makeTask(cx, repo('one'))
      t.match(await get(cx, task, 'api.test', '/opaque/x'), /^HTTP\/1\.1 200/)
      cx.guard('words', 'canary-description')
      cx.guard('dpop', 'canary-dpop-token')
      cx.guard('wide', 'canary-wide-token')
      guardTokens(cx)
    },
  )
})
