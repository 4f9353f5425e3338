// Real clients inside `sallyport run` that know of no proxy: what is allowed passes, on record once; all else fails before the
// client's own time is over, on record with its reason. The upstreams are on the ports that such clients take, so root alone
// can run this.

import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t from 'tap'

import { startHttp2 } from '../fixtures/http2-upstream.ts'
import {
  addressOf,
  ELSEWHERE,
  isInstalled,
  proxyless,
  whyNot,
  type Proxyless,
} from '../fixtures/proxyless.ts'
import { pki, ruleSet } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const FIXTURES = path.join(import.meta.dirname, '../fixtures/proxyless')
const LOOPBACK = 'addresses: [127.0.0.0/8]'
const ADDRESS = addressOf(1)

const SCENARIO = {
  rules: ruleSet(
    `id: secure, allow: 'https://up.test', methods: [GET], paths: ['/ok/**'], ${LOOPBACK}`,
    `id: plain, allow: 'http://plain.test', methods: [GET], paths: ['/ok/**'], ${LOOPBACK}`,
  ),
  config: `upstream: { ca: [upstream-ca.pem], hosts: { up.test: ['${ADDRESS}'], plain.test: ['${ADDRESS}'], evil.test: ['${ADDRESS}'] } }`,
}

const reason = await whyNot()
const missing = (command: string, ...words: string[]): string | undefined =>
  reason ?? (isInstalled(command, ...words) ? undefined : `no ${command} here`)

const built = mkdtempSync(path.join(tmpdir(), 'sallyport-built-'))
t.teardown(() => rmSync(built, { recursive: true, force: true }))

/** Builds outside what runs inside. */
function builds(command: string, words: readonly string[], env: Record<string, string>): boolean {
  const options = { cwd: built, env: { ...process.env, ...env }, timeout: 120_000 }
  return reason === undefined && spawnSync(command, words, options).status === 0
}

// Before anything is served: building takes this process whole.
const hasJava = builds('javac', ['-d', '.', path.join(FIXTURES, 'Fetch.java')], {})
const hasGo = ['0', '1'].map((cgo) =>
  builds('go', ['build', '-o', `fetch-${cgo}`, path.join(FIXTURES, 'fetch.go')], {
    CGO_ENABLED: cgo,
    GOFLAGS: '-mod=mod',
    GOPROXY: 'off',
  }),
)

if (reason === undefined) {
  const certificate = pki.issue({ names: ['up.test'] })
  const secure = await startHttp2(
    certificate,
    ({ path: at, version }) => ({ body: `hello ${at} over ${version}\n` }),
    { address: ADDRESS, port: 443 },
  )
  const plain = await startHttp({
    address: ADDRESS,
    port: 80,
    handler: ({ url }) => ({ body: `plain ${url}\n` }),
  })
  t.teardown(() => Promise.all([secure.close(), plain.close()]))
}

/** What each client that is given these addresses has on record. */
const checked = async (
  { allowed, refused, unknown, cx, t }: Proxyless,
  name: string,
): Promise<void> => {
  await allowed(`/ok/${name}`)
  await refused(`/no/${name}`, 'path-not-allowed')
  await refused(`/literal/${name}`, 'ip-not-on-allowlist')
  unknown('evil.test')
  const paths = cx
    .terminal()
    .flatMap(({ event, url }) =>
      event.action === 'call-denied' && url?.full.startsWith('https:') ? [url.path] : [],
    )
  t.strictSame(
    paths.toSorted(),
    [`/literal/${name}`, `/no/${name}`],
    'what was refused by name or port was no call',
  )
}

const urlsOf = (name: string): string =>
  [
    `https://up.test/ok/${name}`,
    `https://up.test/no/${name}`,
    `https://${ELSEWHERE}/literal/${name}`,
    'https://evil.test/',
    'https://up.test:8443/',
  ].join(' ')

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
  await checked(given, 'wget')
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
  await checked(given, 'node')
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
  await checked(given, 'python')
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

for (const [index, isBuilt] of hasGo.entries()) {
  const cgo = String(index)
  const because = reason ?? (isBuilt ? undefined : 'no go here')
  const resolver = cgo === '0' ? 'its own resolver' : "the system's resolver"
  proxyless(t, `R45: a Go client with ${resolver}`, because, SCENARIO, async (given) => {
    const { t, cx, sh } = given
    copyFileSync(path.join(built, `fetch-${cgo}`), path.join(cx.directory, 'fetch'))
    const { stdout, stderr } = await sh(
      `GODEBUG=netdns=${cgo === '0' ? 'go' : 'cgo'} ./fetch ${urlsOf('go')}`,
    )
    t.match(
      stdout,
      /^200 HTTP\/2.0 hello \/ok\/go over 2.0\n403 HTTP\/2.0 .*\n403 HTTP\/2.0 .*\nunknown\nrefused\n$/,
      stderr,
    )
    await checked(given, 'go')
  })
}

proxyless(
  t,
  'R45: a Java client, which trusts the CA by the variables alone',
  reason ?? (hasJava ? undefined : 'no javac here'),
  SCENARIO,
  async (given) => {
    const { t, cx, sh } = given
    copyFileSync(path.join(built, 'Fetch.class'), path.join(cx.directory, 'Fetch.class'))
    const { stdout, stderr } = await sh(`java -cp . Fetch ${urlsOf('java')}`)
    t.match(
      stdout,
      /^200 HTTP_2 hello \/ok\/java over 2.0\n403 HTTP_2 .*\n403 HTTP_2 .*\nunknown\nrefused\n200 hello \/ok\/java-old over 1.1\n$/,
      stderr,
    )
    await checked(given, 'java')
    await given.allowed('/ok/java-old')
  },
)

proxyless(t, 'R45: getent and openssl', missing('openssl', 'version'), SCENARIO, async (given) => {
  const { t, sh, allowed, refused, unknown } = given
  const { stdout, stderr } = await sh(`
getent ahostsv4 up.test | head -n 1 | cut -d. -f1,2
getent ahostsv6 up.test | head -n 1 | cut -d: -f1,2
getent hosts evil.test; echo "getent $?"
ask() { printf 'GET %s HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n' $3 $2 |
  openssl s_client -quiet -ign_eof -verify_return_error -verify_hostname $2 -connect $1 -servername $2; }
ask up.test:443 up.test /ok/openssl
ask up.test:443 up.test /no/openssl | head -n 1
ask ${ELSEWHERE}:443 evil.test /openssl | head -n 1
ask up.test:8443 up.test /port
`)
  t.match(
    stdout,
    /^198\.1[89]\n2001:2\ngetent 2\nHTTP\/1.1 200 OK\r\n[^]*hello \/ok\/openssl[^]*403 Sallyport: path-not-allowed\r\n[^]*403 Sallyport: not-on-allowlist/,
    stderr,
  )
  t.match(stderr, 'Connection refused')
  await allowed('/ok/openssl')
  await refused('/no/openssl', 'path-not-allowed')
  await refused('/openssl', 'not-on-allowlist')
  unknown('evil.test')
})
