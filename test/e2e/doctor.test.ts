// `sallyport doctor --inside` in namespaces of the test's own: a sealed sandbox passes, and each hole that is opened on purpose
// makes it fail and is named. Nothing leaves the namespaces.

import t, { type Test } from 'tap'

import {
  mayMakeNamespaces,
  Namespace,
  Sandbox,
  type DoctorOptions,
} from '../fixtures/namespaces.ts'

const TARGETS = ['192.0.2.1', '2001:db8::1']
const ANY_ADDRESS = ['ip route add local 0.0.0.0/0 dev lo', 'ip -6 route add local ::/0 dev lo']
const skip = (await mayMakeNamespaces()) ? false : 'no user namespaces may be made here'

/** Runs a test with a sandbox whose sidecar runs. */
function sealed(
  title: string,
  {
    setup = [],
    config = '',
    task = '',
    files = {},
  }: {
    readonly setup?: readonly string[]
    readonly config?: string
    readonly task?: string
    readonly files?: Readonly<Record<string, string>>
  },
  body: (sandbox: Sandbox, t: Test) => Promise<void>,
): void {
  void t.test(title, { skip }, async (t) => {
    const sandbox = new Sandbox()
    t.teardown(() => sandbox.close())
    await sandbox.open(...setup)
    for (const [name, text] of Object.entries(files)) sandbox.file(name, text)
    await sandbox.startSidecar(config, task)
    await body(sandbox, t)
    t.equal((await sandbox.verify()).status, 0, 'the chain verifies')
  })
}

/** Demands that the doctor fails, and for one thing alone. */
async function findsOnly(
  sandbox: Sandbox,
  t: Test,
  hole: RegExp,
  options: DoctorOptions = {},
): Promise<void> {
  const { status, failed, text } = await sandbox.doctor({ targets: TARGETS, ...options })
  t.equal(status, 1, 'it fails')
  if (status !== 1) t.comment(text)
  t.ok(failed.length > 0, 'something failed')
  t.strictSame(
    failed.filter((one) => !hole.test(one)),
    [],
    'nothing else is found',
  )
}

async function passes(sandbox: Sandbox, t: Test, options: DoctorOptions = {}): Promise<void> {
  const { status, failed, text } = await sandbox.doctor({ targets: TARGETS, ...options })
  t.strictSame(failed, [])
  t.equal(status, 0, 'it passes')
  if (status !== 0) t.comment(text)
}

sealed('R45: a sealed namespace with loopback alone passes', {}, (sandbox, t) => passes(sandbox, t))

sealed(
  'R45: a sealed namespace that keeps every address passes, with the targets of no test',
  { setup: ANY_ADDRESS },
  (sandbox, t) => passes(sandbox, t, { targets: [] }),
)

sealed(
  'R45: a sealed namespace whose connections are intercepted passes, and each is told to be the sidecar',
  {
    setup: ANY_ADDRESS,
    config:
      "listen: { socks: '127.0.0.1:1080', transparent: { http: '[::]:80', tls: '[::]:443', dns: '0.0.0.0:53' } }",
    task: "identity: { sources: ['0.0.0.0/0', '::/0'] }",
  },
  async (sandbox, t) => {
    const { status, failed, findings } = await sandbox.doctor()
    t.strictSame(failed, [])
    t.equal(status, 0)
    const intercepted = findings.filter(({ means }) => means === 'intercepted')
    for (const address of ['1.1.1.1', '2606:4700:4700::1111'])
      for (const tried of [`HTTP to ${address}, port 80`, `TLS to ${address}, port 443`])
        t.ok(
          intercepted.some((one) => one.tried === tried),
          tried,
        )
    for (const tried of ['DNS over UDP to 1.1.1.1', 'DNS over TCP to 127.0.0.1'])
      t.match(
        findings.find((one) => one.tried === tried),
        { status: 'ok', means: "the sidecar's own door" },
        tried,
      )
    t.ok(
      intercepted.some((one) => one.tried === 'metadata at 169.254.169.254'),
      'also where metadata would be',
    )
  },
)

