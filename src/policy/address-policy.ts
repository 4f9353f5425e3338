// Which addresses a name may be dialed at, by the rules that match. Pure; called by `decide.ts`.

import type { Cidr } from '../wire/address.ts'
import type { Entry } from './bound-rule.ts'
import type { Policy } from './compile.ts'
import type { AddressPolicy } from './decision.ts'
import { isMet, type Matter } from './gather.ts'
import { looksInside } from './host-index.ts'

/** No address beyond the public ones. */
export const NO_ADDRESSES: AddressPolicy = Object.freeze({ allowed: [], denied: [] })

/** What is asked. */
type Asking = Pick<Matter, 'endpoint' | 'question' | 'stageOf'>

/** Gathers what the matching rules, and rules for literal addresses, say of addresses. */
export function collectAddresses(
  { inside }: Policy,
  matching: readonly Entry[],
  { endpoint, question, stageOf }: Asking,
): AddressPolicy {
  const { deniedAlways, deniedSometimes, literals } = inside
  const [first] = matching
  // What most calls come to, at no cost.
  if (first && matching.length === 1 && deniedSometimes.length === 0 && literals.length === 0)
    return { allowed: first.addresses, denied: deniedAlways }
  const isMatched = (entry: Entry): boolean => isMet(entry, stageOf(entry))
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
