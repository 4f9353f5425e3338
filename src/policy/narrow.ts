// A child's policy held against its parent's when the child task is made: what it would allow that the parent may not, and
// what could not be shown either way. A proof and a witness are both exact, so that nothing is called wider that is not.
// Later changes of the rules are met by `conjunction.ts` at every call (I9). Pure; called where a child task is made.

import { EgressError, type Reason } from '../errors.ts'
import { parseAuthority, type Endpoint } from '../wire/authority.ts'
import { contains, specialPurpose, type Cidr } from '../wire/address.ts'
import type { Policy } from './compile.ts'
import { decide, decideConnect } from './decide.ts'
import type { Decision, Question, RuleRef } from './decision.ts'
import { isInspected } from './destination.ts'
import { explain } from './explain.ts'
import type { Moment } from './facts.ts'
import { firstAddress, includesCidr, isSpecialWhenExact, lastAddress } from './inclusion.ts'
import type { Entry } from './bound-rule.ts'
import { Facts, TunnelFacts } from './circumstances.ts'
import { MATCHED, reach, reachConnect, STAGES } from './match.ts'
import { AXES, ParentRules, type Axis } from './proof.ts'
import { authorityOf, makeWitnesses, sampleHosts, type Witness } from './witness.ts'
import { makeContents, type InsideWitness } from './witness-inside.ts'
import type { Asked } from './written-call.ts'

/** Something that a rule of the child lets pass, or gives, and the parent's rules do not. */
export interface Widening {
  readonly axis: Axis
  readonly rule: RuleRef
  /** A call that shows it, and what the parent's rules say to it. */
  readonly detail: string
}

/** How a child's policy compares with its parent's. */
export interface Comparison {
  /** At most one for a rule and an axis. */
  readonly widened: readonly Widening[]
  /** Axes on which neither a proof nor a call against it was found, in the order of `AXES`. */
  readonly unproven: readonly Axis[]
}

const AXIS_OF: Readonly<Partial<Record<Reason, Axis>>> = {
  'not-on-allowlist': 'host',
  'ip-not-on-allowlist': 'host',
  'port-not-allowed': 'port',
  'protocol-not-allowed': 'scheme',
  'method-not-allowed': 'methods',
  'path-not-allowed': 'paths',
  'environment-mismatch': 'environment',
  'outside-time-window': 'time',
  'condition-error': 'condition',
  'classification-ceiling': 'class',
  'flow-violation': 'class',
  'denied-by-rule': 'paths',
}

// All of it happens in one go, and nobody's calls move meanwhile: what is too much to look at stays unproven.
const PAIRS_MAX = 500_000
const WITNESSED_MAX = 64
const LOOKED_INTO_MAX = 32
// One is enough to refuse the child; the others are told to whoever mends it.
const WIDENED_MAX = 32

/** Compares a child's policy with its parent's at one time. Nothing widened and nothing unproven: the child's calls are the parent's. */
export function comparePolicies(mine: Policy, theirs: Policy, now: number): Comparison {
  const [child, parent] = [enforcing(mine), enforcing(theirs)]
  const moment: Moment = { now, read: 'public' }
  const rules = new ParentRules(parent, child)
  const widened = new Map<string, Widening>()
  const unproven = new Set<Axis>()
  const allows = child.inside.rules.filter(
    ({ verdict, binding, isForEnvironment }) =>
      verdict !== 'deny' && binding === 'task' && isForEnvironment,
  )
  const provableMax = PAIRS_MAX / Math.max(1, rules.size)
  let witnessed = 0
  for (const [at, entry] of allows.flatMap(({ entries }) => entries).entries()) {
    if (widened.size >= WIDENED_MAX) break
    const axis = at < provableMax ? rules.findUnproven(entry) : 'paths'
    if (axis === undefined) continue
    witnessed += 1
    const found =
      witnessed > WITNESSED_MAX
        ? []
        : findWidenings(entry, { child, parent, moment }, rules.near(entry))
    if (found.length === 0) unproven.add(axis)
    for (const widening of found) {
      const key = `${widening.axis} ${entry.rule.ordinal}`
      if (!widened.has(key)) widened.set(key, widening)
    }
  }
  return {
    widened: [...widened.values()],
    unproven: AXES.filter((axis) => unproven.has(axis)),
  }
}

