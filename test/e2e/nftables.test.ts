// The rules of deploy/nftables in a real network namespace, with the real sidecar as one user and clients as another, and a
// second namespace that plays the internet and counts what arrives. The configuration is that of deploy/kubernetes/pod.yaml.

import { spawnSync, type ChildProcess } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import t, { type Test } from 'tap'
import { parseAllDocuments } from 'yaml'

import {
  BEHIND,
  Namespaces,
  namespacesMissing,
  NODE,
  OWN,
  PROGRAM,
  SITE,
} from '../fixtures/wired-namespaces.ts'
import { until, type ClientRun, type JournalRecord } from '../fixtures/scenario.ts'

const ROOT = path.join(import.meta.dirname, '../..')
const RULES = path.join(ROOT, 'deploy/nftables/sallyport.nft')
const HEALTH = 'http://127.0.0.1:15020'
const skip = namespacesMissing() ?? false

/** The variables of the agent's container. */
function shippedVariables(): Record<string, string> {
  const file = readFileSync(path.join(ROOT, 'deploy/kubernetes/pod.yaml'), 'utf8')
  const job: {
    spec: { template: { spec: { containers: { env: { name: string; value: string }[] }[] } } }
  } = parseAllDocuments(file).at(-1)!.toJS()
  const { env } = job.spec.template.spec.containers[0]!
  return Object.fromEntries(env.map(({ name, value }) => [name, value]))
}

/** What the ConfigMap of the pod holds. */
function shippedConfig(): string {
  const file = readFileSync(path.join(ROOT, 'deploy/kubernetes/pod.yaml'), 'utf8')
  for (const document of parseAllDocuments(file)) {
    const { kind, data }: { kind: string; data?: Record<string, string> } = document.toJS()
    const config = kind === 'ConfigMap' ? data?.['sallyport.yaml'] : undefined
    if (config !== undefined) return config
  }
  throw new Error('there is no configuration')
}

const DATA = '/var/lib/sallyport'
const RULE_SET = `ruleset: first-agent
owner: a@example.com
params: { repo: { pattern: '.*' } }
rules:
  - { id: site, allow: [https://site.test, http://site.test], paths: [/ok], addresses: [203.0.113.0/24, '2001:db8::/32'] }
`

/** The sidecar of a pod: started as the sidecar's user, with the shipped configuration. */
class Sidecar {
  readonly ca: string = `${DATA}/certs/ca-bundle.crt`
  readonly ns: Namespaces
  readonly #config: string
  readonly #rules: string

