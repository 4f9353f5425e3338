// Credentials in bodies, seen by the servers that check them: at their place and nowhere else, by every way a body is sent, and
// not for a client that says something of its own there.

import t from 'tap'

import { ask, openHttp2 } from '../fixtures/http2-client.ts'
import { startHttp2 } from '../fixtures/http2-upstream.ts'
import {
  exchange,
  pki,
  request,
  ruleSet,
  scenario,
  startSecure,
  type Scenario,
} from '../fixtures/scenario.ts'
import type { Handler } from '../fixtures/upstreams.ts'

const SECRETS = {
  FORM: 'canary-form+/=&-31c8a7',
  JSON_KEY: 'canary-"json"-55d0b1',
  BEARER: 'canary-bearer-9a3e77',
}
// A call on a busy machine; its connection closes behind it.
const WAIT_MS = 20_000
const LOOPBACK = 'addresses: [127.0.0.0/8]'
const FORM = 'Content-Type: application/x-www-form-urlencoded'
const JSON_TYPE = 'Content-Type: application/json'
const UNAVAILABLE = /^HTTP\/1\.1 502 Sallyport: credential-unavailable/
const MALFORMED = /^HTTP\/1\.1 400 Sallyport: malformed-body/

/** As a token endpoint reads it: 401 unless the one field says the secret. */
const formServer: Handler = (_request, body) => ({
  status:
    new URLSearchParams(body.toString()).getAll('client_secret').join() === SECRETS.FORM
      ? 200
      : 401,
})
const jsonServer: Handler = (_request, body) => ({
  status: JSON.parse(body.toString() || '{}')?.auth?.key === SECRETS.JSON_KEY ? 200 : 401,
})