// What only observes lets everything pass: rules are compared.
function enforcing(policy: Policy): Policy {
  if (policy.task.observe !== true) return policy
  return { ...policy, task: { ...policy.task, observe: false } }
}

function findWidenings(entry: Entry, both: Both, near: readonly Entry[]): Widening[] {
  const { child, parent, moment } = both
  const found = new Map<Axis, Widening>()
  const add = (axis: Axis, detail: string): void => {
    if (!found.has(axis)) found.set(axis, { axis, rule: entry.rule.ref, detail })
  }
  if (!isInspected(entry.scheme ?? 'https')) {
    for (const host of sampleHosts(entry.host, near)) compareTunnels(entry, host, both, add)
    return [...found.values()]
  }
  let lookedInto = 0
  let contents: readonly InsideWitness[] | undefined
  const isOf = (question: Question): boolean =>
    reach(entry, new Facts(question, child.task, moment)) === MATCHED
  for (const { question, text } of makeWitnesses(entry, near, isOf)) {
    const own = decide(child, question, moment)
    if (own.verdict === 'deny') continue
    const theirs = decide(parent, question, moment)
    if (theirs.verdict === 'deny')
      add(axisOf(theirs, parent, question, moment), refusal(text, theirs))
    else if (!(own.inspectors ?? theirs.inspectors))
      compareGains(entry, text, question.endpoint, own, theirs, add)
    else if (lookedInto < LOOKED_INTO_MAX) {
      lookedInto += 1
      contents ??= makeContents([entry, ...near])
      compareInside({ question, text }, contents, entry, { ...both, add })
    }
  }
  return [...found.values()]
}

// By the head alone nothing is known of calls that some rule looks into: neither that they pass nor what they owe.
function compareInside(
  { question, text }: Witness,
  contents: readonly InsideWitness[],
  entry: Entry,
  { child, parent, moment, add }: Both & { readonly add: Add },
): void {
  for (const { content, text: inside } of contents) {
    const asked = { ...question, content }
    const own = decide(child, asked, moment)
    if (own.verdict === 'deny') continue
    if (reach(entry, new Facts(asked, child.task, moment)) < MATCHED) continue
    const theirs = decide(parent, asked, moment)
    const told = `${text} ${inside}`
    if (theirs.verdict === 'deny') {
      add('inside', refusal(told, theirs))
      continue
    }
    compareGains(entry, told, question.endpoint, own, theirs, add)
    const pack = theirs.obligations.maxPackBytes
    const isPush = content.git?.service === 'receive-pack'
    if (isPush && pack !== undefined && (own.obligations.maxPackBytes ?? Infinity) > pack)
      add('limit', `${told}: a larger pack than the parent's ${pack} bytes`)
  }
}

/** What is compared, and when. */
interface Both {
  readonly child: Policy
  readonly parent: Policy
  readonly moment: Moment
}

/** Adds a widening. */
type Add = (axis: Axis, detail: string) => void

function compareTunnels(
  entry: Entry,
  host: string,
  { child, parent, moment }: Both,
  add: Add,
): void {
  const connect = endpointOf(host, entry.port ?? 0)
  if (connect === undefined) return
  const own = decideConnect(child, connect, moment)
  if (own.verdict === 'deny') return
  if (reachConnect(entry, new TunnelFacts(connect, own.mode, child.task, moment)) < MATCHED) return
  const text = `CONNECT ${authorityOf(host, connect.port)}`
  const theirs = decideConnect(parent, connect, moment)
  if (theirs.verdict === 'deny')
    return add(axisOf(theirs, parent, { connect }, moment), refusal(text, theirs))
  if (theirs.mode === 'inspect' || (theirs.mode === 'tls' && own.mode === 'tcp'))
    return add('scheme', `${text}: ${own.mode} for the child, ${theirs.mode} for the parent`)
  compareGains(entry, text, connect, own, theirs, add)
}

