// Whether what one rule of a child's task allows is shown to be allowed to the parent too, by what is written in the rules
// of both: by one allow of the parent that includes it in everything, and by no deny of the parent that might meet it.
// Sound: what is shown holds for every call. Pure; called by `narrow.ts`.

import { isInspected } from './destination.ts'
import {
  includesCidr,
  includesHost,
  includesPaths,
  includesRange,
  includesScheme,
  includesValues,
  pathsMayMeet,
} from './inclusion.ts'
import { includesInside } from './inside-inclusion.ts'
import type { Policy } from './compile.ts'
import type { BoundRule, Dues, Entry } from './bound-rule.ts'
import { isAbove } from './facts.ts'
import { hostsOverlap } from './overlap.ts'
import type { Scheme } from './rule-set.ts'

/** In what a child may go beyond its parent, in the order in which it is looked at. */
export const AXES = [
  'host',
  'port',
  'scheme',
  'methods',
  'paths',
  'query',
  'headers',
  'inside',
  'environment',
  'time',
  'condition',
  'class',
  'credential',
  'addresses',
  'limit',
  'clientAuth',
] as const

/** One of them. */
export type Axis = (typeof AXES)[number]

// Schemes whose allows may match one call.
const FAMILIES: Readonly<Record<Scheme, string>> = {
  http: 'clear',
  ws: 'clear',
  https: 'secure',
  wss: 'secure',
  tls: 'tls',
  tcp: 'tcp',
}

type Claim = Entry & { readonly methods: readonly string[] | undefined }

/** What a child's rules are held against, gathered once for all of them. */
export class ParentRules {
  /** Denies of the parent that the child does not have as well. */
  readonly #denies: readonly Entry[]
  readonly #allows: readonly Entry[]
  /** What may match together with them; guards that the child has as well are left out. */
  readonly #others: readonly Entry[]

  constructor(parent: Policy, child: Policy) {
    const bare = inForce(child, 'deny').filter(isBareRange)
    const own = new Set(inForce(child, 'deny').map(describe))
    this.#denies = inForce(parent, 'deny').filter(
      (deny) => !own.has(describe(deny)) && !bare.some((entry) => deniesRange(entry, deny)),
    )
    const guards = new Set(inForce(child, 'pass').filter(isGuard).map(describe))
    const allows = parent.inside.rules.flatMap(({ verdict, entries }) =>
      verdict === 'deny' ? [] : entries,
    )
    // An observed allow of the parent proves nothing: it is there to be taken away.
    this.#allows = allows.filter((entry) => !isGuard(entry) && !entry.rule.observe)
    this.#others = allows.filter(
      (entry) => entry.rule.isForEnvironment && !(isGuard(entry) && guards.has(describe(entry))),
    )
  }

  /** How many rules an allow of the child is held against. */
  get size(): number {
    return this.#denies.length + this.#allows.length + this.#others.length
  }

  /** Finds where it cannot be shown that the parent may all that an allow of the child allows; undefined where it can. */
  findUnproven(entry: Entry): Axis | undefined {
    const { methods } = entry.rule
    // A call has one method, so that each may have a rule of the parent's own.
    const claims: Claim[] = methods
      ? methods.map((method) => ({ ...entry, methods: [method] }))
      : [{ ...entry, methods }]
    return furthest(claims.map((claim) => this.#proveClaim(claim)))
  }

  /** The parent's rules that may say something of calls to the hosts of an allow. */
  near({ host, port }: Entry): Entry[] {
    return [...this.#denies, ...this.#others.filter((entry) => entry.port === port)].filter(
      (entry) => hostsOverlap(entry.host, host),
    )
  }

  #proveClaim(claim: Claim): Axis | undefined {
    for (const deny of this.#denies) {
      const axis = meets(claim, deny)
      if (axis !== undefined) return axis
    }
    const meeting = this.#others.filter((entry) => allowsMayMeet(claim, entry))
    let reached: Axis = 'host'
    for (const entry of this.#allows) {
      const axis = findUncovered(claim, entry) ?? findUnowed(claim, entry, meeting)
      if (axis === undefined) return undefined
      reached = furthest([reached, axis]) ?? axis
    }
    return reached
  }
}

