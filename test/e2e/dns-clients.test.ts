// Proves with the resolvers of real clients, in a network namespace where the DNS door is all there is, that allowed names have
// addresses, that others fail at once, and that nobody asks again. Skipped where the kernel gives no namespace.

import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t from 'tap'

import type { JournalRecord } from '../fixtures/scenario.ts'

const BIN = path.join(import.meta.dirname, '../../bin/sallyport.js')
const TIMEOUT_MS = 100_000

const CONFIG = `listen: { proxy: '127.0.0.1:3128', health: '127.0.0.1:15020', transparent: { dns: '127.0.0.1:53' } }
task:
  intent: e2e
  owner: { name: Test Owner, team: test }
  agent: { account: agent, instance: agent/1 }
  sandbox: { id: box }
  rules: [r]
  environment: test
  ceiling: public
  expires: 30m
`
const RULES = "ruleset: r\nrules:\n  - { id: named, allow: 'https://api.test' }\n"

const PYTHON = `
import socket
for name in ('api.test', 'evil-python.test'):
    try:
        print(sorted({each[4][0] for each in socket.getaddrinfo(name, 443)}))
    except socket.gaierror as error:
        print(error.errno == socket.EAI_NONAME)
`
const NODE = `
import dns, { promises } from 'node:dns'
const resolver = new promises.Resolver()
const tried = (asked) => asked.then((found) => found, ({ code }) => code)
const found = []
for (const name of ['api.test', 'evil-node.test']) {
  found.push(await tried(promises.lookup(name, { all: true })))
  found.push(await tried(resolver.resolve4(name)))
  found.push(await tried(resolver.resolveTxt(name)))
}
console.log(JSON.stringify(found))
`
const GO = `package main

import (
	"fmt"
	"net"
)

func main() {
	for _, name := range []string{"api.test", "evil-go.test"} {
		found, err := net.LookupHost(name)
		missing, ok := err.(*net.DNSError)
		fmt.Println(len(found), ok && missing.IsNotFound)
	}
}
`
const JAVA = `import java.net.*;
public class Ask {
  public static void main(String[] words) {
    for (String name : new String[] { "api.test", "evil-java.test" })
      try { System.out.println(InetAddress.getAllByName(name).length); }
      catch (UnknownHostException error) { System.out.println("unknown"); }
  }
}
`
// Only what stands here is in the namespace; the clients run one after another while the sidecar does.
const SCRIPT = `set -e
ip link set lo up
mount --bind resolv.conf /etc/resolv.conf
mount --bind nsswitch.conf /etc/nsswitch.conf
"$NODE" "$BIN" start > log.txt 2>&1 &
sidecar=$!
for at in $(seq 200); do
  getent ahostsv4 api.test > /dev/null && break
  sleep 0.1
done
set +e
getent ahosts api.test > getent.txt
getent ahosts evil-glibc.test >> getent.txt || echo "status $?" >> getent.txt
command -v python3 > /dev/null && python3 ask.py > python.txt
"$NODE" ask.mjs > node.txt
test -x ./ask && ./ask > go.txt
command -v java > /dev/null && java Ask.java > java.txt
kill $sidecar
wait $sidecar
exit 0
`

const isPossible =
  spawnSync('unshare', ['-Urnm', 'ip', 'link', 'set', 'lo', 'up'], { timeout: 10_000 }).status === 0

void t.test(
  'R36: resolvers of every kind find allowed names alone, and ask for others once',
  { skip: isPossible ? false : 'no user and network namespaces here', timeout: 2 * TIMEOUT_MS },
  async (t) => {
    const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-dns-'))
    t.teardown(() => rmSync(directory, { recursive: true, force: true }))
    const files = {
      'sallyport.yaml': CONFIG,
      'resolv.conf': 'nameserver 127.0.0.1\n',
      'nsswitch.conf': 'hosts: files dns\n',
      'ask.py': PYTHON,
      'ask.mjs': NODE,
      'ask.go': GO,
      'Ask.java': JAVA,
      'run.sh': SCRIPT,
    }
    for (const [name, text] of Object.entries(files))
      writeFileSync(path.join(directory, name), text)
    const rules = path.join(directory, 'rules')
    await run('mkdir', [rules], directory)
    writeFileSync(path.join(rules, 'r.yaml'), RULES)
    const hasGo = await run('go', ['build', '-o', 'ask', 'ask.go'], directory)
    await run('unshare', ['-Urnm', 'sh', 'run.sh'], directory)
    const read = (name: string): string => readFileSync(path.join(directory, name), 'utf8')
    const has = (name: string): boolean => readdirSync(directory).includes(name)

    const synthetic = /198\.1[89]\.\d+\.\d+/
    t.match(read('getent.txt'), synthetic)
    t.match(read('getent.txt'), /2001:2::/)
    t.match(read('getent.txt'), /status 2\n$/, 'glibc: no such name')
    t.match(JSON.parse(read('node.txt')), [
      [{ address: /^2001:2::|^198\.1[89]\./ }, { address: /^2001:2::|^198\.1[89]\./ }],
      [synthetic],
      'ENODATA',
      'ENOTFOUND',
      'ENOTFOUND',
      'ENOTFOUND',
    ])
    if (has('python.txt')) t.match(read('python.txt'), /^\['198\.1.*', '2001:2::.*'\]\nTrue\n$/)
    if (hasGo) t.equal(read('go.txt'), '2 false\n0 true\n')
    if (has('java.txt')) t.equal(read('java.txt'), '2\nunknown\n')

    const asked = recordsIn(path.join(directory, 'journal'))
      .filter(({ event }) => event.action === 'dns-denied')
      .map(({ dns }) => `${dns?.question?.name} ${dns?.question?.type}`)
    const once = (name: string, ...types: readonly string[]): readonly string[] =>
      types.map((type) => `${name}.test ${type}`)
    t.strictSame(asked.filter((each) => each.startsWith('evil')).toSorted(), [
      ...once('evil-glibc', 'A', 'AAAA'),
      ...(hasGo ? once('evil-go', 'A', 'AAAA') : []),
      ...(has('java.txt') ? once('evil-java', 'A', 'AAAA') : []),
      ...once('evil-node', 'A', 'A', 'AAAA', 'TXT'),
      ...(has('python.txt') ? once('evil-python', 'A', 'AAAA') : []),
    ])
  },
)

/** Runs a program to its end. @returns whether it is there and succeeded */
function run(command: string, words: readonly string[], cwd: string): Promise<boolean> {
  return new Promise((resolve) => {
    const { PATH = '' } = process.env
    const env = {
      PATH,
      HOME: cwd,
      BIN,
      NODE: process.execPath,
      CGO_ENABLED: '0',
      GODEBUG: 'netdns=go',
      GOCACHE: path.join(cwd, 'go-build'),
      GO111MODULE: 'off',
    }
    const child = spawn(command, words, { cwd, env, stdio: 'ignore', timeout: TIMEOUT_MS })
    child.once('error', () => resolve(false))
    child.once('close', (status) => resolve(status === 0))
  })
}

function recordsIn(journal: string): readonly JournalRecord[] {
  return readdirSync(journal)
    .filter((name) => name.endsWith('.ndjson'))
    .flatMap((name) => readFileSync(path.join(journal, name), 'utf8').split('\n').slice(0, -1))
    .map((line): JournalRecord => JSON.parse(line))
}
