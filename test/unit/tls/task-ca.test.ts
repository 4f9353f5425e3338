// Proves the CA of a task: what it permits by OpenSSL's own words, that clients take its leaves and those of no other task,
// and that its key and files come, stay and go with the task.

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import net, { type Socket } from 'node:net'
import path from 'node:path'
import tls from 'node:tls'

import t, { type Test } from 'tap'

import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import { loadOrMakeCa, type Ca } from '../../../src/tls/ca.ts'
import { LeafServers } from '../../../src/tls/contexts.ts'
import { mintLeaf } from '../../../src/tls/leaf.ts'
import { TaskAuthorities, type TaskAuthority } from '../../../src/tls/task-ca.ts'
import { normalizeHost } from '../../../src/wire/authority.ts'
import { portOf } from '../../fixtures/port.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const ONE = `t_${'1'.repeat(26)}`
const OTHER = `t_${'2'.repeat(26)}`
const leafKey = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey

interface Place {
  readonly publicDir: string
  readonly keyDir: string
  readonly problems: string[]
  readonly authorities: TaskAuthorities
  installation: Ca
  now: number
  /** As after a restart. */
  reopen(): TaskAuthorities
  issue(id: string, hosts?: readonly string[], lifetimeMs?: number): TaskAuthority
}

function place(t: Test, lifetimeMs = 30 * DAY_MS): Place {
  const root = t.testdir({})
  const at: Place = {
    publicDir: path.join(root, 'certs/tasks'),
    keyDir: path.join(root, 'state/task-ca'),
    problems: [],
    installation: installationIn(root, lifetimeMs),
    now: Date.now(),
    reopen: () =>
      new TaskAuthorities({
        installation: () => at.installation,
        publicDir: at.publicDir,
        keyDir: at.keyDir,
        now: () => at.now,
        onProblem: (problem) => at.problems.push(problem),
      }),
    get authorities() {
      return authorities
    },
    issue: (id, hosts, life = 30 * MINUTE_MS) =>
      authorities.issue({ id, expiresAt: at.now + life }, hosts?.map(normalizeHost), false),
  }
  const authorities = at.reopen()
  return at
}

function installationIn(root: string, lifetimeMs: number): Ca {
  const keyFile = path.join(root, 'state/ca.key')
  return loadOrMakeCa({ dir: path.join(root, 'certs'), keyFile, lifetimeMs, now: Date.now })
}

const modeOf = (file: string): string => (statSync(file).mode & 0o777).toString(8)
const textOf = (pem: string): string =>
  execFileSync('openssl', ['x509', '-noout', '-text'], { input: pem, encoding: 'utf8' })

/** What OpenSSL says of a leaf for a host, in strict mode and with no other roots. */
function verify(
  t: Test,
  signer: Ca,
  host: string,
  trustedPem: string,
  untrustedPem?: string,
): string {
  const { kind, host: name } = normalizeHost(host)
  const dir = t.testdirName
  const write = (file: string, pem: string): string => {
    writeFileSync(path.join(dir, file), pem)
    return path.join(dir, file)
  }
  const leaf = write(
    'leaf.crt',
    mintLeaf(signer, [normalizeHost(host)], leafKey, Date.now()).certPem,
  )
  const { stdout, stderr } = spawnSync(
    'openssl',
    [
      'verify',
      '-x509_strict',
      '-purpose',
      'sslserver',
      '-no-CApath',
      '-no-CAstore',
      kind === 'name' ? '-verify_hostname' : '-verify_ip',
      name,
      '-CAfile',
      write('trusted.crt', trustedPem),
      ...(untrustedPem === undefined ? [] : ['-untrusted', write('between.crt', untrustedPem)]),
      leaf,
    ],
    { encoding: 'utf8' },
  )
  return `${stdout}${stderr}`
}