// What a hold lets pass after a person was asked is a matter of the hold at use.
function inForce({ inside }: Policy, wanted: 'pass' | 'deny'): Entry[] {
  return inside.rules.flatMap(({ verdict, observe, isForEnvironment, entries }) =>
    (verdict === 'deny') === (wanted === 'deny') && !observe && isForEnvironment ? entries : [],
  )
}

function isGuard({ rule }: Entry): boolean {
  return rule.binding === 'always'
}

// Of several the one that is furthest from being a matter of another rule altogether.
function furthest(axes: readonly (Axis | undefined)[]): Axis | undefined {
  return AXES.findLast((axis) => axes.includes(axis))
}

/** The first axis on which an allow of the parent does not include what the child's allows. */
function findUncovered(claim: Claim, { rule, host, port, scheme, paths }: Entry): Axis | undefined {
  if (!includesHost(host, claim.host)) return 'host'
  if (port !== claim.port) return 'port'
  if (!includesScheme(scheme, claim.scheme)) return 'scheme'
  const { methods } = rule
  if (methods && !claim.methods?.every((method) => methods.includes(method))) return 'methods'
  if (!includesPaths(paths, claim.paths)) return 'paths'
  if (!includesValues(rule.query, claim.rule.query)) return 'query'
  if (!includesValues(rule.headers, claim.rule.headers)) return 'headers'
  if (!includesInside(rule.inside, claim.rule.inside)) return 'inside'
  if (!rule.isForEnvironment) return 'environment'
  if (!includesTime(rule, claim.rule)) return 'time'
  // The same words may come to something else for another task.
  return rule.when === undefined ? undefined : 'condition'
}

function includesTime(rule: BoundRule, mine: BoundRule): boolean {
  if ((mine.expiresAt ?? Infinity) > (rule.expiresAt ?? Infinity)) return false
  return rule.between === undefined || JSON.stringify(rule.between) === JSON.stringify(mine.between)
}

/** The first axis on which a call would owe less, or get more, than by an allow of the parent and others it may meet. */
function findUnowed(claim: Claim, entry: Entry, meeting: readonly Entry[]): Axis | undefined {
  const { dues } = claim.rule
  if (!isCarriedAlike(claim, meeting)) return 'scheme'
  const enforced = meeting.filter(({ rule }) => !rule.observe)
  const all = [entry, ...enforced].map(({ rule }) => rule)
  const tasks = all.filter(({ binding }) => binding === 'task').map((rule) => rule.dues)
  if (!isCredentialOf(dues, entry, tasks)) return 'credential'
  if (all.some((rule) => takesStatic(dues, rule.dues))) return 'credential'
  if (!claim.addresses.every((range) => includesRange(entry.addresses, range))) return 'addresses'
  if (all.some((rule) => exceeds(dues, rule.dues, 'bodyBytesMax'))) return 'limit'
  const mayPush = claim.rule.inside === undefined || claim.rule.inside.git?.push !== undefined
  if (mayPush && all.some((rule) => exceeds(dues, rule.dues, 'maxPackBytes'))) return 'limit'
  if (all.some((rule) => acceptsMore(dues, rule))) return 'class'
  if (dues.clientAuth !== 'pass') return undefined
  const passes =
    tasks.every(({ clientAuth }) => clientAuth === 'pass') &&
    all.every((rule) => rule.dues.clientAuth !== 'drop')
  return passes ? undefined : 'clientAuth'
}

function exceeds(mine: Dues, theirs: Dues, limit: 'bodyBytesMax' | 'maxPackBytes'): boolean {
  return (mine[limit] ?? Infinity) > (theirs[limit] ?? Infinity)
}

