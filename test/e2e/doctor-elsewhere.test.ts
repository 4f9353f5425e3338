// `sallyport doctor --inside` beside another namespace of the test's own: each server there that is reached is found by itself,
// and a filter that drops what goes there is told from a way out. Nothing leaves the two.

import t, { type Test } from 'tap'

import { Namespace, type Sandbox } from '../fixtures/namespaces.ts'
import { until } from '../fixtures/scenario.ts'
import { sealed } from '../fixtures/sealed.ts'

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
  // A new link takes a while to carry IPv6; until then whoever is on it seems not to be there.
  const refused =
    'import socket, sys; s = socket.socket(socket.AF_INET6); s.settimeout(2); sys.exit(s.connect_ex(("fd99::2", 9)) != 111)'
  await until(
    async () => (await sandbox.run(['python3', '-c', refused])).status === 0,
    'the link carries IPv6',
  )
  return elsewhere
}

const HOLES: readonly { readonly served: readonly string[]; readonly named: RegExp }[] = [
  ...ELSEWHERE.flatMap((host) => [
    {
      served: ['tcp', host, '8443'],
      named: new RegExp(`tcp: TCP to ${host}, port 8443: accepted`),
    },
    {
      served: ['udp', host, '123'],
      named: new RegExp(`udp: UDP \\(NTP\\) to ${host}, port 123: 48 bytes`),
    },
  ]),
  { served: ['tcp', '10.99.0.2', '80'], named: /tcp: HTTP to 10\.99\.0\.2, port 80: / },
  { served: ['tcp', 'fd99::2', '443'], named: /tcp: TLS to fd99::2, port 443: / },
  { served: ['dns', '10.99.0.2'], named: /dns: DNS over UDP to 10\.99\.0\.2: answered NOERROR/ },
  // One that accepts and says nothing proves nothing.
  { served: ['silent', '10.99.0.2', '443'], named: /tcp: TLS to 10\.99\.0\.2, port 443: accepted/ },
]

sealed(
  t,
  'R45: each server elsewhere that is reached is found by itself',
  {},
  async (sandbox, t) => {
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
  },
)

sealed(
  t,
  'R45: an interface whose packets a filter drops is no way out',
  {},
  async (sandbox, t) => {
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
  },
)

sealed(t, 'R45: an echo that comes back from elsewhere is found', {}, async (sandbox, t) => {
  await openElsewhere(sandbox, t)
  // Whoever is in the range may send an echo without any capability.
  const lines = ['set -e', 'echo 0 0 > /proc/sys/net/ipv4/ping_group_range', 'python3 -V']
  const { status: isMissing, stderr } = await sandbox.run(['sh', '-c', lines.join('\n')])
  if (isMissing !== 0) return t.comment(`not tried here: ${stderr}`)
  const { status, failed } = await sandbox.doctor({ targets: ELSEWHERE })
  t.equal(status, 1)
  for (const host of ELSEWHERE)
    t.ok(failed.includes(`raw: an ICMP echo by a datagram socket to ${host}: answered`), host)
})