  constructor(ns: Namespaces, config = shippedConfig()) {
    this.ns = ns
    this.#rules = path.join(ns.directory, 'rules')
    mkdirSync(this.#rules)
    writeFileSync(path.join(this.#rules, 'first-agent.yaml'), RULE_SET)
    this.#config = path.join(ns.directory, 'sallyport.yaml')
    const upstream = `upstream: { hosts: { site.test: [${SITE.v4}] }, ca: [roots.pem] }`
    writeFileSync(this.#config, `${config}${upstream}\n`)
  }

  /** Starts it and waits until it is ready, asking as its own user. */
  async start(): Promise<void> {
    const command = [NODE, PROGRAM, 'start', '--config', this.#config]
    const child = this.ns.start('sidecar', command, { SALLYPORT_RULES_DIR: this.#rules })
    await until(async () => {
      if (child.exitCode !== null) throw new Error(this.ns.log())
      const asked = await this.ns.as('sidecar', ['curl', '-sf', `${HEALTH}/readyz`])
      return asked.status === 0
    }, 'the sidecar is ready')
    this.#child = child
  }

  #child: ChildProcess | undefined

  /** Ends it at once. */
  kill(): void {
    this.#child?.kill('SIGKILL')
  }

  records(): JournalRecord[] {
    return this.ns
      .root('sh', '-c', `cat ${DATA}/data/journal/*.ndjson`)
      .split('\n')
      .slice(0, -1)
      .map((line): JournalRecord => JSON.parse(line))
  }
}

/** A port from which the sidecar's user has asked a server, and which is free again. */
const TAKEN = 40_053

async function tryWaysOut(ns: Namespaces): Promise<Record<string, string>> {
  const ask = `import socket
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); one.settimeout(10); one.bind(('', ${TAKEN}))
one.sendto(b'x', ('198.51.100.53', 53)); one.recv(100)`
  const asked = await ns.as('sidecar', ['/usr/bin/python3', '-c', ask])
  if (asked.status !== 0) throw new Error(`the sidecar's user: ${asked.stderr}`)
  const before = ns.packets()
  const script = readFileSync(path.join(ROOT, 'test/fixtures/ways-out.py'), 'utf8')
  const places = [SITE.v4, SITE.v6, OWN.v4, OWN.v6, String(TAKEN)]
  const { stdout, stderr } = await ns.as('agent', ['/usr/bin/python3', '-c', script, ...places])
  if (stdout === '') throw new Error(stderr)
  const results: Record<string, string> = JSON.parse(stdout)
  return { ...results, packets: String(ns.packets() - before) }
}

/** What is refused by the sandbox's rights rather than by the rules. */
const PRIVILEGED = ['raw4', 'raw6', 'packet']
/** Ways that some kernels do not have. */
const RARE = ['sctp', 'udplite', 'multipath']

function assertClosed(t: Test, results: Readonly<Record<string, string>>): void {
  for (const [name, result] of Object.entries(results)) {
    if (name === 'packets') t.equal(result, '0', 'no packet reached the internet')
    else if (name.startsWith('join')) t.equal(result, 'joined', `${name}: said to nobody`)
    else if (PRIVILEGED.includes(name)) t.equal(result, 'EPERM', name)
    else if (RARE.includes(name)) t.notMatch(result, /open|silence/, `${name}: ${result}`)
    else if (/^(?:udp|icmp|taken)/.test(name))
      t.match(result, /^E(?:PERM|HOSTUNREACH|ACCES)$/, name)
    else t.equal(result, 'ECONNREFUSED', name)
  }
}

void t.test('nftables', { skip }, async (t) => {
  const ns = await Namespaces.make(t)
  const sidecar = new Sidecar(ns)
  // So that the rules, and not the system's defaults, are what stands in the way.
  ns.root('sysctl', '-qw', 'net.ipv4.ping_group_range=0 2147483647')
  const curl = (...words: string[]): Promise<ClientRun> =>
    ns.as('agent', ['curl', '-sS', '--max-time', '10', '--cacert', sidecar.ca, ...words])
  const variables = shippedVariables()
  const doctor = (): Promise<ClientRun> =>
    ns.as('agent', [NODE, PROGRAM, 'doctor', '--inside'], variables)
  const proxied = (...words: string[]): Promise<ClientRun> =>
    curl('--proxy', 'http://127.0.0.1:3128', ...words)

  await t.test('R45: loading needs NET_ADMIN and nothing else, and is all or nothing', (t) => {
    const load = (capabilities: string, file: string): number | null =>
      spawnSync(
        'unshare',
        [
          '--net',
          'setpriv',
          `--bounding-set=${capabilities}`,
          `--inh-caps=${capabilities}`,
          `--ambient-caps=${capabilities}`,
          '--no-new-privs',
          'nft',
          '--file',
          file,
        ],
        { stdio: 'ignore' },
      ).status
    t.equal(load('-all,+net_admin', RULES), 0)
    t.not(load('-all', RULES), 0, 'an init container without it fails, and with it the pod')
    const broken = path.join(ns.directory, 'broken.nft')
    writeFileSync(
      broken,
      `${readFileSync(RULES, 'utf8')}\ntable inet more { chain x { nonsense } }\n`,
    )
    t.throws(() => ns.root('nft', '--file', broken))
    t.equal(ns.root('nft', 'list', 'ruleset'), '', 'nothing of a file with an error is loaded')
    t.end()
  })

  await t.test('R45: without the rules every way out is open, and the test sees it', async (t) => {
    const results = await tryWaysOut(ns)
    for (const name of ['tcp4 22', 'tcp6 22', 'metadata', 'udp4 443', 'udp6 443', 'icmp4', 'icmp6'])
      t.equal(results[name], 'open', name)
    t.equal(results['taken'], 'open')
    t.ok(Number(results['packets']) > 20)
  })

  ns.root('nft', '--file', RULES)
  await sidecar.start()

  await t.test('R45: with them none is, nothing arrives, and clients fail at once', async (t) => {
    assertClosed(t, await tryWaysOut(ns))
    const { status, stderr } = await curl('https://site.test/ok', '--connect-to', `::${SITE.v4}:22`)
    t.equal(status, 7, stderr)
  })

  await t.test('R45: what a rule allows arrives by the explicit proxy', async (t) => {
    const before = ns.packets()
    for (const scheme of ['http', 'https']) {
      const { stdout, stderr } = await proxied(`${scheme}://site.test/ok`)
      t.equal(stdout, 'the internet answers site.test/ok\n', stderr)
    }
    t.ok(ns.packets() > before)
    t.match((await proxied('https://site.test/no')).stdout, 'path-not-allowed')
    t.match((await proxied('https://other.test/')).stderr, '403')
  })

  await t.test(
    'R45: connections of the sidecar end as they should, without an owner too',
    async (t) => {
      const lingering = (): string => ns.root('ss', '-Htan', 'state', 'fin-wait-1')
      await until(() => lingering() === '', 'what is closed is taken by its peer')
      t.pass()
    },
  )

  await t.test(
    'R45: what a rule allows arrives without any variable, whatever address it is sent to',
    async (t) => {
      const to = (address: string, port: number, name = 'site.test'): string[] => [
        '--noproxy',
        '*',
        '--connect-to',
        `${name}:${port}:[${address}]:${port}`,
      ]
      for (const address of [SITE.v4, SITE.v6, '8.8.8.8', '169.254.169.254'])
        for (const [scheme, port] of [
          ['http', 80],
          ['https', 443],
        ] as const) {
          const { stdout, stderr } = await curl(...to(address, port), `${scheme}://site.test/ok`)
          t.equal(stdout, 'the internet answers site.test/ok\n', `${scheme} ${address} ${stderr}`)
        }
      t.match((await curl(...to(SITE.v4, 443), 'https://site.test/no')).stdout, 'path-not-allowed')
      const before = ns.begun()
      const metadata = await curl('--noproxy', '*', 'http://169.254.169.254/latest')
      t.match(metadata.stdout, 'not-on-allowlist')
      const other = await curl(...to(SITE.v4, 443, 'other.test'), 'https://other.test/')
      t.match(other.stdout, 'not-on-allowlist')
      t.match((await curl(...to(SITE.v4, 80, 'other.test'), 'http://other.test/')).stdout, '403')
      const unnamed = await curl('--noproxy', '*', '-k', `https://${SITE.v4}/ok`)
      t.not(unnamed.status, 0, 'TLS that names nobody')
      t.equal(ns.begun() - before, 0, 'nothing of what is refused reached the internet')
      const denied = sidecar
        .records()
        .filter(
          ({ event, sallyport }) =>
            event.action === 'call-denied' && sallyport.call?.door === 'transparent',
        )
      t.ok(denied.length >= 5, 'and each refusal is on record')
    },
  )

  await t.test(
    'R45: names are asked of the sidecar, whatever resolver they are sent to',
    async (t) => {
      const before = ns.begun()
      const dig = async (name: string, ...words: string[]): Promise<string> => {
        const fixed = ['dig', '+time=5', '+tries=1', '+noall', '+comments', '+answer']
        return (await ns.as('agent', [...fixed, ...words, name])).stdout
      }
      for (const to of [
        [],
        ['@8.8.8.8'],
        [`@${SITE.v6}`],
        ['@8.8.8.8', '+tcp'],
        [`@${SITE.v6}`, '+tcp'],
      ]) {
        t.match(await dig('site.test', ...to), /^site\.test\.\s+\d+\s+IN\s+A\s/m, to.join(' '))
        const refused = await dig('c2VjcmV0.other.test', ...to)
        t.match(refused, /status: (?:REFUSED|NXDOMAIN)/, `${to.join(' ')}: no rule could allow it`)
      }
      t.equal(ns.begun(), before, 'no query left')
      for (const scheme of ['http', 'https']) {
        const { stdout, stderr } = await curl(`${scheme}://site.test/ok`)
        t.equal(stdout, 'the internet answers site.test/ok\n', stderr)
      }
      const fetched = await ns.as(
        'agent',
        [NODE, '-e', "fetch('https://site.test/ok').then((r) => r.text()).then(console.log)"],
        { NODE_EXTRA_CA_CERTS: variables['NODE_EXTRA_CA_CERTS']! },
      )
      t.match(fetched.stdout, 'the internet answers site.test/ok', fetched.stderr)
      const secure = `import urllib.request as u; print(u.urlopen('https://site.test/ok').read().decode())`
      const python = await ns.as('agent', ['/usr/bin/python3', '-c', secure], {
        SSL_CERT_FILE: sidecar.ca,
      })
      t.match(python.stdout, 'the internet answers site.test/ok', python.stderr)
    },
  )

  await t.test('R45: `sallyport doctor --inside` finds no other way out', async (t) => {
    // Its probes wait only so long; on a machine that is busy an answer may come late, which it takes for none.
    let told = await doctor()
    for (let again = 0; again < 4 && told.status !== 0; again += 1) told = await doctor()
    const { status, stdout, stderr } = told
    t.equal(status, 0, stdout + stderr)
    t.match(stdout, '0 failed')
    t.match(stdout, 'the sidecar answers for task')
  })

  await t.test('R44: nobody without NET_ADMIN changes the rules', async (t) => {
    const rules = ns.root('nft', '-s', 'list', 'ruleset')
    for (const how of [[], ['unshare', '--user', '--map-root-user']]) {
      const { status } = await ns.as('agent', [...how, 'nft', 'flush', 'ruleset'])
      t.not(status, 0, how.join(' '))
    }
    t.equal(ns.root('nft', '-s', 'list', 'ruleset'), rules)
    const control = `${DATA}/data/state/control.sock`
    const asked = await ns.as('agent', [
      'curl',
      '-sS',
      '--unix-socket',
      control,
      'http://localhost/v1/tasks',
    ])
    t.match(asked.stderr, /Couldn't connect/, 'nor opens the control socket')
    const own = await ns.as('sidecar', [
      'curl',
      '-sS',
      '--unix-socket',
      control,
      'http://localhost/v1/tasks',
    ])
    t.match(own.stdout, 'first-agent', 'which its own user can')
  })

  await t.test(
    'R45: processes of the sandbox speak to each other where `between` says so',
    async (t) => {
      const serve = ['/usr/bin/python3', '-m', 'http.server', '--directory', `${DATA}/certs`]
      for (const port of ['4000', '4001'])
        ns.start('agent', [...serve, '--bind', '127.0.0.1', port])
      const ask = (user: 'agent' | 'sidecar', port: number): Promise<ClientRun> =>
        ns.as(user, ['curl', '-sS', '--max-time', '10', `http://127.0.0.1:${port}/`])
      const load = (text: string): void => {
        const file = path.join(ns.directory, 'changed.nft')
        writeFileSync(file, text)
        ns.root('nft', '--file', file)
      }
      const shipped = readFileSync(RULES, 'utf8')
      t.equal((await ask('agent', 4000)).status, 7)
      load(shipped.replace('define between = { }', 'define between = { 4000 }'))
      await until(
        async () => (await ask('agent', 4000)).stdout.includes('Directory'),
        'it is let in',
      )
      t.equal((await ask('agent', 4001)).status, 7, 'and no other')
      t.equal((await curl('--noproxy', '*', HEALTH)).status, 7, 'nor the health listener')
      load(shipped)
      t.equal((await ask('agent', 4000)).status, 7)
    },
  )

  await t.test('R45: nobody comes in from outside', async (t) => {
    ns.start('agent', [
      '/usr/bin/python3',
      '-m',
      'http.server',
      '8000',
      '--directory',
      '/var/lib/sallyport/certs',
    ])
    for (const port of [3128, 15_080, 15_443, 15_020, 8000]) {
      const url = `http://${OWN.v4}:${port}/`
      const { status } = await ns.outside(['curl', '-sS', '--connect-timeout', '1', url])
      t.equal(status, 28, String(port))
    }
  })

  await t.test('R45: when the sidecar dies nothing else opens', async (t) => {
    sidecar.kill()
    await until(async () => (await proxied('http://site.test/ok')).status === 7, 'it is gone')
    assertClosed(t, await tryWaysOut(ns))
    await sidecar.start()
    t.equal(
      (await proxied('http://site.test/ok')).status,
      0,
      'and all is as before once it is back',
    )
  })

  await t.test('R45: when the rules are gone the hole is seen', async (t) => {
    ns.root('nft', 'delete', 'table', 'inet', 'sallyport')
    const results = await tryWaysOut(ns)
    t.equal(results['tcp4 22'], 'open')
    t.equal(results['udp6 443'], 'open')
    t.not(results['packets'], '0')
    const told = await doctor()
    t.equal(told.status, 1, `and \`doctor --inside\` sees it: ${told.stderr}`)
    t.match(told.stdout, /^fail .*8\.8\.8\.8/m)
    const { stdout } = await ns.outside(['curl', '-sS', `http://${OWN.v4}:8000/`])
    t.match(stdout, 'Directory listing', 'and it is reached from outside')
  })
})

void t.test('nftables of a gateway', { skip }, async (t) => {
  const ns = await Namespaces.make(t)
  const config = shippedConfig()
    .replace('127.0.0.1:3128', "'[::]:3128'")
    .replace("[127.0.0.0/8, '::1/128']", `['${BEHIND.v4}/32', '${BEHIND.v6}/128']`)
  const sidecar = new Sidecar(ns, config)
  await ns.behind(['sysctl', '-qw', 'net.ipv4.ping_group_range=0 2147483647'])
  const script = readFileSync(path.join(ROOT, 'test/fixtures/ways-out.py'), 'utf8')
  const tryAll = async (): Promise<Record<string, string>> => {
    const before = ns.packets()
    const places = [SITE.v4, SITE.v6, BEHIND.v4, BEHIND.v6, String(TAKEN)]
    const { stdout, stderr } = await ns.behind(['/usr/bin/python3', '-c', script, ...places])
    if (stdout === '') throw new Error(stderr)
    const results: Record<string, string> = JSON.parse(stdout)
    return { ...results, packets: String(ns.packets() - before) }
  }
  const reach = async (port: number): Promise<number | null> => {
    const url = `http://${BEHIND.router}:${port}/healthz`
    return (await ns.behind(['curl', '-sS', '--max-time', '10', url])).status
  }

  await t.test('R45: without the rules the router passes everything on', async (t) => {
    const results = await tryAll()
    for (const name of ['tcp4 22', 'tcp6 22', 'udp4 443', 'udp6 443', 'icmp4', 'icmp6'])
      t.equal(results[name], 'open', name)
  })

  ns.root('nft', '--file', path.join(ROOT, 'deploy/nftables/gateway.nft'))
  await sidecar.start()

  await t.test(
    'R45: with them root in the sandbox reaches nothing beyond, and nothing here but doors',
    async (t) => {
      const results = await tryAll()
      for (const [name, result] of Object.entries(results))
        if (/^tcp|metadata/.test(name)) t.equal(result, 'ECONNREFUSED', name)
        else if (/^udp|^icmp/.test(name)) t.not(result, 'open', name)
      t.equal(results['packets'], '0', 'no packet reached the internet')
      ns.start('sidecar', [
        '/usr/bin/python3',
        '-m',
        'http.server',
        '8000',
        '--directory',
        `${DATA}/certs`,
      ])
      await until(
        async () =>
          (await ns.as('sidecar', ['curl', '-s', `http://${BEHIND.router}:8000/`])).status === 0,
        'the gateway has a service',
      )
      for (const port of [8000, 15_020, 15_080, 15_443, 15_053])
        t.equal(await reach(port), 7, String(port))
    },
  )

  await t.test('R45: what a rule allows arrives, by name and whatever address', async (t) => {
    const ca = path.join(ns.directory, 'ca.crt')
    writeFileSync(ca, ns.root('cat', `${DATA}/certs/ca.crt`))
    const curl = (...words: string[]): Promise<ClientRun> =>
      ns.behind(['curl', '-sS', '--max-time', '10', '--cacert', ca, ...words])
    for (const words of [
      ['http://site.test/ok'],
      ['https://site.test/ok'],
      ['--connect-to', `site.test:443:[${SITE.v6}]:443`, 'https://site.test/ok'],
      ['--proxy', `http://${BEHIND.router}:3128`, 'https://site.test/ok'],
    ]) {
      const { stdout, stderr } = await curl(...words)
      t.equal(stdout, 'the internet answers site.test/ok\n', `${words.join(' ')} ${stderr}`)
    }
    const before = ns.begun()
    t.match((await curl('http://169.254.169.254/latest')).stdout, 'not-on-allowlist')
    t.match(
      (await ns.behind(['dig', '@8.8.8.8', 'c2VjcmV0.other.test'])).stdout,
      /status: (?:REFUSED|NXDOMAIN)/,
    )
    t.equal(ns.begun(), before)
  })

  await t.test(
    'R45: the gateway itself is not touched, and nobody comes in through it',
    async (t) => {
      const own = await ns.as('sidecar', ['curl', '-sS', `http://${SITE.v4}/own`])
      t.match(own.stdout, 'the internet answers')
      const { status } = await ns.outside([
        'curl',
        '-sS',
        '--connect-timeout',
        '1',
        `http://${BEHIND.v4}:8000/`,
      ])
      t.equal(status, 28)
    },
  )
})
