// Real clients through the real program. Each gets PATH, a HOME of its own and the variables that `sallyport env` prints,
// and nothing else. A program that is not installed is skipped, visibly.

import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import t, { type Test } from 'tap'

import { gitBackend, startGit } from '../fixtures/git-upstream.ts'
import { startNpmRegistry } from '../fixtures/npm-registry.ts'
import { pki, ruleSet, scenario, startSecure, type Scenario } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'

const has = (command: string, ...words: string[]): boolean =>
  spawnSync(command, words, { stdio: 'ignore' }).status === 0

/** A scenario where the program is there, a skipped test where it is not. */
const withProgram = (
  t: Test,
  present: boolean,
  title: string,
  options: Parameters<typeof scenario>[2],
  body: Parameters<typeof scenario>[3],
): void => {
  if (present) scenario(t, title, options, body)
  else void t.test(title, { skip: 'not installed here' }, () => undefined)
}

void t.test('fetching clients', async (t) => {
  const upstream = await startSecure(['up.test'], (request, body) => ({
    headers: ['Content-Type', 'text/plain', 'X-Method', request.method ?? ''],
    body: `hello ${request.method} ${request.url} ${body.toString()}`,
  }))
  const plain = await startHttp({ handler: (request) => ({ body: `plain ${request.url}` }) })
  t.teardown(() => Promise.all([upstream.close(), plain.close()]))
  const secureUrl = `https://up.test:${upstream.port}`
  const plainUrl = `http://up.test:${plain.port}`
  const options = {
    hosts: ['up.test'],
    rules: ruleSet(
      `id: secure, allow: '${secureUrl}', paths: ['/ok', '/ok/**'], ${LOOPBACK}`,
      `id: plain, allow: '${plainUrl}', paths: ['/ok'], ${LOOPBACK}`,
    ),
  }
  const records = (cx: Scenario): Promise<unknown> =>
    Promise.all([
      cx.record(({ url, event }) => url?.full === `${secureUrl}/ok` && event.reason === 'allowed'),
      cx.record(({ url, event }) => url?.full === `${plainUrl}/ok` && event.reason === 'allowed'),
      cx.record(({ event }) => event.reason === 'path-not-allowed'),
    ])

  withProgram(t, has('curl', '--version'), 'curl', options, async (cx, t) => {
    const curl = (...words: string[]): ReturnType<Scenario['client']> =>
      cx.client('curl', ['-sS', ...words])
    t.match(await curl(`${secureUrl}/ok`), { status: 0, stdout: 'hello GET /ok' })
    t.match(await curl(`${plainUrl}/ok`), { status: 0, stdout: 'plain /ok' })
    t.match(await curl('-d', 'a=b', `${secureUrl}/ok`), { status: 0, stdout: 'hello POST /ok a=b' })
    const big = cx.file('home/big', 'x'.repeat(2_000_000))
    t.match(
      await curl(
        '-T',
        big,
        '-H',
        'Expect: 100-continue',
        '-o',
        '/dev/null',
        '-w',
        '%{size_upload}',
        `${secureUrl}/ok/put`,
      ),
      { status: 0, stdout: '2000000' },
    )
    t.match(await curl('-i', `${secureUrl}/no`), {
      status: 0,
      stdout:
        /^HTTP\/1\.1 200[^]*HTTP\/1\.1 403 Sallyport: path-not-allowed\r\n[^]*"reason":"path-not-allowed"/,
    })
    const refused = await curl('-v', 'https://evil.test/')
    t.match(
      refused,
      { status: 56, stderr: /403 Sallyport: not-on-allowlist/ },
      'the token shows in what curl prints',
    )
    const untrusting = await curl('--cacert', '/dev/null', `${secureUrl}/ok`)
    t.not(untrusting.status, 0)
    await records(cx)
  })

  withProgram(t, has('wget', '--version'), 'wget', options, async (cx, t) => {
    const wget = (...words: string[]): ReturnType<Scenario['client']> =>
      cx.client('wget', ['-q', '-O', '-', '-t', '1', ...words])
    t.match(await wget(`${secureUrl}/ok`), { status: 0, stdout: 'hello GET /ok' })
    t.match(await wget(`${plainUrl}/ok`), { status: 0, stdout: 'plain /ok' })
    t.match(await wget('-S', `${secureUrl}/no`), {
      status: 8,
      stderr: /403 Sallyport: path-not-allowed/,
    })
    await records(cx)
  })

  const python = (script: string) => (cx: Scenario) => cx.client('python3', ['-c', script])
  withProgram(t, has('python3', '--version'), 'python urllib', options, async (cx, t) => {
    const run = python(`
import urllib.request, urllib.error
print(urllib.request.urlopen("${secureUrl}/ok").read().decode())
print(urllib.request.urlopen("${plainUrl}/ok").read().decode())
try: urllib.request.urlopen("${secureUrl}/no")
except urllib.error.HTTPError as e: print(e.code, e.reason, e.headers["Proxy-Status"])
try: urllib.request.urlopen("https://evil.test/")
except OSError as e: print(e)
`)
    const { status, stdout, stderr } = await run(cx)
    t.equal(status, 0, stderr)
    t.match(
      stdout,
      /hello GET \/ok \nplain \/ok\n403 Sallyport: path-not-allowed sallyport; error=http_request_denied; reason=path-not-allowed\n.*403 Sallyport: not-on-allowlist/,
    )
    await records(cx)
  })

  withProgram(
    t,
    has('python3', '-c', 'import requests'),
    'python requests',
    options,
    async (cx, t) => {
      const run = python(`
import requests
s = requests.Session()
print(s.get("${secureUrl}/ok").text)
print(s.post("${secureUrl}/ok", json={"a": 1}).text)
print(s.get("${plainUrl}/ok").text)
r = s.get("${secureUrl}/no"); print(r.status_code, r.reason, r.json()["reason"])
try: s.get("https://evil.test/")
except requests.exceptions.ProxyError as e: print(e)
`)
      const { status, stdout, stderr } = await run(cx)
      t.equal(status, 0, stderr)
      t.match(
        stdout,
        /hello GET \/ok \nhello POST \/ok {"a": 1}\nplain \/ok\n403 Sallyport: path-not-allowed path-not-allowed\n.*403 Sallyport: not-on-allowlist/,
      )
      await records(cx)
    },
  )

  scenario(t, 'node: fetch, and undici’s ProxyAgent', options, async (cx, t) => {
    const undici = import.meta.resolve('undici')
    const script = `
const get = async (url, options) => { const r = await fetch(url, options); return r.status + ' ' + r.statusText + ' ' + await r.text() }
console.log(await get('${secureUrl}/ok'))
console.log(await get('${plainUrl}/ok'))
console.log(await get('${secureUrl}/no'))
const { ProxyAgent, request } = await import('${undici}')
const dispatcher = new ProxyAgent(process.env.https_proxy)
for (const url of ['${secureUrl}/ok', '${secureUrl}/ok']) { const { statusCode, body } = await request(url, { dispatcher }); console.log(statusCode, await body.text()) }
await request('https://evil.test/', { dispatcher }).catch((error) => console.log(String(error.cause ?? error)))
await dispatcher.close()
`
    const { status, stdout, stderr } = await cx.client(process.execPath, [
      '--input-type=module',
      '-e',
      script,
    ])
    t.equal(status, 0, stderr)
    t.match(
      stdout,
      /^200 OK hello GET \/ok \n200 OK plain \/ok\n403 Sallyport: path-not-allowed {.*}\n+200 hello GET \/ok \n200 hello GET \/ok \n.*403/,
    )
    await records(cx)
  })

  withProgram(t, has('openssl', 'version'), 'openssl s_client', options, async (cx, t) => {
    const words = [
      's_client',
      '-proxy',
      `127.0.0.1:${cx.proxyPort}`,
      '-connect',
      `up.test:${upstream.port}`,
      '-servername',
      'up.test',
      '-verify_return_error',
      '-verify_hostname',
      'up.test',
      '-brief',
    ]
    // It takes no variable for the proxy; the roots are those of SSL_CERT_FILE.
    t.match(await cx.client('openssl', words), { status: 0, stderr: /Verification: OK/ })
    const refused = await cx.client(
      'openssl',
      words.map((word) => word.replace('up.test:', 'evil.test:')),
    )
    t.match(refused.stderr, /403/)
    t.not(refused.status, 0)
  })
})