const ELSEWHERE = ['10.99.0.2', 'fd99::2']

/** Another namespace with a server, and a pair of interfaces that lead from the sandbox to it. */
async function openElsewhere(sandbox: Sandbox, t: Test): Promise<Namespace> {
  const elsewhere = new Namespace()
  t.teardown(() => elsewhere.close())
  await elsewhere.openBeside(sandbox)
  const lines = [
    'set -e',
    `ip link add way type veth peer name back netns ${elsewhere.pid}`,
    'ip address add 10.99.0.1/24 dev way',
    'ip address add fd99::1/64 dev way nodad',
    'ip link set way up',
  ]
  const made = await sandbox.run(['sh', '-c', lines.join('\n')])
  t.equal(made.status, 0, made.stderr)
  const there = [
    'set -e',
    'ip address add 10.99.0.2/24 dev back',
    'ip address add fd99::2/64 dev back nodad',
    'ip link set back up',
  ]
  const given = await elsewhere.run(['sh', '-c', there.join('\n')])
  t.equal(given.status, 0, given.stderr)
  return elsewhere
}

const HOLES: readonly { readonly served: readonly string[]; readonly named: RegExp }[] = [
  ...ELSEWHERE.flatMap((host) => [
    {
      served: ['tcp', host, '8443'],
      named: new RegExp(`tcp: TCP to ${host}, port 8443: accepted`),
    },
    { served: ['tcp', host, '80'], named: new RegExp(`tcp: HTTP to ${host}, port 80: `) },
    { served: ['tcp', host, '443'], named: new RegExp(`tcp: TLS to ${host}, port 443: `) },
    {
      served: ['udp', host, '123'],
      named: new RegExp(`udp: UDP \\(NTP\\) to ${host}, port 123: 48 bytes`),
    },
    { served: ['dns', host], named: new RegExp(`dns: DNS over UDP to ${host}: answered NOERROR`) },
  ]),
  // One that accepts and says nothing proves nothing.
  { served: ['silent', '10.99.0.2', '443'], named: /tcp: TLS to 10\.99\.0\.2, port 443: accepted/ },
]

sealed('R45: each server elsewhere that is reached is found by itself', {}, async (sandbox, t) => {
  const elsewhere = await openElsewhere(sandbox, t)
  for (const { served, named } of HOLES) {
    const stop = await elsewhere.serve(...served)
    const { status, failed } = await sandbox.doctor({ targets: ELSEWHERE })
    t.equal(status, 1, served.join(' '))
    // A listener on the next machine is found as one on the gateway as well.
    const others = failed.filter((one) => !named.test(one) && !/^(gateway|routes): /.test(one))
    t.strictSame(others, [], `${served.join(' ')} alone is named`)
    t.ok(
      failed.some((one) => named.test(one)),
      failed.join('; '),
    )
    await stop()
  }
})

sealed('R45: an interface whose packets a filter drops is no way out', {}, async (sandbox, t) => {
  const elsewhere = await openElsewhere(sandbox, t)
  for (const host of ELSEWHERE) await elsewhere.serve('tcp', host, '443')
  const lines = [
    'set -e',
    'ip route add default via 10.99.0.2',
    'nft add table inet sealed',
    "nft add chain inet sealed out '{ type filter hook output priority 0; }'",
    'nft add rule inet sealed out oifname way drop',
  ]
  const { status: isMissing, stderr } = await sandbox.run(['sh', '-c', lines.join('\n')])
  if (isMissing !== 0) return t.comment(`no nft here: ${stderr}`)
  const { status, failed, findings } = await sandbox.doctor({ targets: ELSEWHERE })
  t.strictSame(failed, [])
  t.equal(status, 0)
  t.match(
    findings.find(({ check }) => check === 'routes'),
    {
      tried: 'the default route by way',
      happened: 'packets are dropped by a filter',
    },
  )
})

