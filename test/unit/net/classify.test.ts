// Proves which resolved addresses may be dialed: the whole answer is judged, in every form an address can take.

import { networkInterfaces } from 'node:os'

import t from 'tap'

import { EgressError } from '../../../src/errors.ts'
import { checkAddresses, type OwnListener } from '../../../src/net/classify.ts'
import type { AddressPolicy } from '../../../src/policy/decision.ts'
import { ranges } from './support.ts'

interface Asked {
  readonly kind?: 'name' | 'ipv4' | 'ipv6'
  readonly port?: number
  readonly allowed?: readonly string[]
  readonly denied?: readonly string[]
  /** What each ancestor's rules say. */
  readonly also?: readonly Pick<Asked, 'allowed' | 'denied'>[]
  readonly own?: readonly OwnListener[]
  readonly everywhere?: readonly string[]
  readonly byOperator?: boolean
}

/** `ok`, or the reason and the range that it names. */
function judge(addresses: readonly string[], asked: Asked = {}): string {
  try {
    checkAddresses(
      {
        endpoint: { kind: asked.kind ?? 'name', port: asked.port ?? 443 },
        policy: { ...policyOf(asked), also: (asked.also ?? []).map(policyOf) },
        own: asked.own ?? [],
        allowed: ranges(...(asked.everywhere ?? [])),
        byOperator: asked.byOperator ?? false,
      },
      addresses,
    )
    return 'ok'
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    const range = error.detail['range']
    return range === undefined ? error.reason : `${error.reason} ${range}`
  }
}

function policyOf({ allowed = [], denied = [] }: Pick<Asked, 'allowed' | 'denied'>): AddressPolicy {
  return { allowed: ranges(...allowed), denied: ranges(...denied) }
}

const PUBLIC = '93.184.216.34'

void t.test('R36: one special-purpose answer among public ones refuses the whole name', (t) => {
  t.equal(judge([PUBLIC, '1.1.1.1', '2606:4700::1111']), 'ok')
  t.equal(judge([PUBLIC, '10.0.0.1']), 'resolved-address-denied private')
  t.equal(judge(['10.0.0.1', PUBLIC]), 'resolved-address-denied private')
  t.equal(judge([PUBLIC, 'fd00::1']), 'resolved-address-denied private')
  t.equal(judge([PUBLIC, '10.0.0.1'], { allowed: ['10.0.0.0/8'] }), 'ok', 'the rule lists it')
  t.equal(judge([PUBLIC, '10.0.0.1'], { everywhere: ['10.0.0.0/8'] }), 'ok', 'the configuration')
  t.equal(
    judge([PUBLIC, '10.0.0.1', '192.168.0.1'], { allowed: ['10.0.0.0/8'] }),
    'resolved-address-denied private',
    'each answer needs its own leave',
  )
  t.equal(judge([]), 'resolve-failed')
  t.end()
})

void t.test(
  'R36: every special-purpose range is refused for a name and opened by a listed range',
  (t) => {
    for (const [address, range, listed] of [
      ['0.0.0.0', 'this-network', '0.0.0.0/8'],
      ['10.9.8.7', 'private', '10.9.0.0/16'],
      ['100.64.1.1', 'carrier-grade-nat', '100.64.0.0/10'],
      ['127.0.0.1', 'loopback', '127.0.0.0/8'],
      ['127.255.255.254', 'loopback', '127.0.0.0/8'],
      ['169.254.1.1', 'link-local', '169.254.0.0/16'],
      ['172.31.255.255', 'private', '172.16.0.0/12'],
      ['192.0.0.8', 'protocol-assignments', '192.0.0.0/24'],
      ['192.0.2.1', 'documentation', '192.0.2.0/24'],
      ['192.88.99.1', '6to4-relay', '192.88.99.0/24'],
      ['192.168.1.1', 'private', '192.168.1.1'],
      ['198.19.0.1', 'benchmarking', '198.18.0.0/15'],
      ['224.0.0.1', 'multicast', '224.0.0.0/4'],
      ['255.255.255.255', 'reserved', '240.0.0.0/4'],
      ['::1', 'loopback', '::1'],
      ['fc00::1', 'private', 'fc00::/7'],
      ['fe80::1', 'link-local', 'fe80::/10'],
      ['ff02::1', 'multicast', 'ff00::/8'],
      ['2001:db8::1', 'documentation', '2001:db8::/32'],
      ['100::1', 'discard', '100::/64'],
    ] as const) {
      t.equal(judge([address]), `resolved-address-denied ${range}`, address)
      t.equal(judge([address], { allowed: [listed] }), 'ok', `${address} in ${listed}`)
    }
    t.end()
  },
)