void t.test('R46: what one sandbox trusts opens only its own task, its hosts and its time', (t) => {
  const at = place(t)
  const mine = at.issue(ONE, ['api.example.test', 'pypi.test', '192.0.2.7'])
  const other = at.issue(OTHER, ['api.example.test'])
  for (const host of ['api.example.test', 'pypi.test', '192.0.2.7'])
    t.match(verify(t, mine, host, mine.certPem), /: OK/, host)
  for (const host of ['other.test', 'example.test', 'notapi.example.test', '192.0.2.8', '[::1]'])
    t.match(verify(t, mine, host, mine.certPem), /permitted subtree violation|excluded/, host)
  t.match(
    verify(t, mine, 'v2.api.example.test', mine.certPem),
    /: OK/,
    'below a permitted name is permitted, which X.509 cannot help',
  )
  t.match(verify(t, other, 'api.example.test', other.certPem), /: OK/)
  for (const [what, signer, trusted] of [
    ['another task', other, mine.certPem],
    ['the installation', at.installation, mine.certPem],
    ['this task, to who trusts another', mine, other.certPem],
  ] as const)
    t.match(
      verify(t, signer, 'api.example.test', trusted),
      /unable to get local issuer certificate/,
      what,
    )
  t.match(
    verify(t, other, 'api.example.test', mine.certPem, other.chainPem),
    /unable to get/,
    'nor does its intermediate help',
  )
  t.not(mine.key.export({ format: 'jwk' }).x, other.key.export({ format: 'jwk' }).x)
  t.end()
})

void t.test('who trusts the installation’s CA verifies through the intermediate', (t) => {
  const at = place(t)
  const task = at.issue(ONE, ['api.example.test'])
  const root = at.installation.certPem
  t.match(verify(t, task, 'api.example.test', root, task.chainPem), /: OK/)
  t.match(
    verify(t, task, 'other.test', root, task.chainPem),
    /permitted subtree violation/,
    'within the same constraints',
  )
  t.match(verify(t, task, 'api.example.test', root), /unable to get/, 'not without it')
  t.match(verify(t, at.installation, 'other.test', root), /: OK/, 'its own leaves have none')
  t.end()
})

void t.test('both certificates say what they permit, critically', (t) => {
  const at = place(t)
  const task = at.issue(ONE, ['b.test', 'a.test', 'a.test', '192.0.2.7', '[2001:db8::1]'])
  const [anchor, between] = [task.certPem, task.chainPem].map((pem) => new X509Certificate(pem))
  t.ok(anchor?.checkIssued(anchor), 'one signed by itself')
  t.ok(between?.checkIssued(new X509Certificate(at.installation.certPem)), 'one by ours')
  t.equal(anchor?.subject, `O=Sallyport\nCN=Sallyport task CA ${ONE}`)
  t.equal(between?.subject, anchor?.subject)
  t.not(between?.serialNumber, anchor?.serialNumber)
  for (const pem of [task.certPem, task.chainPem]) {
    const text = textOf(pem)
    t.match(text, /Basic Constraints: critical\s+CA:TRUE, pathlen:0\n/)
    t.match(text, /Key Usage: critical\s+Certificate Sign, CRL Sign\n/)
    t.match(
      text,
      /Name Constraints: critical\s+Permitted:\s+DNS:a\.test\s+DNS:b\.test\s+IP:192\.0\.2\.7\/255\.255\.255\.255\s+IP:2001:DB8:0:0:0:0:0:1\/FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF\n/,
    )
    t.notMatch(text, /Excluded/)
  }
  t.match(textOf(at.installation.certPem), /CA:TRUE, pathlen:1\n/, 'ours has room for it')
  t.end()
})

