// Credentials in cookies, in paths and as signatures, seen by the servers that check them.

import { createPublicKey, createHmac, generateKeyPairSync } from 'node:crypto'

import t from 'tap'

import {
  exchange,
  request,
  ruleSet,
  scenario,
  startSecure,
  until,
  type Scenario,
} from '../fixtures/scenario.ts'
import type { Seen } from '../fixtures/upstreams.ts'
import { oneValue, verifiesMessage } from '../fixtures/verify-request.ts'

const { privateKey } = generateKeyPairSync('ed25519')
const SECRETS = {
  COOKIE: 'canary-cookie-aa41f09c3d',
  TELEGRAM: '123456789:canary_path-b7c1d20e55',
  HOOK: 'canary-hmac-6d0e1f2a3b',
  SHARED: 'canary-shared-4455aabbcc',
}
const KEY = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
// A call on a busy machine; its connection closes behind it.
const WAIT_MS = 20_000
const LOOPBACK = 'addresses: [127.0.0.0/8]'
const UNAVAILABLE = /^HTTP\/1\.1 502 Sallyport: credential-unavailable/
const MISUSED = /^HTTP\/1\.1 403 Sallyport: placeholder-misused/

void t.test('credentials in heads', async (t) => {
  const silent = (): { body: string } => ({ body: 'ok' })
  const [cookie, telegram, hook, signed, other] = await Promise.all([
    startSecure(['cookie.test'], silent),
    startSecure(['telegram.test'], silent),
    startSecure(['hook.test'], silent),
    startSecure(['signed.test'], silent),
    startSecure(['other.test'], silent),
  ])
  const upstreams = [cookie, telegram, hook, signed, other]
  t.teardown(() => Promise.all(upstreams.map((upstream) => upstream.close())))
  const at = {
    cookie: `cookie.test:${cookie.port}`,
    telegram: `telegram.test:${telegram.port}`,
    hook: `hook.test:${hook.port}`,
    signed: `signed.test:${signed.port}`,
    other: `other.test:${other.port}`,
  }
  const options = {
    hosts: ['cookie.test', 'telegram.test', 'hook.test', 'signed.test', 'other.test'],
    secrets: SECRETS,
    files: { 'key.secret': KEY },
    config: `credentials:
  cookie: { source: { env: COOKIE }, inject: { cookie: { name: session } }, hosts: ['${at.cookie}'] }
  telegram: { source: { env: TELEGRAM }, inject: { path: { segment: 1, format: 'bot{}' } }, hosts: ['${at.telegram}'] }
  github:
    source: { env: HOOK }
    inject: { sign: { hmac: { text: '{body}', header: X-Hub-Signature-256, format: 'sha256={}' } } }
    hosts: ['${at.hook}']
  whole:
    source: { env: HOOK }
    inject:
      sign:
        hmac:
          algorithm: sha512
          text: "{method}\\n{host}\\n{path}\\n{query}\\n{timestamp}\\n{nonce}\\n{header:content-type}\\n{body.sha256}"
          encoding: base64
          header: X-Signature
          format: 'v1={}'
          timestamp: { header: X-Timestamp, format: unix }
          nonce: { header: X-Nonce }
          keyId: { header: X-Key-Id, value: agent }
    hosts: ['${at.hook}']
  message:
    source: { file: key.secret }
    inject: { sign: { message: { algorithm: ed25519, keyId: agent-1, components: ['@method', '@authority', '@path', '@query', content-digest, content-type], expires: 60s, nonce: true } } }
    hosts: ['${at.signed}']
  shared:
    source: { env: SHARED }
    inject: { sign: { message: { algorithm: hmac-sha256, keyId: agent-2, components: ['@method', '@path'] } } }
    hosts: ['${at.signed}']
`,
    rules: ruleSet(
      `id: cookie, allow: 'https://${at.cookie}', paths: ['/with'], credential: cookie, ${LOOPBACK}`,
      `id: without, allow: 'https://${at.cookie}', paths: ['/without'], ${LOOPBACK}`,
      `id: pass, allow: 'https://${at.cookie}', paths: ['/pass'], credential: cookie, clientAuth: pass, ${LOOPBACK}`,
      `id: telegram, allow: 'https://${at.telegram}', paths: ['/bot*/sendMessage'], credential: telegram, ${LOOPBACK}`,
      `id: github, allow: 'https://${at.hook}', paths: ['/github'], credential: github, ${LOOPBACK}`,
      `id: whole, allow: 'https://${at.hook}', paths: ['/whole'], credential: whole, ${LOOPBACK}`,
      `id: message, allow: 'https://${at.signed}', paths: ['/message'], credential: message, ${LOOPBACK}`,
      `id: shared, allow: 'https://${at.signed}', paths: ['/shared'], credential: shared, ${LOOPBACK}`,
      `id: other, allow: 'https://${at.other}', ${LOOPBACK}`,
    ),
  }
  const call = async (
    cx: Scenario,
    host: string,
    target: string,
    headers: readonly string[] = [],
    body?: string,
  ): Promise<string> =>
    exchange(
      await cx.secure(host),
      request(body === undefined ? 'GET' : 'POST', target, host, {
        headers,
        ...(body !== undefined && { body }),
      }),
      WAIT_MS,
    )

  scenario(
    t,
    'R18, R22: a cookie, in place of the client’s and without its others',
    options,
    async (cx, t) => {
      const { COOKIE_TOKEN: held = '' } = cx.env()
      const cookies = (): string | undefined => oneValue(cookie.seen.at(-1)!, 'cookie')
      t.match(await call(cx, at.cookie, '/with'), /^HTTP\/1\.1 200/)
      t.equal(cookies(), `session=${SECRETS.COOKIE}`)
      t.match(
        await call(cx, at.cookie, '/with', [`Cookie: a=1; session=${held}`]),
        /^HTTP\/1\.1 200/,
      )
      t.equal(cookies(), `session=${SECRETS.COOKIE}`)
      t.match(
        await call(cx, at.cookie, '/pass', ['Cookie: a=1; session=mine; session=other']),
        /^HTTP\/1\.1 200/,
      )
      t.equal(cookies(), `a=1; session=${SECRETS.COOKIE}`)
      t.match(await call(cx, at.cookie, '/without', ['Cookie: session=mine']), /^HTTP\/1\.1 200/)
      t.equal(cookies(), undefined)
      t.match(await call(cx, at.cookie, '/with', [`Cookie: other=${held}`]), MISUSED)
      t.match(await call(cx, at.other, '/', [`Cookie: session=${held}`]), MISUSED)
    },
  )

  scenario(
    t,
    'R18, R19: a segment of the path, exactly where the placeholder was sent',
    options,
    async (cx, t) => {
      const { TELEGRAM_TOKEN: held = '' } = cx.env()
      t.match(await call(cx, at.telegram, `/bot${held}/sendMessage?text=a%20b`), /^HTTP\/1\.1 200/)
      t.equal(telegram.seen.at(-1)!.url, `/bot${SECRETS.TELEGRAM}/sendMessage?text=a%20b`)
      const before = telegram.seen.length
      t.match(await call(cx, at.telegram, '/bot1:mine/sendMessage'), UNAVAILABLE)
      t.match(await call(cx, at.telegram, `/bot${held}/bot${held}/sendMessage`), MISUSED)
      t.match(await call(cx, at.telegram, `/b%6ft${held}/sendMessage`), MISUSED)
      t.match(await call(cx, at.other, `/bot${held}/sendMessage`), MISUSED)
      t.equal(telegram.seen.length, before)
      const record = await cx.record(({ rule }) => rule?.id === 'telegram')
      t.match(record, {
        url: { path: '/bot[secret:placeholder]/sendMessage' },
        sallyport: { credential: { name: 'telegram', action: 'replaced' } },
      })
      t.notMatch(JSON.stringify(cx.records()), held)
    },
  )

  scenario(t, 'R18, R22: keyed hashes that their servers accept', options, async (cx, t) => {
    const last = (): Seen => hook.seen.at(-1)!
    const mine = ['X-Hub-Signature-256: sha256=mine', 'X_Hub_Signature_256: mine']
    t.match(await call(cx, at.hook, '/github', mine, 'Hello, World!'), /^HTTP\/1\.1 200/)
    const sha256 = createHmac('sha256', SECRETS.HOOK).update(last().body).digest('hex')
    t.equal(oneValue(last(), 'x-hub-signature-256'), `sha256=${sha256}`)
    t.notMatch(last().rawHeaders.join(' '), /mine/)
    const chunked = request('POST', '/github', at.hook, { headers: ['Transfer-Encoding: chunked'] })
    t.match(
      await exchange(await cx.secure(at.hook), `${chunked}2\r\nab\r\n0\r\n\r\n`, WAIT_MS),
      /^HTTP\/1\.1 200/,
    )
    t.equal(
      oneValue(last(), 'x-hub-signature-256'),
      `sha256=${createHmac('sha256', SECRETS.HOOK).update('ab').digest('hex')}`,
    )
    const own = [
      'X-Timestamp: 1',
      'X-Nonce: mine',
      'X-Key-Id: mine',
      'X-Signature: mine',
      'Content-Type: text/plain',
    ]
    t.match(await call(cx, at.hook, '/whole?b=2&a=%20', own, 'body'), /^HTTP\/1\.1 200/)
    const timestamp = oneValue(last(), 'x-timestamp') ?? ''
    const nonce = oneValue(last(), 'x-nonce') ?? ''
    const text = `POST\n${at.hook}\n/whole\nb=2&a=%20\n${timestamp}\n${nonce}\ntext/plain\n230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5`
    t.equal(
      oneValue(last(), 'x-signature'),
      `v1=${createHmac('sha512', SECRETS.HOOK).update(text).digest('base64')}`,
    )
    t.equal(oneValue(last(), 'x-key-id'), 'agent')
    t.ok(Math.abs(Number(timestamp) - Date.now() / 1000) < 60)
    t.match(await call(cx, at.hook, '/whole'), /^HTTP\/1\.1 200/)
    t.not(oneValue(last(), 'x-nonce'), nonce, 'a nonce is used once')
    t.equal(oneValue(last(), 'content-length'), undefined, 'what has no body gets none')
    t.match(
      await call(cx, at.hook, '/whole', [`X-Signature: ${cx.env()['WHOLE_TOKEN'] ?? ''}`]),
      MISUSED,
    )
  })

  scenario(
    t,
    'R18, R22: HTTP Message Signatures that a verifier of its own accepts',
    options,
    async (cx, t) => {
      cx.guard('key', KEY.split('\n')[1]!)
      const last = (): Seen => signed.seen.at(-1)!
      const covered = ['@method', '@authority', '@path', '@query', 'content-digest', 'content-type']
      const own = [
        'Content-Type: text/plain',
        'Signature-Input: sig1=()',
        'Signature: sig1=:AA==:',
        'Content-Digest: sha-256=:AA==:',
      ]
      t.match(await call(cx, at.signed, '/message?a=1', own, 'body'), /^HTTP\/1\.1 200/)
      t.ok(verifiesMessage(last(), createPublicKey(privateKey), covered))
      t.match(
        oneValue(last(), 'signature-input'),
        /;created=\d+;expires=\d+;keyid="agent-1";nonce="[\w-]+"$/,
      )
      t.notOk(
        verifiesMessage({ ...last(), url: '/message?a=2' }, createPublicKey(privateKey), covered),
        'the verifier verifies',
      )
      t.notOk(
        verifiesMessage(
          { ...last(), body: Buffer.from('x') },
          createPublicKey(privateKey),
          covered,
        ),
      )
      t.match(
        await call(cx, at.signed, '/message', [], 'body'),
        UNAVAILABLE,
        'a component is not there',
      )
      t.match(await call(cx, at.signed, '/shared'), /^HTTP\/1\.1 200/)
      t.ok(verifiesMessage(last(), SECRETS.SHARED, ['@method', '@path']))
      await until(() => cx.terminal().length >= 3, 'all is on record')
    },
  )

  scenario(t, 'TRACE would say what was sent: it is refused', options, async (cx, t) => {
    const trace = request('TRACE', '/with', at.cookie)
    t.match(
      await exchange(await cx.secure(at.cookie), trace, WAIT_MS),
      /^HTTP\/1\.1 403 Sallyport: method-not-allowed/,
    )
    t.match(await call(cx, at.cookie, '/with'), /^HTTP\/1\.1 200/)
  })
})
