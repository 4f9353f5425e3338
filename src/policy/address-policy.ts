// Which addresses a name may be dialed at, by the rules that match. Pure; called by `decide.ts`.

import type { Cidr } from '../wire/address.ts'
import type { Endpoint } from '../wire/authority.ts'
import type { Entry } from './bound-rule.ts'
import type { Policy } from './compile.ts'
import type { AddressPolicy, Question } from './decision.ts'
import { looksInside } from './host-index.ts'

/** No address beyond the public ones. */
export const NO_ADDRESSES: AddressPolicy = Object.freeze({ allowed: [], denied: [] })

/** What is asked. */
interface Asking {
  readonly endpoint: Endpoint
  /** Of an HTTP call. */
  readonly question: Question | undefined
  readonly isMatched: (entry: Entry) => boolean
}

/** Gathers what the matching rules, and rules for literal addresses, say of addresses. */
export function collectAddresses(
  { inside }: Policy,
  matching: readonly Entry[],
  { endpoint, question, isMatched }: Asking,
): AddressPolicy {
  const { deniedAlways, deniedSometimes, literals } = inside
  const [first] = matching
  const literal = endpoint.kind === 'name' && literals.length > 0
  // A literal permission also admits the same address as the answer to a name (agents.net draft, wire section 5.2); one that
  // looks inside only what was looked into, one where a person decides only what that person is asked about.
  const isAdmitted = (entry: Entry): boolean =>
    (entry.rule.verdict === 'allow' || matching.some(({ rule }) => rule === entry.rule)) &&
    isMatched(entry) &&
    !(looksInside(entry.rule) && question?.content === undefined)
  const admitted = literal ? [...matching, ...literals.filter(isAdmitted)] : matching
  const allowed =
    first && admitted.length === 1
      ? first.addresses
      : admitted.flatMap(({ addresses }) => addresses)
  if (deniedSometimes.length === 0) return { allowed, denied: deniedAlways }
  const denied: Cidr[] = [...deniedAlways]
  for (const entry of deniedSometimes)
    if (entry.host.kind === 'range' && isMatched(entry)) denied.push(entry.host.cidr)
  return { allowed, denied }
}
