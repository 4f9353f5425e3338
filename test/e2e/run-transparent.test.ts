// Clients that know no proxy, inside `sallyport run`: what they dial and what they ask arrives at the sidecar all the same.

import { readdirSync, readFileSync } from 'node:fs'
import https from 'node:https'

import t from 'tap'

import { runInside, runScenario } from '../fixtures/run.ts'
import { pki, until } from '../fixtures/scenario.ts'

// Rules without a port mean 443 and 80, where only root can listen: an address of loopback that nobody else has.
const ADDRESS = `127.${(process.pid % 200) + 20}.77.1`

const OPTIONS = {
  rules: {
    set: `ruleset: set
owner: a@example.com
rules:
  - { id: secure, allow: 'https://secure.test', methods: [GET], addresses: [127.0.0.0/8] }
  - { id: plain, allow: 'http://plain.test', methods: [GET], addresses: [127.0.0.0/8] }
`,
  },
  config: `upstream: { ca: [upstream-ca.pem], hosts: { secure.test: ['${ADDRESS}'], plain.test: ['${ADDRESS}'], other.test: ['${ADDRESS}'] } }`,
}

const SCRIPT = `
unset HTTP_PROXY http_proxy HTTPS_PROXY https_proxy ALL_PROXY all_proxy NODE_USE_ENV_PROXY
ask() { name=$1; shift; printf '%s ' "$name"; curl -s -m 20 -o /dev/null -w '%{http_code} %{exitcode}\\n' "$@"; }
ask secure https://secure.test/a
ask plain http://plain.test/b
ask elsewhere --connect-to secure.test:443:203.0.113.9:443 https://secure.test/c
ask refused --resolve other.test:443:203.0.113.9 https://other.test/d
ask unnamed https://other.test/e
ask port --resolve secure.test:8443:203.0.113.9 https://secure.test:8443/f
ask ipv6 --resolve 'other.test:443:[2001:db8::1]' https://other.test/g
node -e "fetch('https://secure.test/h').then((r) => console.log('node', r.status), (e) => console.log('node', e.message))"
python3 -c "
import socket
for kind, host in [('udp', '203.0.113.9'), ('udp', '127.0.0.1')]:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5); s.connect((host, 123))
    try: s.send(b'x'); s.recv(10); print(kind, host, 'open')
    except OSError: print(kind, host, 'refused')
"
`

runScenario(
  t,
  'R45: without any proxy variable, TLS and HTTP are judged by name, names are answered by the sidecar alone, all else fails at once',
  OPTIONS,
  async (cx, t, who) => {
    const { certPem: cert, keyPem: key } = pki.issue({ names: ['secure.test'] })
    const seen: string[] = []
    const upstream = https.createServer({ cert, key }, (request, response) => {
      seen.push(request.url ?? '')
      response.end('ok')
    })
    const isRoot = process.getuid?.() === 0
    if (isRoot) await new Promise<void>((resolve) => upstream.listen(443, ADDRESS, resolve))
    try {
      const { stdout, stderr } = await runInside(cx, ['sh', '-c', SCRIPT], {
        who,
        flags: ['--rules', 'set'],
      })
      t.comment(stderr)
      // Where nobody can listen on 443, what was allowed was dialed in vain.
      const answered = isRoot ? '200' : '502'
      t.strictSame(stdout.trimEnd().split('\n'), [
        `secure ${answered} 0`,
        'plain 502 0',
        `elsewhere ${answered} 0`,
        'refused 403 0',
        'unnamed 000 6',
        'port 000 7',
        'ipv6 403 0',
        `node ${answered}`,
        'udp 203.0.113.9 refused',
        'udp 127.0.0.1 refused',
      ])
      if (isRoot) t.strictSame(seen, ['/a', '/c', '/h'])
      const denied = await cx.record(({ url }) => url?.path === '/d')
      t.equal(denied.event.reason, 'not-on-allowlist')
      t.ok(cx.records().some(({ event }) => event.action === 'dns-denied'))
    } finally {
      upstream.close()
      upstream.closeAllConnections()
    }
  },
)

runScenario(
  t,
  'R44: the doctor finds no other way out before the command runs; where it finds one the command does not run',
  {
    ...OPTIONS,
    config: `${OPTIONS.config}
credentials:
  late: { source: { file: 'late.secret' }, inject: { bearer: true }, hosts: [secure.test] }
`,
  },
  async (cx, t, who) => {
    const flags = ['--rules', 'set', '--prove']
    const proved = await runInside(cx, ['echo', 'ran'], { who, flags })
    t.match(proved, { status: 0, stdout: 'ran\n' })
    // What is not there when everything is hidden is seen once it is.
    const refused = runInside(cx, ['echo', 'ran'], { who, flags })
    await until(() => isProving(cx.configFile), 'the proof has begun')
    cx.file('late.secret', 'a-secret-that-came-late')
    t.match(await refused, { status: 1, stdout: '' })
    t.match(
      (await refused).stderr,
      /the proof failed, and the command did not run\n.*late\.secret/s,
    )
  },
)

function isProving(configFile: string): boolean {
  const words = processWords().find((one) => one.includes('--inside') && one.at(-2) === configFile)
  return words?.[0] === process.execPath
}

function processWords(): string[][] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        return [readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0')]
      } catch {
        return []
      }
    })
}
