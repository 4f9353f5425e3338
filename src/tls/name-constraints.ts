// What the leaves of a CA may be named, as its certificate says it: the hosts of a list and nothing else. X.509 cannot say it
// more narrowly than this: a permitted name also permits every name below it. Pure. Called by `task-ca.ts`.
// @see RFC 5280 section 4.2.1.10

import ipaddr from 'ipaddr.js'

import type { Endpoint } from '../wire/authority.ts'

type Host = Pick<Endpoint, 'host' | 'kind'>

const SEQUENCE_TAG = 0x30
const PERMITTED_TAG = 0xa0
const EXCLUDED_TAG = 0xa1
const NAME_TAG = 0x82
const ADDRESS_TAG = 0x87
const IPV4_BYTES = 4
const IPV6_BYTES = 16

// An empty name is above every name, and an empty mask covers every address.
const EVERY_NAME = encodeElement(NAME_TAG, Buffer.of())
const EVERY_ADDRESS = [IPV4_BYTES, IPV6_BYTES].map((bytes) =>
  encodeElement(ADDRESS_TAG, Buffer.alloc(2 * bytes)),
)
// No destination, and no beginning of one: what stands for a family of which there is no host.
const NO_ADDRESS: Readonly<Record<'ipv4' | 'ipv6', Host>> = {
  ipv4: { host: '255.255.255.255', kind: 'ipv4' },
  ipv6: { host: '::', kind: 'ipv6' },
}

/**
 * DER of the constraints that permit these hosts: the same bytes for the same hosts in any order. Where there are no names,
 * or no addresses, those are excluded altogether, because what is not mentioned would be free.
 */
export function encodeNameConstraints(hosts: readonly Host[]): Buffer {
  const names = hostsOf('name', hosts)
  const ipv4 = hostsOf('ipv4', hosts)
  const ipv6 = hostsOf('ipv6', hosts)
  const permitted = [...names, ...ipv4, ...ipv6]
  const excluded = names.length === 0 ? [EVERY_NAME] : []
  if (ipv4.length + ipv6.length === 0) excluded.push(...EVERY_ADDRESS)
  // Some clients take each family for itself, so the other one is named too. Not by excluding all of it: Java compares
  // addresses of both, and would refuse the permitted ones.
  else if (ipv4.length === 0) permitted.push(NO_ADDRESS.ipv4)
  else if (ipv6.length === 0) permitted.push(NO_ADDRESS.ipv6)
  return encodeElement(
    SEQUENCE_TAG,
    Buffer.concat([
      ...encodeSubtrees(PERMITTED_TAG, permitted.map(encodeBase)),
      ...encodeSubtrees(EXCLUDED_TAG, excluded),
    ]),
  )
}

function hostsOf(kind: Endpoint['kind'], hosts: readonly Host[]): Host[] {
  const own = hosts.filter((one) => one.kind === kind).map(({ host }) => host)
  return [...new Set(own)].toSorted().map((host) => ({ host, kind }))
}

function encodeBase({ host, kind }: Host): Buffer {
  if (kind === 'name') return encodeElement(NAME_TAG, Buffer.from(host, 'latin1'))
  const address = Buffer.from(ipaddr.parse(host).toByteArray())
  return encodeElement(ADDRESS_TAG, Buffer.concat([address, Buffer.alloc(address.length, 0xff)]))
}

// An empty list must be left out.
function encodeSubtrees(tag: number, bases: readonly Buffer[]): Buffer[] {
  if (bases.length === 0) return []
  const subtrees = bases.map((base) => encodeElement(SEQUENCE_TAG, base))
  return [encodeElement(tag, Buffer.concat(subtrees))]
}

function encodeElement(tag: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.of(tag), encodeLength(content.length), content])
}

// Below 128 in one byte; else a byte that says how many bytes of length follow.
function encodeLength(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length)
  const digits = length.toString(16)
  const bytes = Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex')
  return Buffer.concat([Buffer.of(0x80 | bytes.length), bytes])
}