void t.test('a kind of host that a task has none of is not permitted at all', (t) => {
  const at = place(t)
  const violation = /subtree violation|excluded/
  const names = at.issue(ONE, ['a.test'])
  t.match(textOf(names.certPem), /Excluded:\s+IP:0\.0\.0\.0\/0\.0\.0\.0\s+IP:0:0:0:0:0:0:0:0\/0:0/)
  t.match(verify(t, names, 'a.test', names.certPem), /: OK/)
  for (const host of ['127.0.0.1', '[::1]'])
    t.match(verify(t, names, host, names.certPem), violation, `${host} of names alone`)
  const addresses = at.issue(ONE, ['127.0.0.1'])
  t.match(verify(t, addresses, '127.0.0.1', addresses.certPem), /: OK/)
  for (const host of ['a.test', 'localhost', '127.0.0.2', '[::1]'])
    t.match(verify(t, addresses, host, addresses.certPem), violation, `${host} of one address`)
  t.match(textOf(addresses.certPem), /Permitted:\s+IP:127\.0\.0\.1\/.*\s+IP:0:0:0:0:0:0:0:0\/FFFF/)
  const ipv6 = at.issue(ONE, ['[::1]'])
  t.match(textOf(ipv6.certPem), /Permitted:\s+IP:0:0:0:0:0:0:0:1\/.*\s+IP:255\.255\.255\.255\/255/)
  t.match(verify(t, ipv6, '[::1]', ipv6.certPem), /: OK/)
  for (const host of ['a.test', '127.0.0.1', '[::2]'])
    t.match(verify(t, ipv6, host, ipv6.certPem), violation, `${host} of an IPv6 address`)
  const nothing = at.issue(ONE, [])
  for (const host of ['a.test', '127.0.0.1', '[::1]'])
    t.match(verify(t, nothing, host, nothing.certPem), violation, `${host} of nothing`)
  const anything = at.issue(ONE)
  t.notMatch(textOf(anything.certPem), /Name Constraints/)
  for (const host of ['a.test', '127.0.0.1', '[::1]'])
    t.match(verify(t, anything, host, anything.certPem), /: OK/, `${host} of no list`)
  t.end()
})

void t.test('a list too long for a handshake binds the anchor and sends no intermediate', (t) => {
  const at = place(t)
  const many = Array.from({ length: 1000 }, (_, number) => `host-${number}.example.test`)
  const task = at.issue(ONE, many)
  t.equal(task.chainPem, '')
  t.match(verify(t, task, 'host-999.example.test', task.certPem), /: OK/)
  t.match(verify(t, task, 'host-1000.example.test', task.certPem), /violation/)
  t.equal(at.issue(ONE, many.toReversed()).certPem, task.certPem, 'and is kept')
  t.equal(at.reopen().of(ONE)?.chainPem, '')
  t.not(at.issue(ONE, many.slice(0, 300)).chainPem, '')
  t.end()
})

void t.test('it ends with its task and a little after, never beyond the installation’s CA', (t) => {
  const at = place(t, 2 * HOUR_MS)
  const ends = (task: TaskAuthority): number[] =>
    [task.certPem, task.chainPem].map((pem) => new X509Certificate(pem).validToDate.getTime())
  const brief = at.issue(ONE, ['a.test'], 30 * MINUTE_MS)
  const end = Math.floor((at.now + 35 * MINUTE_MS) / 1000) * 1000
  t.strictSame(ends(brief), [end, end])
  t.equal(brief.notAfter, end)
  const begin = new X509Certificate(brief.certPem).validFromDate.getTime()
  t.ok(Math.abs(begin - (at.now - HOUR_MS)) < 1001, 'from an hour ago')
  const long = at.issue(OTHER, ['a.test'], 3 * HOUR_MS)
  t.strictSame(ends(long), [at.installation.notAfter, at.installation.notAfter])
  const leaf = mintLeaf(brief, [normalizeHost('a.test')], leafKey, at.now)
  t.equal(leaf.notAfter, end, 'a leaf ends with it')
  t.equal(new X509Certificate(leaf.certPem).validToDate.getTime(), end)
  t.end()
})

void t.test('what has not changed is kept; changed hosts or another end keep the key', (t) => {
  const at = place(t)
  const first = at.issue(ONE, ['a.test', 'b.test'])
  const keyId = (task: TaskAuthority): string => task.keyId.toString('hex')
  t.equal(at.issue(ONE, ['b.test', 'a.test']), first, 'the order of hosts is no change')
  const wider = at.issue(ONE, ['a.test', 'c.test'])
  const longer = at.issue(ONE, ['a.test', 'c.test'], HOUR_MS)
  const free = at.issue(ONE, undefined, HOUR_MS)
  t.equal(new Set([first, wider, longer, free].map(({ certPem }) => certPem)).size, 4)
  t.equal(new Set([first, wider, longer, free].map(keyId)).size, 1)
  t.equal(at.issue(ONE, undefined, HOUR_MS), free)
  t.equal(at.authorities.of(ONE), free)
  t.equal(readFileSync(free.certFile, 'utf8'), free.certPem)
  t.match(verify(t, free, 'x.test', free.certPem), /: OK/)
  t.match(
    verify(t, free, 'x.test', first.certPem),
    /violation/,
    'who loaded the first is bound by it until it is loaded anew',
  )
  at.installation = installationIn(path.join(t.testdirName, 'new'), 30 * DAY_MS)
  const moved = at.issue(ONE, undefined, HOUR_MS)
  t.match(
    verify(t, moved, 'x.test', at.installation.certPem, moved.chainPem),
    /: OK/,
    'a new CA of the installation signs a new intermediate',
  )
  t.equal(keyId(moved), keyId(free))
  t.end()
})