void t.test('git', async (t) => {
  const backend = gitBackend()
  if (backend === undefined) {
    void t.test('clone and push', { skip: 'not installed here' }, () => undefined)
    return
  }
  const upstream = await startGit(backend, pki.issue({ names: ['git.test'] }))
  t.teardown(() => upstream.close())
  const host = `git.test:${upstream.port}`
  const repository = "'/acme/widgets.git"
  const fetching = [
    `id: refs, allow: 'https://${host}', methods: [GET], paths: [${repository}/info/refs'], query: { service: git-upload-pack }, credential: git, ${LOOPBACK}`,
    `id: pack, allow: 'https://${host}', methods: [POST], paths: [${repository}/git-upload-pack'], credential: git, ${LOOPBACK}`,
  ]
  const pushing = [
    `id: push-refs, allow: 'https://${host}', methods: [GET], paths: [${repository}/info/refs'], query: { service: git-receive-pack }, credential: git, ${LOOPBACK}`,
    `id: push, allow: 'https://${host}', methods: [POST], paths: [${repository}/git-receive-pack'], credential: git, ${LOOPBACK}`,
  ]
  const options = {
    hosts: ['git.test'],
    secrets: { GIT_SECRET: 'canary-git-5d1e8c77' },
    config: `credentials:\n  git: { source: { env: GIT_SECRET }, inject: { basic: { user: robot } }, hosts: ['${host}'] }\n`,
  }
  const git = (cx: Scenario, ...words: string[]): ReturnType<Scenario['client']> =>
    cx.client('git', ['-c', 'user.name=A', '-c', 'user.email=a@example.com', ...words])
  const commitTo = async (cx: Scenario, t: Test, branch: string): Promise<string> => {
    const clone = path.join(cx.directory, 'home/clone')
    const cloned = await git(cx, 'clone', '-q', `https://${host}/acme/widgets.git`, clone)
    t.equal(cloned.status, 0, cloned.stderr)
    t.match(readFileSync(path.join(clone, 'README'), 'utf8'), /^widgets/)
    // Larger than git sends in one piece, so that it comes chunked.
    writeFileSync(
      path.join(clone, 'big'),
      Buffer.from(
        Array.from({ length: 3_000_000 }, (_, at) => (at * 7919 + (at >> 8) * 31) & 0xff),
      ),
    )
    for (const words of [
      ['checkout', '-q', '-b', branch],
      ['add', '.'],
      ['commit', '-q', '-m', 'more'],
    ])
      t.equal((await git(cx, '-C', clone, ...words)).status, 0, words.join(' '))
    return clone
  }

  scenario(
    t,
    'git clones and pushes, with a credential that it never held',
    { ...options, rules: ruleSet(...fetching, ...pushing) },
    async (cx, t) => {
      const clone = await commitTo(cx, t, 'topic')
      const pushed = await git(cx, '-C', clone, 'push', '-q', 'origin', 'topic')
      t.equal(pushed.status, 0, pushed.stderr)
      t.equal(
        upstream.head('topic'),
        (await git(cx, '-C', clone, 'rev-parse', 'HEAD')).stdout.trim(),
      )
      const expected = `Basic ${Buffer.from(`robot:${options.secrets.GIT_SECRET}`).toString('base64')}`
      t.strictSame([...new Set(upstream.authorizations)], [expected])
      await cx.record(({ rule, event }) => rule?.id === 'push' && event.reason === 'allowed')
    },
  )

  scenario(
    t,
    'git is refused a push that no rule allows, and says why',
    { ...options, rules: ruleSet(...fetching) },
    async (cx, t) => {
      const clone = await commitTo(cx, t, 'refused')
      const pushed = await git(cx, '-C', clone, 'push', '-q', 'origin', 'refused')
      t.not(pushed.status, 0)
      t.match(pushed.stderr, /403/)
      t.equal(upstream.head('refused'), '')
      await cx.record(
        ({ event, url }) =>
          event.reason === 'path-not-allowed' && url?.query === 'service=git-receive-pack',
      )
    },
  )
})