void t.test(
  'R36: mapped, NAT64, 6to4, Teredo and compatible forms are no way around the ranges',
  (t) => {
    t.equal(judge(['::ffff:127.0.0.1']), 'resolved-address-denied loopback', 'mapped')
    t.equal(judge(['::ffff:7f00:1']), 'resolved-address-denied loopback', 'mapped, in hexadecimal')
    t.equal(judge([`::ffff:${PUBLIC}`]), 'ok', 'a mapped public address is that address')
    const forms = {
      NAT64: ['64:ff9b::/96', '64:ff9b::a00:1', '64:ff9b::5db8:d822'],
      'local NAT64': ['64:ff9b:1::/48', '64:ff9b:1::a00:1', '64:ff9b:1::5db8:d822'],
      '6to4': ['2002::/16', '2002:a00:1::', '2002:5db8:d822::'],
      Teredo: [
        '2001::/32',
        '2001:0:4136:e378:8000:63bf:f5ff:fffe',
        '2001:0:4136:e378:8000:63bf:a247:27dd',
      ],
      translated: ['::ffff:0:0:0/96', '::ffff:0:10.0.0.1', `::ffff:0:${PUBLIC}`],
      compatible: ['::/96', '::a00:1', '::5db8:d822'],
    }
    for (const [name, [range, inside, outside]] of Object.entries(forms)) {
      t.match(judge([inside!]), 'resolved-address-denied', `${name} is special as a whole`)
      t.match(judge([outside!]), 'resolved-address-denied', `${name} of a public address too`)
      t.equal(judge([outside!], { allowed: [range!] }), 'ok', `${name} where the range is listed`)
      t.equal(
        judge([inside!], { allowed: [range!] }),
        'resolved-address-denied private',
        `${name} listed does not open what it leads to`,
      )
      t.equal(
        judge([inside!], { allowed: [range!, '10.0.0.0/8'] }),
        'ok',
        `${name} with both listed`,
      )
      t.equal(judge([inside!], { allowed: [inside!] }), 'ok', `${name} listed to the bit`)
      t.equal(
        judge([inside!], { allowed: [range!, '10.0.0.0/8'], denied: ['10.0.0.0/16'] }),
        'resolved-address-denied denied',
        `a deny binds what ${name} leads to`,
      )
    }
    t.end()
  },
)

void t.test('cloud metadata is reached only by a rule that lists the exact address', (t) => {
  const denied = 'resolved-address-denied cloud-metadata'
  for (const address of ['169.254.169.254', '168.63.129.16', '100.100.100.200', 'fd00:ec2::254']) {
    t.equal(judge([address]), denied)
    t.equal(judge([address], { allowed: ['0.0.0.0/0', '::/0'] }), denied, 'a range is too wide')
    t.equal(judge([address], { everywhere: [address] }), denied, 'the configuration is no rule')
    t.equal(judge([address], { byOperator: true }), denied, 'not even for the operator')
    t.equal(judge([address], { allowed: [address] }), 'ok', 'the exact address')
  }
  const literal = { kind: 'ipv4', port: 80 } as const
  t.equal(judge(['169.254.169.254'], { ...literal, allowed: ['169.254.0.0/16'] }), denied)
  t.equal(judge(['169.254.169.254'], { ...literal, allowed: ['169.254.169.254'] }), 'ok')
  t.equal(judge(['::ffff:169.254.169.254'], { allowed: ['169.254.0.0/16'] }), denied, 'mapped')
  t.equal(judge(['64:ff9b::a9fe:a9fe'], { allowed: ['64:ff9b::/96', '169.254.0.0/16'] }), denied)
  t.equal(judge(['64:ff9b::a9fe:a9fe'], { allowed: ['64:ff9b::a9fe:a9fe'] }), 'ok')
  t.equal(
    judge(['169.254.169.254'], { allowed: ['169.254.169.254'], denied: ['169.254.0.0/16'] }),
    'resolved-address-denied denied',
    'a deny comes first',
  )
  t.end()
})

void t.test(
  'a literal was allowed as such, and a deny on a range binds it and resolved addresses',
  (t) => {
    t.equal(judge(['10.0.0.1'], { kind: 'ipv4' }), 'ok')
    t.equal(judge(['::1'], { kind: 'ipv6' }), 'ok')
    t.equal(
      judge(['10.0.0.1'], { kind: 'ipv4', denied: ['10.0.0.0/8'] }),
      'resolved-address-denied denied',
    )
    t.equal(judge([PUBLIC], { denied: ['93.184.0.0/16'] }), 'resolved-address-denied denied')
    t.equal(judge([PUBLIC], { denied: ['93.185.0.0/16'] }), 'ok')
    t.equal(judge(['10.0.0.1'], { byOperator: true }), 'ok', "the operator's own networks")
    t.end()
  },
)

