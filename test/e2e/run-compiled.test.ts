// Clients inside `sallyport run` that know of no proxy and bring a resolver, TLS and roots of their own kind: Go, Java, and the
// tools of the system. As `run-clients.test.ts`.

import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t from 'tap'

import { checkFetched, SCENARIO, serveFetched, urlsOf } from '../fixtures/proxyless-fetch.ts'
import { ELSEWHERE, isInstalled, proxyless, whyNot } from '../fixtures/proxyless.ts'

const FIXTURES = path.join(import.meta.dirname, '../fixtures/proxyless')

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

if (reason === undefined) await serveFetched(t)

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
    await checkFetched(given, 'go')
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
    await checkFetched(given, 'java')
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
