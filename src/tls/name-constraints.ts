// What the leaves of a CA may be named, as its certificate says it: the hosts of a list and nothing else. X.509 cannot say it
// more narrowly than this: a permitted name also permits every name below it. Pure. Called by `task-ca.ts`.
// @see RFC 5280 section 4.2.1.10

import ipaddr from 'ipaddr.js'

import type { Endpoint } from '../wire/authority.ts'

type Host = Pick<Endpoint, 'host' | 'kind'>

const KINDS = ['name', 'ipv4', 'ipv6'] as const
const SEQUENCE_TAG = 0x30
const PERMITTED_TAG = 0xa0
const EXCLUDED_TAG = 0xa1
const NAME_TAG = 0x82
const ADDRESS_TAG = 0x87
const IPV4_BYTES = 4
const IPV6_BYTES = 16

// An empty name is above every name, and an empty mask covers every address.
const EVERYTHING: Readonly<Record<Endpoint['kind'], Buffer>> = {
  name: encodeElement(NAME_TAG, Buffer.of()),
  ipv4: encodeElement(ADDRESS_TAG, Buffer.alloc(2 * IPV4_BYTES)),
  ipv6: encodeElement(ADDRESS_TAG, Buffer.alloc(2 * IPV6_BYTES)),
}

/**
 * DER of the constraints that permit these hosts: the same bytes for the same hosts in any order. A kind of host of which
 * there is none is excluded altogether, because a kind that is not mentioned would be free.
 */
export function encodeNameConstraints(hosts: readonly Host[]): Buffer {
  const permitted = KINDS.flatMap((kind) =>
    [...new Set(hosts.filter((one) => one.kind === kind).map(({ host }) => host))]
      .toSorted()
      .map((host) => encodeBase({ host, kind })),
  )
  const excluded = KINDS.filter((kind) => !hosts.some((one) => one.kind === kind)).map(
    (kind) => EVERYTHING[kind],
  )
  return encodeElement(
    SEQUENCE_TAG,
    Buffer.concat([
      ...encodeSubtrees(PERMITTED_TAG, permitted),
      ...encodeSubtrees(EXCLUDED_TAG, excluded),
    ]),
  )
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