void t.test('the sandbox’s files are public and alone in their directory, the key is not', (t) => {
  const at = place(t)
  t.notOk(existsSync(at.publicDir), 'nothing is made before a task has a CA')
  t.notOk(existsSync(at.keyDir))
  const task = at.issue(ONE, ['a.test'])
  t.equal(task.directory, path.join(at.publicDir, ONE))
  t.strictSame(readdirSync(task.directory).sort(), [
    'ca-bundle.crt',
    'ca-truststore.p12',
    'ca.crt',
    'wgetrc',
  ])
  t.equal(task.certFile, path.join(task.directory, 'ca.crt'))
  t.equal(task.bundleFile, path.join(task.directory, 'ca-bundle.crt'))
  t.strictSame([task.certFile, task.bundleFile].map(modeOf), ['644', '644'])
  for (const name of readdirSync(task.directory))
    t.notMatch(readFileSync(path.join(task.directory, name), 'utf8'), /PRIVATE/)
  t.equal(readFileSync(task.bundleFile, 'utf8'), task.certPem, 'no root but its own')
  t.match(readFileSync(path.join(task.directory, 'wgetrc'), 'utf8'), task.bundleFile)
  t.strictSame(readdirSync(at.keyDir), [`${ONE}.pem`])
  t.equal(modeOf(at.keyDir), '700')
  t.equal(modeOf(path.join(at.keyDir, `${ONE}.pem`)), '600')
  at.authorities.issue({ id: ONE, expiresAt: at.now + HOUR_MS }, undefined, true)
  const bundle = readFileSync(task.bundleFile, 'utf8')
  t.equal(bundle.match(/BEGIN CERTIFICATE/g)?.length, tls.rootCertificates.length + 1)
  t.notMatch(bundle, at.installation.certPem, 'the installation’s is not among them')
  t.end()
})

void t.test('what somebody left in the way of a file is not followed', (t) => {
  const at = place(t)
  const task = at.issue(ONE, ['a.test'])
  const precious = path.join(t.testdirName, 'precious')
  writeFileSync(precious, 'as it was')
  symlinkSync(precious, `${task.certFile}.new`)
  const fresh = at.issue(ONE, ['b.test'])
  t.equal(readFileSync(precious, 'utf8'), 'as it was')
  t.equal(readFileSync(task.certFile, 'utf8'), fresh.certPem)
  t.end()
})

void t.test('dropped, the key is gone at once and the public files a little later', (t) => {
  const at = place(t)
  const task = at.issue(ONE, ['a.test'])
  const other = at.issue(OTHER, ['a.test'])
  t.equal(at.authorities.drop(ONE), true)
  t.ok(existsSync(task.directory), 'a client can still read what it trusts')
  t.strictSame(readdirSync(at.keyDir), [`${OTHER}.pem`])
  t.equal(at.authorities.of(ONE), undefined)
  t.equal(at.reopen().of(ONE), undefined)
  t.equal(at.authorities.drop(ONE), false)
  t.equal(at.authorities.of(OTHER), other, 'the other stays')
  at.now += 6 * MINUTE_MS
  t.equal(at.authorities.drop(ONE), false)
  at.now += 6 * MINUTE_MS
  t.equal(at.authorities.drop(OTHER), true)
  t.notOk(existsSync(task.directory))
  t.not(at.issue(ONE, ['a.test']).keyId.toString('hex'), task.keyId.toString('hex'), 'a new key')
  t.end()
})