sealed(
  'R45: a unix socket of an engine that is mounted into the sandbox is found',
  {},
  async (sandbox, t) => {
    await sandbox.serve('unix', sandbox.at('docker.sock'))
    await findsOnly(sandbox, t, /^unix: the unix socket \/run\/docker\.sock: accepted/, {
      mounts: ['touch /run/docker.sock', 'mount --bind /mnt/hole/docker.sock /run/docker.sock'],
    })
  },
)

sealed('R45: an abstract socket of a process outside is found', {}, async (sandbox, t) => {
  await sandbox.serve('abstract', 'sallyport-hole')
  await findsOnly(sandbox, t, /^unix: the abstract socket @sallyport-hole: accepted/)
})

sealed(
  "R44: the CA's key, state, journal and rules that can be read are found",
  {},
  async (sandbox, t) => {
    const mounts = ['mkdir /mnt/work', 'mount --rbind /mnt/hole /mnt/work']
    const { failed } = await sandbox.doctor({ targets: TARGETS, mounts, cwd: '/mnt/work' })
    for (const place of ['state/ca.key', 'state', 'journal', 'sallyport.yaml', 'rules'])
      t.ok(
        failed.some((one) => one.startsWith(`files: /mnt/work/${place}: `)),
        `${place} is named`,
      )
    t.ok(
      failed.some((one) =>
        one.startsWith('unix: the unix socket /mnt/work/state/control.sock: the control API'),
      ),
      'I6: the control socket is named',
    )
    t.comment(failed.join('\n'))
  },
)

sealed("R44: the CA's key alone is found", {}, (sandbox, t) =>
  findsOnly(sandbox, t, /^files: \/mnt\/work\/state(\/ca\.key: can be read|: 1 entries are seen)/, {
    mounts: [
      'mkdir -p /mnt/work/state',
      'touch /mnt/work/state/ca.key',
      'mount --bind /mnt/hole/state/ca.key /mnt/work/state/ca.key',
      'mount -o bind,remount,ro /mnt/work/state/ca.key',
    ],
    cwd: '/mnt/work',
  }),
)

sealed(
  'I6: a control API that listens on loopback is found',
  {
    config: 'control: { listen: 127.0.0.1:9999, tokenFile: control.token }',
    files: { 'control.token': `${'t'.repeat(40)}\n` },
  },
  (sandbox, t) => findsOnly(sandbox, t, /^loopback: the listener at 127\.0\.0\.1, port 9999: /),
)

sealed('R45: a capability that is left is found', {}, async (sandbox, t) => {
  const { status, failed } = await sandbox.doctor({ targets: TARGETS, keeps: ['net_raw'] })
  t.equal(status, 1)
  t.ok(failed.includes('capabilities: the capability CAP_NET_RAW: held'))
  t.ok(failed.some((one) => one.startsWith('raw: a socket of the kind AF_PACKET: opened')))
})

sealed('R45: a DNS server on loopback that is not the sidecar is found', {}, async (sandbox, t) => {
  await sandbox.serve('dns', '127.0.0.1')
  await findsOnly(sandbox, t, /^dns: DNS over UDP to 127\.0\.0\.1: answered NOERROR 192\.0\.2\.7/)
})

sealed('R45: a listener on loopback of a process outside is found', {}, async (sandbox, t) => {
  await sandbox.serve('tcp', '127.0.0.1', '7777')
  await findsOnly(sandbox, t, /^loopback: the listener at 127\.0\.0\.1, port 7777: accepted/)
})

sealed('R45: without the sidecar nothing is proved', {}, (sandbox, t) =>
  findsOnly(sandbox, t, /^proxy: .*(no answer|no variable names a proxy)/, {
    env: Object.fromEntries(
      ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy'].map(
        (name) => [name, undefined],
      ),
    ),
  }),
)
