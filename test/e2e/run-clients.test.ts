// Real clients inside `sallyport run` that know of no proxy: what is allowed passes, on record once; all else fails before the
// client's own time is over, on record with its reason. The upstreams are on the ports that such clients take, so root alone
// can run this.

import { copyFileSync, readFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import {
  ADDRESS,
  checkFetched,
  SCENARIO,
  serveFetched,
  urlsOf,
} from '../fixtures/proxyless-fetch.ts'
import { ELSEWHERE, isInstalled, proxyless, whyNot } from '../fixtures/proxyless.ts'

const FIXTURES = path.join(import.meta.dirname, '../fixtures/proxyless')

const reason = await whyNot()
const missing = (command: string, ...words: string[]): string | undefined =>
  reason ?? (isInstalled(command, ...words) ? undefined : `no ${command} here`)

if (reason === undefined) await serveFetched(t)

proxyless(
  t,
  'R45: curl that ignores the proxy, over HTTP/2, HTTP/1.1 and in the clear',
  missing('curl', '--version'),
  SCENARIO,
  async (given) => {
    const { t, sh, allowed, refused } = given
    const { stdout, stderr } = await sh(`
ask() { curl -sS -k -m 10 --noproxy '*' -w '%{http_code} %{http_version} %{exitcode}\\n' "$@"; }
ask https://up.test/ok/curl
ask https://up.test/no/curl -o refused.json
ask https://${ELSEWHERE}/literal/curl -o /dev/null
ask https://evil.test/
ask https://up.test:8443/
ask --http1.1 https://up.test/ok/one
ask http://plain.test/ok/plain
ask http://plain.test/no/plain -o /dev/null
ask http://${ELSEWHERE}/literal/plain -o /dev/null
ask --resolve up.test:443:198.51.100.7 https://up.test/ok/elsewhere
ask --resolve evil.test:443:${ADDRESS} https://evil.test/resolved -o /dev/null
`)
    t.strictSame(stdout.trimEnd().split('\n'), [
      'hello /ok/curl over 2.0',
      '200 2 0',
      '403 2 0',
      '403 2 0',
      '000 0 6',
      '000 0 7',
      'hello /ok/one over 1.1',
      '200 1.1 0',
      'plain /ok/plain',
      '200 1.1 0',
      '403 1.1 0',
      '403 1.1 0',
      'hello /ok/elsewhere over 2.0',
      '200 2 0',
      '403 2 0',
    ])
    t.notMatch(stderr, /timed out/i)
    t.match(
      JSON.parse(readFileSync(path.join(given.cx.directory, 'refused.json'), 'utf8')),
      { reason: 'path-not-allowed' },
      'in words that it prints',
    )
    for (const name of ['curl', 'one', 'plain']) await allowed(`/ok/${name}`)
    for (const name of ['curl', 'plain']) {
      await refused(`/no/${name}`, 'path-not-allowed')
      await refused(`/literal/${name}`, 'ip-not-on-allowlist')
    }
    t.match(await allowed('/ok/elsewhere'), {
      destination: { ip: ADDRESS },
      sallyport: { dialed: { ip: '198.51.100.7', port: 443, match: 'other' } },
    })
    await refused('/resolved', 'not-on-allowlist')
    given.unknown('evil.test')
  },
)

proxyless(t, 'R45: wget', missing('wget', '--version'), SCENARIO, async (given) => {
  const { t, sh } = given
  const { stdout, stderr } = await sh(`
for url in ${urlsOf('wget')}; do wget -nv -S -O - -t 1 -T 10 --no-proxy $url; done`)
  t.equal(stdout, 'hello /ok/wget over 1.1\n')
  t.match(stderr, '403 Sallyport: path-not-allowed')
  t.match(stderr, '403 Sallyport: ip-not-on-allowlist')
  t.match(stderr, 'unable to resolve host address')
  t.match(stderr, 'Connection refused')
  t.notMatch(stderr, /timed out/i)
  await checkFetched(given, 'wget')
})

proxyless(t, "R45: Node's own fetch", reason, SCENARIO, async (given) => {
  const { t, cx, sh } = given
  cx.file(
    'fetch.mjs',
    `for (const url of process.argv.slice(2))
  await fetch(url, { signal: AbortSignal.timeout(10_000) }).then(
    async (answer) => console.log(answer.status, answer.ok ? (await answer.text()).trim() : answer.statusText),
    (error) => console.log(error.cause?.code ?? error.message),
  )`,
  )
  const { stdout } = await sh(`'${process.execPath}' fetch.mjs ${urlsOf('node')}`)
  t.strictSame(stdout.trimEnd().split('\n'), [
    '200 hello /ok/node over 1.1',
    '403 Sallyport: path-not-allowed',
    '403 Sallyport: ip-not-on-allowlist',
    'ENOTFOUND',
    'ECONNREFUSED',
  ])
  await checkFetched(given, 'node')
})

proxyless(t, 'R45: python urllib', missing('python3', '--version'), SCENARIO, async (given) => {
  const { t, cx, sh } = given
  copyFileSync(path.join(FIXTURES, 'fetch.py'), path.join(cx.directory, 'fetch.py'))
  const { stdout, stderr } = await sh(`python3 fetch.py ${urlsOf('python')}`)
  t.strictSame(
    stdout.trimEnd().split('\n'),
    [
      '200 hello /ok/python over 1.1',
      '403 Sallyport: path-not-allowed',
      '403 Sallyport: ip-not-on-allowlist',
      'unknown',
      'refused',
    ],
    stderr,
  )
  await checkFetched(given, 'python')
})

proxyless(
  t,
  'R45: a raw socket with TLS and a name server of its own choice',
  missing('python3', '--version'),
  SCENARIO,
  async ({ t, cx, sh, allowed, refused, unknown }) => {
    copyFileSync(path.join(FIXTURES, 'raw-tls.py'), path.join(cx.directory, 'raw-tls.py'))
    const { stdout, stderr } = await sh('python3 raw-tls.py up.test evil.test')
    t.strictSame(
      stdout.trimEnd().split('\n'),
      [
        'dns True 0',
        'HTTP/1.1 200 OK hello /ok/raw over 1.1',
        'HTTP/1.1 403 Sallyport: path-not-allowed',
        'dns True 3 None',
        'HTTP/1.1 403 Sallyport: not-on-allowlist',
        'tcp refused',
        'quic refused',
      ],
      stderr,
    )
    t.match(await allowed('/ok/raw'), { sallyport: { dialed: { port: 443 } } })
    await refused('/no/raw', 'path-not-allowed')
    await refused('/raw', 'not-on-allowlist')
    unknown('evil.test')
  },
)
