// Package managers, git, gRPC and WebSocket inside `sallyport run`, by clients that know of no proxy: what is allowed passes, on
// record once, and what is not is refused in words that each understands. Root alone can serve on their ports.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import path from 'node:path'
import type { Duplex } from 'node:stream'

import t from 'tap'
import { WebSocketServer } from 'ws'

import { gitBackend, startGit } from '../fixtures/git-upstream.ts'
import { startGrpc } from '../fixtures/grpc.ts'
import { startNpmRegistry } from '../fixtures/npm-registry.ts'
import { addressOf, ELSEWHERE, isInstalled, proxyless, whyNot } from '../fixtures/proxyless.ts'
import { pki, ruleSet } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const FIXTURES = path.join(import.meta.dirname, '../fixtures')
const LOOPBACK = 'addresses: [127.0.0.0/8]'
const SERVER_NAMES = ['git.test', 'registry.test', 'grpc.test', 'socket.test', 'pip.test']
const at = (name: string): { address: string; port: number } => ({
  address: addressOf(100 + SERVER_NAMES.indexOf(name)),
  port: 443,
})
const config = `upstream: { ca: [upstream-ca.pem], hosts: { ${SERVER_NAMES.map((name) => `${name}: ['${at(name).address}']`).join(', ')} } }`

const reason = await whyNot()
const missing = (command: string, ...words: string[]): string | undefined =>
  reason ?? (isInstalled(command, ...words) ? undefined : `no ${command} here`)

const backend = gitBackend()
proxyless(
  t,
  'R45: git clones what a rule allows, and says why it may not clone the rest',
  reason ?? (backend === undefined ? 'no git here' : undefined),
  {
    config,
    rules: ruleSet(
      `id: refs, allow: 'https://git.test', methods: [GET], paths: ['/acme/widgets.git/info/refs'], query: { service: git-upload-pack }, ${LOOPBACK}`,
      `id: pack, allow: 'https://git.test', methods: [POST], paths: ['/acme/widgets.git/git-upload-pack'], ${LOOPBACK}`,
    ),
  },
  async ({ t, cx, sh, refused, unknown }) => {
    const git = await startGit(backend!, pki.issue({ names: ['git.test'] }), at('git.test'))
    try {
      const { stdout, stderr } = await sh(`
git clone -q https://git.test/acme/widgets.git clone && head -n 1 clone/README
for url in https://git.test/acme/other.git https://${ELSEWHERE}/acme/widgets.git https://evil.test/acme/widgets.git https://git.test:8443/acme/widgets.git
do git clone -q $url refused; echo $?; done`)
      t.equal(stdout, 'widgets\n128\n128\n128\n128\n', stderr)
      t.match(stderr, /403[^]*Could not resolve host: evil\.test[^]*Failed to connect to git\.test/)
      t.notMatch(stderr, /timed out/i)
    } finally {
      await git.close()
    }
    const packs = cx.terminal().filter(({ url }) => url?.path?.endsWith('/git-upload-pack'))
    t.equal(packs.length, git.requests.filter((one) => one.startsWith('POST')).length)
    t.ok(packs.every(({ sallyport }) => sallyport.call?.door === 'transparent'))
    await refused('/acme/other.git/info/refs', 'path-not-allowed')
    const literal = cx.terminal().filter(({ url }) => url?.domain === ELSEWHERE)
    t.match(literal[0]?.event, { action: 'call-denied' }, 'by its address')
    unknown('evil.test')
  },
)

proxyless(
  t,
  'R45: npm installs from the registry that a rule allows, and from no other',
  missing('npm', '--version'),
  {
    config,
    rules: ruleSet(
      `id: read, allow: 'https://registry.test', methods: [GET], paths: ['/@*/*', '/@*', '/leftish', '/*/-/*', '/@*/*/-/*'], ${LOOPBACK}`,
    ),
  },
  async ({ t, cx, sh, allowed, refused, unknown }) => {
    const certificate = pki.issue({ names: ['registry.test'] })
    const registry = await startNpmRegistry('registry.test', certificate, at('registry.test'))
    const words = '--no-audit --no-fund --fetch-retries=0 --fetch-timeout=10000'
    try {
      const { stdout, stderr } = await sh(`
mkdir project && cd project && echo '{ "name": "project", "version": "1.0.0" }' > package.json
npm install ${words} --registry=https://registry.test/ @acme/widgets > log.txt 2>&1 && cat node_modules/@acme/widgets/index.js
npm view ${words} --registry=https://registry.test/ @acme/widgets version
npm view ${words} --registry=https://registry.test/ forbidden version
npm view ${words} --registry=https://evil.test/ leftish version
npm view ${words} --registry=https://registry.test:8443/ leftish version
exit 0`)
      t.equal(stdout, 'module.exports = "@acme/widgets"\n1.2.3\n', stderr)
      t.match(stderr, /E403[^]*ENOTFOUND[^]*ECONNREFUSED/)
      t.match(
        readFileSync(path.join(cx.directory, 'project/node_modules/leftish/index.js'), 'utf8'),
        /leftish/,
      )
    } finally {
      await registry.close()
    }
    await allowed('/leftish/-/leftish-1.0.1.tgz')
    await refused('/forbidden', 'path-not-allowed')
    unknown('evil.test')
  },
)

