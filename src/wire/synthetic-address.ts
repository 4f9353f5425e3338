// Addresses that stand for names: given by the DNS door instead of a destination's own, of ranges that no route leads to (RFC
// 2544, RFC 5180). What they stand for decides nothing: whoever comes to one still has to say the name. Pure. Called by
// `listen/given-names.ts`, and by doors that compare where a client thought it was going.

import { canonicalAddress } from './address.ts'

/** How many there are of each family: numbers run from 1 up to, but not including, this. */
export const SYNTHETIC_COUNT = 131_071

const IPV4_PREFIX = '198.'
const IPV4_FIRST = 18
const IPV6_PREFIX = '2001:2::'

/** The two addresses of a number. */
export function syntheticAddresses(number: number): {
  readonly ipv4: string
  readonly ipv6: string
} {
  const ipv4 = `${IPV4_PREFIX}${IPV4_FIRST + (number >> 16)}.${(number >> 8) & 0xff}.${number & 0xff}`
  const high = number >> 16
  const low = (number & 0xffff).toString(16)
  const ipv6 = `${IPV6_PREFIX}${high === 0 ? '' : `${high.toString(16)}:`}${low}`
  return { ipv4, ipv6 }
}

/** The number of a synthetic address; undefined where it is none, in any spelling. */
export function syntheticNumber(address: string): number | undefined {
  const canonical = canonicalAddress(address)
  if (canonical === undefined) return undefined
  const number = canonical.kind === 'ipv4' ? ofIpv4(canonical.host) : ofIpv6(canonical.host)
  return number !== undefined && number > 0 && number < SYNTHETIC_COUNT ? number : undefined
}

/** Whether an address is one of those that the DNS door gives, whatever name it stands for. */
export function isSyntheticAddress(address: string): boolean {
  return syntheticNumber(address) !== undefined
}

function ofIpv4(host: string): number | undefined {
  const [first, second = 0, third = 0, last = 0] = host.split('.').map(Number)
  if (first !== 198 || (second !== IPV4_FIRST && second !== IPV4_FIRST + 1)) return undefined
  return ((second - IPV4_FIRST) << 16) | (third << 8) | last
}

function ofIpv6(host: string): number | undefined {
  if (!host.startsWith(IPV6_PREFIX)) return undefined
  const groups = host.slice(IPV6_PREFIX.length).split(':')
  if (groups.length > 2 || !groups.every((group) => /^[0-9a-f]{1,4}$/.test(group))) return undefined
  return groups.reduce((sum, group) => sum * 0x10000 + Number.parseInt(group, 16), 0)
}

/** Whether a host is where the name of a synthetic address would stand (RFC 1035 section 3.5, RFC 3596 section 2.5). */
export function isSyntheticReverse(host: string): boolean {
  const labels = host.split('.').toReversed()
  if (labels[0] !== 'arpa') return false
  const digits = labels.slice(2)
  if (labels[1] === 'in-addr') return digits.length === 4 && isSyntheticAddress(digits.join('.'))
  if (labels[1] !== 'ip6' || digits.length !== 32) return false
  const groups = digits.join('').match(/[0-9a-f]{4}/g) ?? []
  return groups.length === 8 && isSyntheticAddress(groups.join(':'))
}