void t.test('npm', async (t) => {
  const upstream = await startNpmRegistry('registry.test', pki.issue({ names: ['registry.test'] }))
  t.teardown(() => upstream.close())
  const host = `registry.test:${upstream.port}`
  withProgram(
    t,
    has('npm', '--version'),
    'npm installs a scoped package, and may not publish one',
    {
      hosts: ['registry.test'],
      rules: ruleSet(
        `id: read, allow: 'https://${host}', methods: [GET], paths: ['/@*/*', '/@*', '/leftish', '/*/-/*', '/@*/*/-/*'], ${LOOPBACK}`,
      ),
    },
    async (cx, t) => {
      const project = path.join(cx.directory, 'home/project')
      mkdirSync(project, { recursive: true })
      writeFileSync(
        path.join(project, 'package.json'),
        JSON.stringify({ name: 'project', version: '1.0.0' }),
      )
      const npm = (...words: string[]): ReturnType<Scenario['client']> =>
        cx.client(
          'npm',
          [...words, `--registry=https://${host}/`, '--no-audit', '--no-fund', '--fetch-retries=0'],
          { cwd: project },
        )
      const installed = await npm('install', '@acme/widgets')
      t.equal(installed.status, 0, installed.stderr)
      t.match(
        readFileSync(path.join(project, 'node_modules/@acme/widgets/index.js'), 'utf8'),
        /@acme\/widgets/,
      )
      t.match(readFileSync(path.join(project, 'node_modules/leftish/index.js'), 'utf8'), /leftish/)
      await cx.record(
        ({ url, event }) => /%2f/i.test(url?.path ?? '') && event.reason === 'allowed',
      )
      const published = await npm('publish', `--//${host}/:_authToken=own`)
      t.not(published.status, 0)
      t.match(published.stderr, /403/)
      t.notOk(upstream.seen.some(({ method }) => method !== 'GET'))
    },
  )
})