void t.test(
  'after a crash the CAs of tasks that are no more are dropped, and nothing else',
  (t) => {
    const at = place(t)
    t.equal(at.authorities.dropOthers(new Set()), 0, 'also before there is any')
    const ids = ['3', '4', '5', '6'].map((digit) => `t_${digit.repeat(26)}`)
    const kept = at.issue(ONE, ['a.test'])
    at.issue(ids[0]!, ['a.test'])
    // As a crash leaves them: half written, only public files, only a key.
    writeFileSync(path.join(at.keyDir, `${ids[1]}.pem.new`), '')
    mkdirSync(path.join(at.publicDir, ids[2]!))
    writeFileSync(path.join(at.keyDir, `${ids[3]}.pem`), 'torn')
    writeFileSync(path.join(at.keyDir, 'notes'), 'not ours')
    t.equal(at.reopen().dropOthers(new Set([ONE])), 4)
    t.strictSame(readdirSync(at.keyDir).sort(), ['notes', `${ONE}.pem`])
    t.strictSame(readdirSync(at.publicDir), [ONE])
    t.equal(at.reopen().of(ONE)?.certPem, kept.certPem)
    t.end()
  },
)

void t.test('a restart reads it back, and mends the public files where it is issued', (t) => {
  const at = place(t)
  const before = at.issue(ONE, ['a.test'])
  const again = at.reopen()
  const { key, ...read } = again.of(ONE)!
  const { key: formerKey, ...former } = before
  t.strictSame(read, former)
  t.ok(key.equals(formerKey))
  t.match(verify(t, again.of(ONE)!, 'a.test', before.certPem), /: OK/)
  t.equal(again.of(OTHER), undefined)
  writeFileSync(before.certFile, 'half')
  const task = { id: ONE, expiresAt: at.now + 30 * MINUTE_MS }
  t.equal(again.issue(task, [normalizeHost('a.test')], false).certPem, before.certPem)
  t.equal(readFileSync(before.certFile, 'utf8'), before.certPem)
  chmodSync(path.join(at.keyDir, `${ONE}.pem`), 0o644)
  t.ok(at.reopen().of(ONE))
  t.equal(modeOf(path.join(at.keyDir, `${ONE}.pem`)), '600', 'closed to others again')
  t.strictSame(at.problems, [])
  t.end()
})

void t.test('a torn or foreign key file is told of and made anew', (t) => {
  const at = place(t)
  const file = path.join(at.keyDir, `${ONE}.pem`)
  const whole = at.issue(ONE, ['a.test'])
  at.issue(OTHER, ['a.test'])
  const mine = readFileSync(file, 'utf8')
  const foreign = readFileSync(path.join(at.keyDir, `${OTHER}.pem`), 'utf8')
  const keyEnd = mine.indexOf('-----BEGIN CERTIFICATE')
  const foreignKeyEnd = foreign.indexOf('-----BEGIN CERTIFICATE')
  for (const [what, content] of [
    ['empty', ''],
    ['half a key', mine.slice(0, 80)],
    ['a key alone', mine.slice(0, keyEnd)],
    ['a certificate short', mine.slice(0, mine.lastIndexOf('-----BEGIN') + 100)],
    ['of another task', foreign],
    ['of two keys', foreign.slice(0, foreignKeyEnd) + mine.slice(keyEnd)],
    ['no key', 'my notes'],
  ] as const) {
    writeFileSync(file, content)
    at.problems.length = 0
    const again = at.reopen()
    t.equal(again.of(ONE), undefined, what)
    t.equal(at.problems.length, 1)
    t.match(at.problems[0], /^the CA of the task t_1+ in .*\.pem cannot be used \(.+\): what its/)
    const task = { id: ONE, expiresAt: at.now + 30 * MINUTE_MS }
    const fresh = again.issue(task, [normalizeHost('a.test')], false)
    t.not(fresh.keyId.toString('hex'), whole.keyId.toString('hex'), what)
    t.match(verify(t, fresh, 'a.test', readFileSync(fresh.certFile, 'utf8')), /: OK/)
    t.equal(at.reopen().of(ONE)?.certPem, fresh.certPem)
  }
  t.end()
})

void t.test('an id that is no task’s becomes no path', (t) => {
  const at = place(t)
  at.issue(ONE, ['a.test'])
  const wrong = [
    '',
    't_',
    '../x',
    `t_${'1'.repeat(25)}`,
    `${ONE}/..`,
    ONE.toUpperCase(),
    `${ONE}\n`,
  ]
  for (const id of wrong) {
    t.throws(() => at.issue(id, ['a.test']), /task id/, JSON.stringify(id))
    t.throws(() => at.authorities.of(id), /task id/)
    t.throws(() => at.authorities.drop(id), /task id/)
  }
  t.strictSame(readdirSync(at.publicDir), [ONE])
  t.strictSame(readdirSync(at.keyDir), [`${ONE}.pem`])
  t.end()
})