function endpointOf(host: string, port: number): Endpoint | undefined {
  try {
    return parseAuthority(authorityOf(host, port))
  } catch (error) {
    if (error instanceof EgressError) return undefined
    throw error
  }
}

function refusal(text: string, { reason, rule }: Decision): string {
  const by = rule ? ` by ${rule.ruleset}/${rule.id}` : ''
  return `${text}: the parent's rules answer ${reason}${by}`
}

const REASONS_OF_SEVERAL: ReadonlySet<Reason> = new Set([
  'path-not-allowed',
  'protocol-not-allowed',
  'operation-not-allowed',
])

// Query and headers are told as the path; the trace says which it was.
function axisOf({ reason }: Decision, parent: Policy, asked: Asked, moment: Moment): Axis {
  const axis = AXIS_OF[reason] ?? 'host'
  // What no rule looks into may be refused for what cannot be seen.
  if (!REASONS_OF_SEVERAL.has(reason)) return axis
  const { trace } = explain(parent, asked, moment)
  const failed = trace.flatMap(({ verdict, failedAt }) =>
    verdict !== 'deny' && failedAt !== undefined ? failedAt : [],
  )
  const furthest = STAGES.findLast((stage) => failed.includes(stage))
  if (furthest === 'when') return 'condition'
  return furthest === 'query' || furthest === 'headers' || furthest === 'inside' ? furthest : axis
}

// What a call gets of the rule that both allow.
function compareGains(
  { rule, addresses }: Entry,
  text: string,
  endpoint: Endpoint,
  own: Decision,
  theirs: Decision,
  add: Add,
): void {
  const { obligations: mine } = own
  const { obligations: others } = theirs
  const { credential, bodyBytesMax: bound } = mine
  if (credential !== undefined && credential === rule.dues.credential)
    if (credential !== others.credential)
      add(
        'credential',
        `${text}: with ${credential}, the parent with ${others.credential ?? 'none'}`,
      )
  if (credential !== undefined && others.static === false && mine.static !== false)
    add('credential', `${text}: with ${credential}, the parent with none that is static`)
  const told = addresses.filter((range) => endpoint.kind === 'name' || isDialedBy(range, endpoint))
  const wider = told.find((range) => isWiderThan(theirs.addresses.allowed, range))
  if (wider) add('addresses', `${text}: may be at an address of ${wider.text}`)
  const open = endpoint.kind === 'name' ? findOpened(own, theirs) : undefined
  if (open) add('addresses', `${text}: may be at an address of ${open.text}, denied to the parent`)
  if (others.bodyBytesMax !== undefined && (bound ?? Infinity) > others.bodyBytesMax)
    add(
      'limit',
      `${text}: ${bound === undefined ? 'any' : String(bound)} bytes of body, the parent ${others.bodyBytesMax}`,
    )
  if (mine.clientAuth === 'pass' && others.clientAuth === 'drop')
    add('clientAuth', `${text}: what the client sends to authenticate passes`)
}

// An address that is written as such is dialed without being listed, save where only its very listing opens it.
function isDialedBy(range: Cidr, { host }: Endpoint): boolean {
  return isSpecialWhenExact(range) && contains(range, host)
}

// Some address of a range that is listed for the child is not listed for the parent: its first or its last will do.
function isWiderThan(listed: readonly Cidr[], range: Cidr): boolean {
  if (isSpecialWhenExact(range))
    return !listed.some(({ bits, text }) => bits === range.bits && text === range.text)
  return [firstAddress(range), lastAddress(range)].some(
    (address) => !listed.some((each) => contains(each, address)),
  )
}

// A range that the parent's rules deny and that the child would dial.
function findOpened(own: Decision, theirs: Decision): Cidr | undefined {
  return theirs.addresses.denied.find((range) => {
    if (own.addresses.denied.some((each) => includesCidr(each, range))) return false
    const first = firstAddress(range)
    if (own.addresses.denied.some((each) => contains(each, first))) return false
    return (
      specialPurpose(first) === undefined ||
      own.addresses.allowed.some((each) => contains(each, first))
    )
  })
}