// A static one, where the parent refuses it.
function takesStatic(mine: Dues, theirs: Dues): boolean {
  return theirs.static === false && mine.static !== false && mine.credential !== undefined
}

function acceptsMore({ accepts = 'public' }: Dues, rule: BoundRule): boolean {
  const unsaid = rule.binding === 'always' ? accepts : 'public'
  return isAbove(accepts, rule.dues.accepts ?? unsaid)
}

// The first match that names a credential gives it.
function isCredentialOf({ credential }: Dues, entry: Entry, meeting: readonly Dues[]): boolean {
  if (credential === undefined) return true
  return (
    entry.rule.dues.credential === credential &&
    meeting.every((dues) => dues.credential === undefined || dues.credential === credential)
  )
}

// A connection that is looked into anywhere is not passed through, and one that is passed through anywhere not relayed.
function isCarriedAlike({ scheme }: Claim, meeting: readonly Entry[]): boolean {
  if (isInspected(scheme ?? 'https')) return true
  return meeting.every(
    (entry) => entry.rule.binding === 'always' || entry.scheme === scheme || entry.scheme === 'tcp',
  )
}

/** Whether two allows may match one call, or open one tunnel. */
function allowsMayMeet(claim: Claim, entry: Entry): boolean {
  if (entry.port !== claim.port || !hostsOverlap(entry.host, claim.host)) return false
  if (!isInspected(claim.scheme ?? 'https')) return true
  const families = [claim, entry].map(({ scheme }) => FAMILIES[scheme ?? 'https'])
  if (families[0] !== families[1]) return false
  return methodsMayMeet(claim, entry) && pathsMayMeet(claim.paths, entry.paths)
}

function methodsMayMeet({ methods }: Claim, { rule }: Entry): boolean {
  return methods?.some((method) => rule.methods?.includes(method) ?? true) ?? true
}

/** In what a deny may refuse calls of an allow, or addresses that it would dial; undefined where it cannot. */
function meets(claim: Claim, deny: Entry): Axis | undefined {
  if (deny.rule.ports?.has(claim.port ?? 0) === false) return undefined
  // An allow of what is not looked into has neither, so that any deny of a part meets it.
  if (!methodsMayMeet(claim, deny) || !pathsMayMeet(claim.paths, deny.paths)) return undefined
  if (hostsOverlap(deny.host, claim.host)) return 'paths'
  return deny.host.kind === 'range' && mayResolve(claim) ? 'addresses' : undefined
}

function mayResolve({ host }: Entry): boolean {
  return host.kind === 'any' || host.kind === 'below' || (host.kind === 'exact' && !host.isAddress)
}

function isBareRange({ rule, host, paths }: Entry): boolean {
  const { ports, methods, query, headers, inside, between, when, expiresAt } = rule
  const parts = [ports, methods, paths, query, headers, inside, between, when, expiresAt]
  return host.kind === 'range' && parts.every((part) => part === undefined)
}

function deniesRange({ host }: Entry, deny: Entry): boolean {
  return (
    host.kind === 'range' && deny.host.kind === 'range' && includesCidr(host.cidr, deny.host.cidr)
  )
}

// All that decides whether an entry matches, and what is owed then.
function describe({ rule, host, scheme, port, paths }: Entry): string {
  const { verdict, methods, query, headers, ports, inside, between, when, expiresAt } = rule
  const dues = {
    ...rule.dues,
    quota: rule.dues.quota?.limits,
    pins: rule.dues.pins && [...rule.dues.pins],
  }
  const segments = paths?.map((path) => path.segments.map((segment) => segment ?? { deep: true }))
  const where = verdict === 'deny' ? undefined : { scheme, port }
  const parts = {
    host,
    where,
    methods,
    segments,
    query,
    headers,
    inside,
    between,
    when: when?.text,
    expiresAt,
    ports: ports && [...ports],
    dues,
  }
  return JSON.stringify(parts)
}
