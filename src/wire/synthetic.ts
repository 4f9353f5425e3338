// Addresses that stand for names: what the DNS door answers with, which nobody else routes. Pure; called by `stages.ts`.
// @see RFC 2544 appendix C.2.2, RFC 5180 section 8

import { contains, parseCidr } from './address.ts'

const RANGES = [parseCidr('198.18.0.0/15')!, parseCidr('2001:2::/48')!]

/** Whether an address is of the ranges that the DNS door answers from. */
export function isSynthetic(address: string): boolean {
  return RANGES.some((range) => contains(range, address))
}