void t.test('R69: an address has to be acceptable to every ancestor too', (t) => {
  const denied = 'resolved-address-denied denied'
  const own = { allowed: ['10.0.0.0/8'] }
  t.equal(judge(['10.0.0.1'], { ...own, also: [own, own] }), 'ok')
  t.equal(judge(['10.0.0.1'], { ...own, also: [own, {}] }), 'resolved-address-denied private')
  t.equal(judge(['10.0.0.1'], { also: [own] }), 'resolved-address-denied private')
  t.equal(judge(['10.1.0.1'], { ...own, also: [{ allowed: ['10.1.0.0/16'] }] }), 'ok')
  t.equal(
    judge(['10.2.0.1'], { ...own, also: [{ allowed: ['10.1.0.0/16'] }] }),
    'resolved-address-denied private',
  )
  t.equal(judge(['10.0.0.1'], { ...own, also: [{}], everywhere: ['10.0.0.0/8'] }), 'ok')
  t.equal(judge([PUBLIC], { also: [{ denied: ['93.184.0.0/16'] }] }), denied)
  t.equal(judge([PUBLIC], { also: [{ denied: ['93.185.0.0/16'] }] }), 'ok')
  const exact = { allowed: ['169.254.169.254'] }
  const metadata = (...also: readonly Pick<Asked, 'allowed' | 'denied'>[]): string =>
    judge(['169.254.169.254'], { ...exact, also })
  t.equal(metadata(exact), 'ok')
  t.equal(metadata({}), 'resolved-address-denied cloud-metadata')
  t.equal(
    metadata(exact, { allowed: ['169.254.0.0/16'] }),
    'resolved-address-denied cloud-metadata',
  )
  t.equal(metadata(exact, { denied: ['169.254.0.0/16'] }), denied)
  t.end()
})

void t.test('what is no address is never dialed', (t) => {
  for (const text of [
    '127.1',
    '0x7f.0.0.1',
    '2130706433',
    '010.0.0.1',
    'localhost',
    '',
    'fe80::1%lo',
  ])
    t.equal(
      judge([text], { everywhere: ['0.0.0.0/0', '::/0'] }),
      'resolved-address-denied no-address',
    )
  t.equal(judge(['127.0.0.1'], { everywhere: ['0.0.0.0/0', '::/0'] }), 'ok')
  t.end()
})

void t.test("the sidecar's own listeners are never reached, whatever is allowed", (t) => {
  const everything = {
    port: 3128,
    everywhere: ['0.0.0.0/0', '::/0'],
    allowed: ['127.0.0.1', '::1'],
  }
  const at = (host: string, port = 3128): readonly OwnListener[] => [{ host, port }]
  const loop = (address: string, host: string, message: string): void => {
    t.equal(judge([address], { ...everything, own: at(host) }), 'loop-detected', message)
    t.equal(
      judge([address], { ...everything, kind: 'ipv4', own: at(host) }),
      'loop-detected',
      `${message}, as a literal`,
    )
    t.equal(judge([address], { ...everything, own: at(host, 3129) }), 'ok', 'another port is not')
  }
  loop('127.0.0.1', '127.0.0.1', 'the same address')
  loop('::ffff:127.0.0.1', '127.0.0.1', 'mapped')
  loop('64:ff9b::7f00:1', '127.0.0.1', 'NAT64')
  loop('127.0.0.1', '::ffff:127.0.0.1', 'a listener written as mapped')
  loop('::1', '0:0:0:0:0:0:0:1', 'a listener written at length')
  loop('0.0.0.0', '127.0.0.1', 'the unspecified address, which the kernel takes for loopback')
  loop('::', '::1', 'the unspecified IPv6 address')
  loop('127.9.9.9', '0.0.0.0', 'all of 127/8 where it listens everywhere')
  loop('0.0.0.0', '0.0.0.0', 'everywhere, by the unspecified address')
  loop('127.0.0.1', '::', 'a dual-stack listener')
  loop('::1', '::', 'everywhere, by IPv6 loopback')
  for (const { address } of Object.values(networkInterfaces()).flatMap((list) => list ?? []))
    if (!address.startsWith('fe80')) loop(address, '0.0.0.0', 'an address of this machine')
  const elsewhere = { ...everything, own: at('127.0.0.1') }
  t.equal(judge(['127.0.0.2'], elsewhere), 'ok', 'another loopback address is another listener')
  t.equal(judge([PUBLIC], { ...everything, own: at('0.0.0.0') }), 'ok')
  t.equal(judge([PUBLIC, '127.0.0.1'], elsewhere), 'loop-detected', 'among other answers')
  t.equal(judge(['127.0.0.1'], { ...elsewhere, byOperator: true }), 'loop-detected')
  t.end()
})

void t.test('addresses come back in normal form and once each', (t) => {
  const question = {
    endpoint: { kind: 'name', port: 443 },
    policy: { allowed: [], denied: [] },
    own: [],
    allowed: [],
  } as const
  t.strictSame(
    checkAddresses(question, [`::ffff:${PUBLIC}`, PUBLIC, '2606:4700:0:0:0:0:0:1111', '1.1.1.1']),
    [PUBLIC, '2606:4700::1111', '1.1.1.1'],
  )
  t.end()
})