proxyless(
  t,
  'R45: pip downloads from the index that a rule allows, and from no other',
  missing('python3', '-m', 'pip', '--version'),
  {
    config,
    rules: ruleSet(
      `id: read, allow: 'https://pip.test', methods: [GET], paths: ['/simple/widget/**', '/files/**'], ${LOOPBACK}`,
    ),
  },
  async ({ t, who, sh, allowed, refused, unknown }) => {
    // An ordinary user may have another python than the one that tests are run by.
    const has = await sh('python3 -m pip --version')
    if (has.status !== 0) {
      t.comment(`no pip for ${who}`)
      return
    }
    const index = await startHttp({
      ...at('pip.test'),
      tls: pki.issue({ names: ['pip.test'] }),
      handler: ({ url }) =>
        url === '/simple/widget/'
          ? {
              headers: ['Content-Type', 'text/html'],
              body: `<a href="/files/${WHEEL}">${WHEEL}</a>`,
            }
          : { headers: ['Content-Type', 'application/zip'], body: wheel },
    })
    try {
      const pip =
        'python3 -m pip download -q --disable-pip-version-check --no-cache-dir --no-deps --retries 0 --timeout 10 -d got'
      const { stdout, stderr } = await sh(`
${pip} -i https://pip.test/simple widget; ls got
${pip} -i https://pip.test/simple gadget
${pip} -i https://evil.test/simple widget
exit 0`)
      t.equal(stdout, `${WHEEL}\n`, stderr)
      t.match(stderr, 'No matching distribution found for gadget')
    } finally {
      await index.close()
    }
    await allowed(`/files/${WHEEL}`)
    await refused('/simple/gadget/', 'path-not-allowed')
    unknown('evil.test')
  },
)

const WHEEL = 'widget-1.0-py3-none-any.whl'
const MAKE_WHEEL = `
import io, sys, zipfile
out = io.BytesIO()
with zipfile.ZipFile(out, 'w') as wheel:
    wheel.writestr('widget.py', 'x = 1')
    wheel.writestr('widget-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: widget\\nVersion: 1.0\\n')
    wheel.writestr('widget-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr('widget-1.0.dist-info/RECORD', '')
sys.stdout.buffer.write(out.getvalue())
`
const wheel = spawnSync('python3', ['-c', MAKE_WHEEL]).stdout ?? Buffer.of()

proxyless(
  t,
  'R45, R41: gRPC without a proxy variable: one call passes, others are refused with status 7',
  reason,
  {
    config,
    rules: ruleSet(
      `id: talk, allow: 'https://grpc.test', methods: [POST], paths: [/test.Talk/Say], ${LOOPBACK}`,
    ),
  },
  async ({ t, sh, allowed, refused, unknown }) => {
    const { address, port } = at('grpc.test')
    const server = await startGrpc(pki.issue({ names: ['grpc.test'] }), `${address}:${port}`)
    try {
      const child = path.join(FIXTURES, 'grpc-proxyless.child.ts')
      const { stdout, stderr } = await sh(
        `'${process.execPath}' '${child}' grpc.test:443/Say grpc.test:443/Secret ${ELSEWHERE}:443/Other evil.test:443/Say grpc.test:8443/Say`,
      )
      const said = stdout.trimEnd().split('\n')
      t.equal(said[0], '0 you said hi', stderr)
      t.match(said[1], /^7 Sallyport: path-not-allowed: /)
      t.match(said[2], /^7 Sallyport: ip-not-on-allowlist: /)
      t.match(said[3], /^14 Name resolution failed/)
      t.match(said[4], /^14 .*ECONNREFUSED/)
      t.equal(server.seen.length, 1)
    } finally {
      await server.close()
    }
    t.match(await allowed('/test.Talk/Say'), { rpc: { response: { status_code: 'OK' } } })
    await refused('/test.Talk/Secret', 'path-not-allowed')
    await refused('/test.Talk/Other', 'ip-not-on-allowlist')
    unknown('evil.test')
  },
)

proxyless(
  t,
  'R45: WebSockets without a proxy variable: one is open and closes as it should, others are refused',
  reason,
  {
    config,
    rules: ruleSet(`id: open, allow: 'wss://socket.test', paths: ['/ok/**'], ${LOOPBACK}`),
  },
  async ({ t, sh, allowed, refused, unknown }) => {
    const upstream = await startHttp({
      ...at('socket.test'),
      tls: pki.issue({ names: ['socket.test'] }),
    })
    const sockets = new WebSocketServer({ noServer: true })
    upstream.server.on('upgrade', (incoming: IncomingMessage, socket: Duplex, head: Buffer) =>
      sockets.handleUpgrade(incoming, socket, head, (one) => {
        one.on('error', () => undefined)
        one.on('message', (data: Buffer) => one.send(`you said ${data.toString()}`))
      }),
    )
    try {
      const child = path.join(FIXTURES, 'websocket-proxyless.child.ts')
      const { stdout, stderr } = await sh(
        `'${process.execPath}' '${child}' wss://socket.test/ok/a wss://socket.test/no/b wss://${ELSEWHERE}/c wss://evil.test/ wss://socket.test:8443/`,
      )
      const said = stdout.trimEnd().split('\n')
      t.strictSame(said.slice(0, 2), ['message you said hello', 'closed 1000'], stderr)
      t.strictSame(said.slice(2, 4), Array(2).fill('Unexpected server response: 403'))
      t.match(said[4], /ENOTFOUND/)
      t.match(said[5], /ECONNREFUSED/)
    } finally {
      await upstream.close()
    }
    t.match(await allowed('/ok/a'), {
      http: { response: { status_code: 101 } },
      sallyport: { call: { kind: 'upgrade' } },
    })
    await refused('/no/b', 'path-not-allowed')
    await refused('/c', 'ip-not-on-allowlist')
    unknown('evil.test')
  },
)