/** A door that serves one host in the name of a task, as the proxy does, and answers by HTTP. */
async function openDoor(t: Test, server: tls.Server): Promise<number> {
  const open = new Set<Socket>()
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  server.on('secureConnection', (socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'))
  })
  const door = net.createServer((raw) => {
    open.add(raw)
    raw.on('error', () => undefined)
    server.emit('connection', raw)
  })
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    door.close()
  })
  return portOf(door)
}

async function run(program: string, words: readonly string[]): Promise<string> {
  const child = spawn(program, words, { env: { PATH: process.env['PATH'] } })
  let out = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (out += chunk.toString()))
  const status = await new Promise((resolve) => child.once('close', resolve))
  return `${String(status)} ${out}`
}

const PYTHON = `
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
context.verify_flags |= ssl.VERIFY_X509_STRICT
with socket.create_connection(('127.0.0.1', int(sys.argv[2])), 5) as raw:
    with context.wrap_socket(raw, server_hostname=sys.argv[3]) as secure:
        print(secure.version())
`

const CLIENTS: Readonly<
  Record<string, (caFile: string, port: number, host: string) => Promise<string>>
> = {
  curl: (caFile, port, host) =>
    run('curl', [
      '-sS',
      '--cacert',
      caFile,
      '--resolve',
      `${host}:${port}:127.0.0.1`,
      `https://${host}:${port}/`,
    ]),
  python: (caFile, port, host) => run('python3', ['-c', PYTHON, caFile, String(port), host]),
  node: (caFile, port, host) =>
    new Promise((resolve) => {
      const socket = tls.connect({
        host: '127.0.0.1',
        port,
        ca: readFileSync(caFile),
        ...(net.isIP(host) === 0 && { servername: host }),
      })
      socket.once('secureConnect', () => {
        resolve('0 secure')
        socket.destroy()
      })
      socket.once('error', (error) => resolve(`1 ${error.message}`))
    }),
}

const REFUSED =
  /^(?:60|1) [^]*(?:permitted subtree violation|excluded subtree|certificate problem|self.signed certificate|unable to (?:get local issuer|verify)|VERIFY_FAILED)/

for (const [name, connect] of Object.entries(CLIENTS))
  void t.test(
    `${name} takes the leaves of the task whose anchor it has, and no others`,
    async (t) => {
      const at = place(t)
      const tasks = {
        [ONE]: at.issue(ONE, ['api.test', '127.0.0.1']),
        [OTHER]: at.issue(OTHER, ['api.test', '127.0.0.1']),
      }
      const servers = new LeafServers({
        authorityFor: (id) => (id === undefined ? at.installation : tasks[id]!),
        limits: DEFAULT_LIMITS,
        now: Date.now,
      })
      const portFor = (id: string, host: string): Promise<number> =>
        openDoor(t, servers.serverFor(normalizeHost(host), id))
      const [mine, theirs] = [tasks[ONE]!, tasks[OTHER]!]
      for (const host of ['api.test', '127.0.0.1']) {
        const port = await portFor(ONE, host)
        t.match(await connect(mine.certFile, port, host), /^0 /, host)
        t.match(await connect(mine.bundleFile, port, host), /^0 /, `${host}, by the bundle`)
        t.match(await connect(at.installation.certFile, port, host), /^0 /, 'by the installation')
        t.match(await connect(theirs.certFile, port, host), REFUSED, `${host}, by another task's`)
      }
      const beyond = await portFor(ONE, 'beyond.test')
      t.match(await connect(mine.certFile, beyond, 'beyond.test'), REFUSED, 'beyond its hosts')
      t.match(
        await connect(at.installation.certFile, beyond, 'beyond.test'),
        REFUSED,
        'nor by the installation',
      )
      const their = await portFor(OTHER, 'api.test')
      t.match(await connect(mine.certFile, their, 'api.test'), REFUSED, 'nor another task’s leaf')
      t.match(await connect(theirs.certFile, their, 'api.test'), /^0 /, 'its twin')
    },
  )
