// The destinations that a task's rules lead to, as the task itself may read them: where, with which methods, and whether a
// person decides. Deliberately without what else rules say: no id, path, condition or credential. What the list leaves open,
// the decision on a call says. Pure. Called by `envelope/`.

import type { Entry } from './bound-rule.ts'
import type { Policy } from './compile.ts'
import { decideConnectTogether, type PolicyChain } from './conjunction.ts'
import type { Moment } from './facts.ts'

/** One destination. */
export interface ListedDestination {
  /** `scheme://host:port`; `*.example.com` is every name below, `*` any name. */
  readonly destination: string
  /** Absent: any. */
  readonly methods?: readonly string[]
  /** Who lets calls pass: nobody has to be asked, somebody for some of them, somebody for all. */
  readonly decidedBy: 'rules' | 'rules-or-person' | 'person'
}

interface Draft {
  readonly entry: Entry
  readonly destination: string
  /** Undefined: any. */
  methods: Set<string> | undefined
  allows: boolean
  holds: boolean
}

/** Far more than anybody reads. */
const LISTED_MAX = 1000

/** Lists the destinations of a task, in the order of its rules; what a task above denies altogether is left out. */
export function listDestinations(
  policies: PolicyChain,
  moment: Moment,
): readonly ListedDestination[] {
  const [own] = policies
  const drafts = new Map<string, Draft>()
  for (const entry of leadingEntries(own, moment)) {
    const { rule } = entry
    const destination = textOf(entry)
    const draft = drafts.get(destination)
    if (draft === undefined && drafts.size >= LISTED_MAX) continue
    const { methods } = rule
    const known = draft ?? {
      entry,
      destination,
      methods: new Set<string>(),
      allows: false,
      holds: false,
    }
    if (methods === undefined) known.methods = undefined
    else for (const method of methods) known.methods?.add(method)
    if (rule.verdict === 'hold') known.holds = true
    else known.allows = true
    drafts.set(destination, known)
  }
  return [...drafts.values()].filter(({ entry }) => isOpen(policies, entry, moment)).map(viewOf)
}

function leadingEntries({ inside: { rules } }: Policy, { now }: Moment): Entry[] {
  return rules
    .filter(
      ({ verdict, binding, isForEnvironment, expiresAt }) =>
        verdict !== 'deny' &&
        binding === 'task' &&
        isForEnvironment &&
        (expiresAt ?? Infinity) > now,
    )
    .flatMap(({ entries }) => entries)
}

// Of a single host the whole chain is asked; of many at once each call is.
function isOpen(policies: PolicyChain, { host, port = 443 }: Entry, moment: Moment): boolean {
  if (host.kind !== 'exact') return true
  const kind = host.isAddress ? (host.host.includes(':') ? 'ipv6' : 'ipv4') : 'name'
  const endpoint = { host: host.host, kind, port, literal: host.host } as const
  return decideConnectTogether(policies, endpoint, moment).verdict !== 'deny'
}

function textOf({ host, scheme = 'https', port }: Entry): string {
  const name =
    host.kind === 'any'
      ? '*'
      : host.kind === 'below'
        ? `*.${host.suffix}`
        : host.kind === 'range'
          ? host.cidr.text
          : host.host
  return `${scheme}://${name.includes(':') ? `[${name}]` : name}:${port ?? ''}`
}

function viewOf({ destination, methods, allows, holds }: Draft): ListedDestination {
  return {
    destination,
    ...(methods && { methods: [...methods].toSorted() }),
    decidedBy: holds ? (allows ? 'rules-or-person' : 'person') : 'rules',
  }
}