void t.test('credentials in bodies', async (t) => {
  const [form, json, both, other] = await Promise.all([
    startSecure(['form.test'], formServer),
    startSecure(['json.test'], jsonServer),
    startSecure(['both.test'], () => ({ body: 'ok' })),
    startSecure(['other.test'], () => ({ body: 'ok' })),
  ])
  const landing = `https://other.test:${other.port}/landed`
  const moved = await startSecure(['moved.test'], () => ({
    status: 307,
    headers: ['Location', landing],
  }))
  const http2 = await startHttp2(pki.issue({ names: ['http2.test'] }))
  t.teardown(() =>
    Promise.all([form, json, both, other, moved, http2].map((upstream) => upstream.close())),
  )
  const at = {
    form: `form.test:${form.port}`,
    json: `json.test:${json.port}`,
    both: `both.test:${both.port}`,
    other: `other.test:${other.port}`,
    moved: `moved.test:${moved.port}`,
    http2: `http2.test:${http2.port}`,
  }
  const options = {
    hosts: ['form.test', 'json.test', 'both.test', 'other.test', 'moved.test', 'http2.test'],
    secrets: SECRETS,
    limits: 'signedBodyBytesMax: 4096',
    config: `credentials:
  form: { source: { env: FORM }, inject: { form: { field: client_secret } }, hosts: ['${at.form}', '${at.both}', '${at.moved}', '${at.http2}'] }
  json: { source: { env: JSON_KEY }, inject: { json: { pointer: /auth/key } }, hosts: ['${at.json}', '${at.both}', '${at.http2}'] }
  bearer: { source: { env: BEARER }, inject: { bearer: true }, hosts: ['${at.both}'] }
`,
    rules: ruleSet(
      `id: form, allow: 'https://${at.form}', credential: form, ${LOOPBACK}`,
      `id: json, allow: 'https://${at.json}', credential: json, ${LOOPBACK}, when: '!has(call.body.json) || !has(call.body.json.no)'`,
      `id: both, allow: 'https://${at.both}', paths: ['/bearer'], credential: bearer, ${LOOPBACK}`,
      `id: none, allow: 'https://${at.both}', paths: ['/none'], ${LOOPBACK}`,
      `id: pass, allow: 'https://${at.both}', paths: ['/pass'], clientAuth: pass, ${LOOPBACK}`,
      `id: refuse, allow: 'https://${at.both}', paths: ['/refuse'], credential: form, placeholderInBody: refuse, ${LOOPBACK}`,
      `id: other, allow: 'https://${at.other}', ${LOOPBACK}`,
      `id: moved, allow: 'https://${at.moved}', credential: form, ${LOOPBACK}`,
      `id: http2-form, allow: 'https://${at.http2}', paths: ['/form'], credential: form, ${LOOPBACK}`,
      `id: http2-json, allow: 'https://${at.http2}', paths: ['/json'], credential: json, ${LOOPBACK}`,
    ),
  }
  const post = async (
    cx: Scenario,
    host: string,
    headers: readonly string[],
    body: string,
    target = '/',
  ): Promise<string> =>
    exchange(await cx.secure(host), request('POST', target, host, { headers, body }), WAIT_MS)

  scenario(
    t,
    'R18: a field of a form and a member of JSON, whatever way the body comes',
    options,
    async (cx, t) => {
      const { FORM_TOKEN: held = '', JSON_TOKEN: heldJson = '' } = cx.env()
      const written = `client_secret=${encodeURIComponent(SECRETS.FORM)}`
      t.match(await post(cx, at.form, [FORM], `a=%31&client_secret=${held}&b=+`), /^HTTP\/1\.1 200/)
      t.equal(form.seen.at(-1)!.body.toString(), `a=%31&${written}&b=+`)
      t.match(await post(cx, at.form, [FORM], 'a=1'), /^HTTP\/1\.1 200/, 'absent: added')
      const chunked = request('POST', '/', at.form, {
        headers: [FORM, 'Transfer-Encoding: chunked'],
      })
      t.match(
        await exchange(
          await cx.secure(at.form),
          `${chunked}3\r\na=1\r\n2\r\n&b\r\n0\r\n\r\n`,
          WAIT_MS,
        ),
        /^HTTP\/1\.1 200/,
      )
      t.equal(form.seen.at(-1)!.body.toString(), `a=1&b&${written}`)
      t.match(form.seen.at(-1)!.rawHeaders.join(' '), /Content-Length/)
      const empty = request('POST', '/', at.form, { headers: [FORM] })
      t.match(
        await exchange(await cx.secure(at.form), empty, WAIT_MS),
        /^HTTP\/1\.1 200/,
        'no body at all',
      )
      const patient = await cx.client('curl', [
        '-sS',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}',
        '-H',
        'Expect: 100-continue',
        '-d',
        'a=1',
        `https://${at.form}/`,
      ])
      t.match(patient, { status: 0, stdout: '200' }, 'a client that waits')
      const text = `{ "auth": {"key": "${heldJson}"}, "n": 1.50 }`
      t.match(await post(cx, at.json, [JSON_TYPE], text), /^HTTP\/1\.1 200/, 'a rule that reads it')
      t.equal(
        json.seen.at(-1)!.body.toString(),
        text.replace(`"${heldJson}"`, JSON.stringify(SECRETS.JSON_KEY)),
      )
      t.match(
        await post(cx, at.json, [JSON_TYPE], '{"auth":{},"no":1}'),
        /^HTTP\/1\.1 403/,
        'it is judged as it was sent',
      )
      t.match(await cx.record(({ rule }) => rule?.id === 'form'), {
        sallyport: { credential: { name: 'form', action: 'replaced' } },
      })
    },
  )

  scenario(t, 'R18: by HTTP/2, with the length that it has', options, async (cx, t) => {
    const session = await openHttp2(cx, at.http2)
    const send = (path: string, type: string, body: string, more = {}): ReturnType<typeof ask> =>
      ask(session, { ':method': 'POST', ':path': path, 'content-type': type, ...more }, body)
    const sent = await send('/form', 'application/x-www-form-urlencoded', 'a=1', {
      'content-length': '3',
    })
    t.equal(sent.status, 200)
    t.match(http2.seen.at(-1), {
      version: '2.0',
      body: `a=1&client_secret=${encodeURIComponent(SECRETS.FORM)}`,
    })
    t.equal(http2.seen.at(-1)!.headers['content-length'], String(http2.seen.at(-1)!.body.length))
    t.equal(
      (await send('/json', 'application/json; charset=utf-8', '{"auth":{"key":1}}')).status,
      200,
    )
    t.strictSame(JSON.parse(http2.seen.at(-1)!.body), { auth: { key: SECRETS.JSON_KEY } })
    session.close()
  })

  scenario(
    t,
    'R22: what the client says at the place is not sent, in whatever spelling',
    options,
    async (cx, t) => {
      t.match(await post(cx, at.form, [FORM], 'client_secret=mine'), /^HTTP\/1\.1 200/)
      t.match(await post(cx, at.json, [JSON_TYPE], '{"auth":{"key":"mine"}}'), /^HTTP\/1\.1 200/)
      const before = form.seen.length + json.seen.length
      for (const body of [
        'client_secret=1&client_secret=2',
        'Client_Secret=1',
        'client_secret[]=1',
        'a;client_secret=1',
      ])
        t.match(await post(cx, at.form, [FORM], body), MALFORMED, body)
      for (const body of [
        '{"auth":{},"auth":{"key":1}}',
        '{"auth":{"Key":1}}',
        '\ufeff{"auth":{}}',
        '{"auth":{"\\u006bey":1}}',
      ])
        t.match(await post(cx, at.json, [JSON_TYPE], body), MALFORMED, body)
      for (const headers of [
        [],
        ['Content-Type: text/plain'],
        ['Content-Type: application/x-www-form-urlencoded; charset=utf-16'],
        [FORM, FORM],
        [FORM, 'Content-Encoding: gzip'],
        [FORM, 'Content-MD5: x'],
        [FORM, 'Content-Digest: sha-256=:x=:'],
      ])
        t.match(await post(cx, at.form, headers, 'a=1'), UNAVAILABLE, headers.join())
      t.match(
        await post(cx, at.json, [JSON_TYPE], '{"a":1}'),
        UNAVAILABLE,
        'the object is not there',
      )
      t.match(
        await post(cx, at.form, [FORM], 'a'.repeat(5000)),
        /^HTTP\/1\.1 413 Sallyport: body-too-large/,
        'signedBodyBytesMax',
      )
      t.equal(form.seen.length + json.seen.length, before, 'nothing of it left')
      const own = '{"auth":{"key":"mine"},"a":1}'
      const sent = (): string => both.seen.at(-1)!.body.toString()
      for (const path of ['/bearer', '/none']) {
        t.match(await post(cx, at.both, [JSON_TYPE], own, path), /^HTTP\/1\.1 200/)
        t.equal(
          sent(),
          '{"auth":{},"a":1}',
          `${path}: nor at the place of another credential of the host`,
        )
        t.match(await post(cx, at.both, [FORM], 'a=1&client_secret=mine', path), /^HTTP\/1\.1 200/)
        t.equal(sent(), 'a=1')
        t.match(await post(cx, at.both, ['Content-Type: text/plain'], own, path), /^HTTP\/1\.1 200/)
        t.equal(sent(), own, 'what is no form and no JSON flows as it is')
      }
      t.match(await post(cx, at.both, [JSON_TYPE], own, '/pass'), /^HTTP\/1\.1 200/)
      t.equal(sent(), own, 'clientAuth: pass')
    },
  )

  scenario(
    t,
    'R19: the placeholder is worth something at its place alone',
    options,
    async (cx, t) => {
      const { FORM_TOKEN: held = '' } = cx.env()
      t.match(await post(cx, at.form, [FORM], `other=${held}`), /^HTTP\/1\.1 200/)
      t.equal(
        form.seen.at(-1)!.body.toString().split('&')[0],
        `other=${held}`,
        'elsewhere it goes on, worthless',
      )
      const alerts = (): number =>
        cx.records().filter(({ event }) => event.action === 'placeholder-misused').length
      t.equal(alerts(), 1, 'with an alert')
      t.match(await post(cx, at.other, [FORM], `client_secret=${held}`), /^HTTP\/1\.1 200/)
      t.equal(other.seen.at(-1)!.body.toString(), `client_secret=${held}`)
      t.equal(alerts(), 2)
      const stray = `client_secret=${held}&b=${held}`
      t.match(
        await post(cx, at.both, [FORM], stray, '/refuse'),
        /^HTTP\/1\.1 403 Sallyport: placeholder-misused/,
      )
      t.match(
        await post(cx, at.both, [FORM], `client_secret=${held}`, '/refuse'),
        /^HTTP\/1\.1 200/,
      )
      t.match(
        await post(cx, at.form, [FORM, `X-A: ${held}`], 'a'),
        /^HTTP\/1\.1 403 Sallyport: placeholder-misused/,
      )
    },
  )

  scenario(
    t,
    'R19: a redirect is the client’s to follow, and its second hop gets nothing',
    options,
    async (cx, t) => {
      const { FORM_TOKEN: held = '' } = cx.env()
      const run = await cx.client('curl', [
        '-sS',
        '-L',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}',
        '-d',
        `client_secret=${held}`,
        `https://${at.moved}/`,
      ])
      t.match(run, { status: 0, stdout: '200' })
      t.match(moved.seen.at(-1)!.body.toString(), encodeURIComponent(SECRETS.FORM))
      t.match(other.seen.at(-1), { url: '/landed' })
      t.equal(other.seen.at(-1)!.body.toString(), `client_secret=${held}`)
    },
  )
})
