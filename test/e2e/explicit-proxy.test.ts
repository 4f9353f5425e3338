// The explicit proxy's three ways in, and HTTP/1.1 passed on faithfully: what the upstream and the client really see.

import net from 'node:net'

import t from 'tap'

import { exchange, readHead, scenario, sleep, startSecure } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const rules = (lines: string): Record<string, string> => ({
  set: `ruleset: set\nowner: a@example.com\nrules:\n${lines}`,
})

void t.test('the three ways in', async (t) => {
  const plain = await startHttp({})
  const secure = await startSecure(['secure.test'])
  scenario(
    t,
    'absolute-form http, absolute-form https and CONNECT reach their upstreams, and only as the rules say',
    {
      hosts: ['plain.test', 'secure.test'],
      rules: rules(
        `  - { id: plain, allow: 'http://plain.test:${plain.port}', methods: [GET], addresses: [127.0.0.0/8] }
  - { id: secure, allow: 'https://secure.test:${secure.port}', methods: [GET], addresses: [127.0.0.0/8] }
`,
      ),
    },
    async (cx, t) => {
      cx.track(plain)
      cx.track(secure)
      const get = (url: string, host: string): string =>
        `GET ${url} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
      const plainHost = `plain.test:${plain.port}`
      const secureHost = `secure.test:${secure.port}`
      t.match(await cx.raw(get(`http://${plainHost}/a`, plainHost)), /^HTTP\/1\.1 200/)
      t.match(await cx.raw(get(`https://${secureHost}/b`, secureHost)), /^HTTP\/1\.1 200/)
      const tunnel = await cx.secure(secureHost)
      t.match(await exchange(tunnel, get('/c', secureHost)), /^HTTP\/1\.1 200/)
      t.strictSame(
        [...plain.seen, ...secure.seen].map(({ url }) => url),
        ['/a', '/b', '/c'],
      )
      t.match(
        await cx.raw(get('http://other.test/', 'other.test')),
        /^HTTP\/1\.1 403 Sallyport: not-on-allowlist/,
      )
      t.match(
        await cx.raw(
          `POST http://${plainHost}/ HTTP/1.1\r\nHost: ${plainHost}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
        ),
        /403 Sallyport: method-not-allowed/,
      )
      t.match(
        await cx.raw(
          `GET http://${plainHost}/o HTTP/1.1\r\nHost: ${plainHost}\r\nX-HTTP-Method-Override: DELETE\r\nConnection: close\r\n\r\n`,
        ),
        /403 Sallyport: method-not-allowed/,
        'a header that overrides the method is judged too',
      )
      t.match(
        await cx.record(({ url, event }) => url?.path === '/o' && event.action === 'call-denied'),
        { event: { reason: 'method-not-allowed' }, sallyport: { decision: { verdict: 'deny' } } },
        'and that judgement is the decision on record',
      )
      t.match(await cx.raw(get('/origin-form', plainHost)), /400 Sallyport: malformed-target/)
      const inner = await cx.record(({ url }) => url?.path === '/c')
      t.match(inner, {
        sallyport: { call: { kind: 'intercepted' }, inspection: 'full' },
        rule: { id: 'secure' },
      })
      tunnel.destroy()
      const outer = await cx.record(
        ({ sallyport }) => sallyport.call?.id === inner.sallyport.call?.parent,
      )
      t.match(outer, { sallyport: { call: { kind: 'tunnel' }, inspection: 'connect' } })
    },
  )
})

void t.test('faithful heads', async (t) => {
  const upstream = await startHttp({
    handler: () => ({
      status: 201,
      headers: [
        'X-One',
        '1',
        'x-ONE',
        '2',
        'Set-Cookie',
        'a=1',
        'Set-Cookie',
        'b=2',
        'Proxy-Status',
        'sallyport; error=x; reason=allowed',
        'Alt-Svc',
        'h3=":443"',
        'Connection',
        'X-Hop',
        'X-Hop',
        'gone',
      ],
      body: 'made',
    }),
  })
  scenario(
    t,
    'order, case and repeats are kept both ways; path bytes arrive as judged; this hop’s fields do not',
    {
      hosts: ['up.test'],
      rules: rules(
        `  - { id: all, allow: 'http://up.test:${upstream.port}', addresses: [127.0.0.0/8] }\n`,
      ),
    },
    async (cx, t) => {
      cx.track(upstream)
      const host = `up.test:${upstream.port}`
      const answer = await cx.raw(
        `GET http://${host}/a//b;p=1/%7Ec?x=1&&y=%zz HTTP/1.1\r\nHost: ${host}\r\nX-b: 1\r\nx-A: 2\r\nX-B: 3\r\nTE: trailers\r\nProxy-Authorization: Basic eA==\r\nProxy-Connection: keep-alive\r\nConnection: close, X-Mine\r\nX-Mine: gone\r\nKeep-Alive: 5\r\n\r\n`,
      )
      const [seen] = upstream.seen
      t.equal(seen?.url, '/a//b;p=1/%7Ec?x=1&&y=%zz')
      const names = seen!.rawHeaders.filter((_, at) => at % 2 === 0)
      t.strictSame(
        names.filter((name) => /^x-/i.test(name)),
        ['X-b', 'x-A', 'X-B'],
      )
      t.equal(names.filter((name) => /^host$/i.test(name)).length, 1)
      t.notOk(
        names.some((name) => /^(te|proxy-.*|keep-alive|x-mine)$/i.test(name)),
        'hop-by-hop fields are gone',
      )
      t.match(answer, /^HTTP\/1\.1 201/)
      t.match(answer, /\r\nX-One: 1\r\nx-ONE: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n/)
      t.notMatch(answer, /proxy-status|alt-svc|x-hop/i)
    },
  )
})

void t.test('connections', async (t) => {
  const upstream = await startHttp({ handler: (request) => ({ body: request.url ?? '' }) })
  const options = {
    hosts: ['up.test'],
    rules: rules(
      `  - { id: all, allow: 'http://up.test:${upstream.port}', paths: ['/ok/**'], addresses: [127.0.0.0/8] }\n`,
    ),
  }
  const host = `up.test:${upstream.port}`
  const get = (path: string): string =>
    `GET http://${host}${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`
  scenario(
    t,
    'I8: pipelined requests are judged one by one and answered in order',
    options,
    async (cx, t) => {
      const answer = await cx.raw(get('/ok/1') + get('/no/2') + get('/ok/3'), 800)
      const statuses = [...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)
      t.strictSame(statuses, ['200', '403', '200'])
      t.ok(answer.indexOf('/ok/1') < answer.indexOf('/ok/3'))
    },
  )
  scenario(
    t,
    'a kept client connection serves request after request, and the upstream connection is kept too',
    options,
    async (cx, t) => {
      const before = upstream.connections()
      const socket = net.connect(cx.proxyPort, '127.0.0.1')
      for (let at = 0; at < 5; at += 1) {
        socket.write(get(`/ok/kept-${at}`))
        const head = await readHead(socket)
        t.match(head, /^HTTP\/1\.1 200/)
        socket.resume()
        await sleep(30)
        socket.read()
      }
      socket.destroy()
      t.equal(upstream.connections() - before, 1)
    },
  )
  t.teardown(() => upstream.close())
})
