// Refusals as an agent meets them: the head of contract section 7, the body, and where they are answered.

import t from 'tap'

import { exchange, scenario, startSecure } from '../fixtures/scenario.ts'

const rules = {
  set: `ruleset: set
owner: a@example.com
rules:
  - { id: one, allow: 'https://up.test:UP', methods: [GET], paths: ['/ok'], addresses: [127.0.0.0/8] }
  - { id: elsewhere, allow: 'https://up.test:UP', methods: [GET], paths: ['/prod'], environment: prod, addresses: [127.0.0.0/8] }
  - { id: no, deny: 'https://up.test', paths: ['/secret/**'] }
`,
}

void t.test('refusals', async (t) => {
  const upstream = await startSecure(['up.test'])
  t.teardown(() => upstream.close())
  const host = `up.test:${upstream.port}`
  const options = {
    hosts: ['up.test'],
    rules: { set: rules.set.replaceAll('UP', String(upstream.port)) },
  }
  const get = (path: string): string =>
    `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`

  scenario(
    t,
    'a refused CONNECT carries the token in the reason phrase, Proxy-Status and a problem body',
    options,
    async (cx, t) => {
      const answer = await cx.raw('CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n')
      const [head = '', body = ''] = answer.split('\r\n\r\n')
      t.match(head, /^HTTP\/1\.1 403 Sallyport: not-on-allowlist\r\n/)
      t.match(
        head,
        /\r\nProxy-Status: sallyport; error=http_request_denied; reason=not-on-allowlist\r\n/,
      )
      t.match(head, /\r\nContent-Type: application\/problem\+json\r\n/)
      const record = await cx.record(({ event }) => event.reason === 'not-on-allowlist')
      t.strictSame(JSON.parse(body), {
        type: 'urn:sallyport:reason:not-on-allowlist',
        title: "destination not on this task's allowlist",
        status: 403,
        reason: 'not-on-allowlist',
        call: record.sallyport.call?.id,
        task: record.sallyport.task?.id,
        retry: 'no',
        remedy: "Do not retry. Ask the task's owner to add a rule for this destination.",
      })
      t.notMatch(body, /evil/, 'nothing of the request comes back')
    },
  )

  scenario(
    t,
    'a call inside a tunnel is refused inside it, and the next one may pass',
    options,
    async (cx, t) => {
      const allowed = await exchange(await cx.secure(host), get('/ok'))
      t.match(allowed, /^HTTP\/1\.1 200/)
      t.match(
        await exchange(await cx.secure(host), get('/no')),
        /^HTTP\/1\.1 403 Sallyport: path-not-allowed/,
      )
      t.match(
        await exchange(await cx.secure(host), get('/secret/x')),
        /^HTTP\/1\.1 403 Sallyport: denied-by-rule/,
      )
      t.match(
        await exchange(await cx.secure(host), get('/SECRET/x')),
        /^HTTP\/1\.1 403 Sallyport: denied-by-rule/,
      )
      t.match(
        await exchange(await cx.secure(host), get('/a/%2e%2e/ok')),
        /^HTTP\/1\.1 400 Sallyport: malformed-path/,
      )
      t.match(
        await exchange(await cx.secure(host), get('/prod')),
        /^HTTP\/1\.1 403 Sallyport: environment-mismatch/,
        "R28: a task of environment test at prod's destination",
      )
      t.equal(
        upstream.seen.filter(({ url }) => url !== '/ok').length,
        0,
        'R35: nothing refused reached the upstream',
      )
    },
  )

  scenario(
    t,
    '`refusals: inside` accepts a refused CONNECT and answers in it, dialing nothing',
    { ...options, config: 'refusals: { connect: inside }' },
    async (cx, t) => {
      const before = upstream.connections()
      const socket = await cx.secure('evil.test:443')
      const answer = await exchange(
        socket,
        'GET / HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n',
      )
      t.match(answer, /^HTTP\/1\.1 403 Sallyport: not-on-allowlist/)
      t.equal(upstream.connections(), before)
      await cx.record(
        ({ sallyport, event }) =>
          event.reason === 'not-on-allowlist' && sallyport.call?.kind === 'intercepted',
      )
      await cx.record(
        ({ sallyport, event }) =>
          event.reason === 'not-on-allowlist' && sallyport.call?.kind === 'tunnel',
      )
    },
  )

  scenario(
    t,
    'I5: without a task everything is refused: 407 without a credential, 403 with one',
    { expires: null },
    async (cx, t) => {
      const connect = (more: string): string =>
        `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`
      const missing = await cx.raw(connect(''))
      t.match(missing, /^HTTP\/1\.1 407 Sallyport: identity-missing\r\n/)
      t.match(missing, /\r\nProxy-Authenticate: Basic realm="sallyport"\r\n/)
      t.match(
        await cx.raw(connect('Proxy-Authorization: Basic dDpi\r\n')),
        /^HTTP\/1\.1 403 Sallyport: identity-unknown/,
      )
    },
  )

  scenario(
    t,
    'R35: a fresh installation with an empty set denies everything',
    { rules: { none: 'ruleset: none\nowner: a@example.com\nrules: []\n' } },
    async (cx, t) => {
      t.match(
        await cx.raw(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`),
        /403 Sallyport: not-on-allowlist/,
      )
      t.match(
        await cx.raw(`GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
        /403 Sallyport: not-on-allowlist/,
      )
    },
  )
})
