// The stages identified to decided of an HTTP call: whose it is, what its head alone forbids, what the rules say. Where rules
// look inside, `understand/` asks again with what it read. Called by `pipeline.ts` and `understand/`.

import type { Call, Decided, Identified, Identity, Received } from './call.ts'
import { EgressError } from './errors.ts'
import type { McpMessage } from './inspect/mcp/messages.ts'
import { NO_ADDRESSES } from './policy/address-policy.ts'
import { decideTogether, oweTogether, policyDigestOf } from './policy/conjunction.ts'
import { holdTogether } from './policy/decide.ts'
import type { Decision } from './policy/decision.ts'
import { NOTHING_OWED } from './policy/owe.ts'
import { INSPECTORS, type Content } from './policy/subject.ts'
import { screen, type CallScope, type Parts } from './stages.ts'
import type { Task } from './tasks/task.ts'
import type { RawHeaders } from './wire/body.ts'
import type { CanonicalRequest } from './wire/receive.ts'
import { makeUlid } from './wire/ulid.ts'

const METHOD_OVERRIDES: ReadonlySet<string> = new Set([
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
])
const OVERRIDE_LENGTHS: ReadonlySet<number> = new Set(
  [...METHOD_OVERRIDES].map(({ length }) => length),
)

/** A decision, and what else is told of it. */
export interface Verdict {
  readonly decision: Decision
  /** The field by which the call asks for another method, where that method is what was refused. */
  readonly override?: string
  /** What was asked about, where time may change the answer. */
  readonly contents?: readonly Content[]
  /** Small facts of a refusal, never secrets. */
  readonly detail?: EgressError['detail']
  /** Microseconds it took. */
  readonly us: number
  /** Asks the rules again, as they are then, about what was read; absent where the head alone was asked about. */
  readonly again?: () => Verdict
  /** The messages that were asked about, where it was messages. */
  readonly messages?: readonly McpMessage[]
}

/** Identifies a call and looks at its head alone. @throws EgressError of the stages identified and screened */
export function identifyRequest(
  call: Call & Received,
  scope: CallScope,
  parts: Parts,
): Call & Received & Identified {
  const { request } = call
  const identity = parts.identifier.identify(call.arrival, request.headers)
  call.identify(identity)
  parts.shares.claim(call)
  if (scope.refusal) throw new EgressError(scope.refusal)
  screen(
    call,
    {
      endpoint: request.endpoint,
      headers: request.headers,
      path: request.path.raw,
      query: request.query,
    },
    parts,
  )
  return call
}

/** Identifies a call and judges its head. @throws EgressError of the stages identified and screened */
export function screenRequest(
  received: Call & Received,
  scope: CallScope,
  parts: Parts,
): { readonly call: Call & Received & Identified; readonly verdict: Verdict } {
  const call = identifyRequest(received, scope, parts)
  return { call, verdict: judge(call.identity, call.request, undefined) }
}

/** What is asked: the rules in force, and what they look at beside the call. */
export type Rules = Pick<Identity, 'policies' | 'moment'>

/** Asks the rules. @param content what was read of the call; undefined: its head alone is asked about */
export function judge(
  rules: Rules,
  request: CanonicalRequest,
  content: Content | undefined,
): Verdict {
  const startedAtMs = performance.now()
  const verdict = judgeMethods(rules, content === undefined ? request : { ...request, content })
  const us = (performance.now() - startedAtMs) * 1000
  return content === undefined || verdict.decision.revisitAt === undefined
    ? { ...verdict, us }
    : { ...verdict, contents: [content], us }
}

/** The stage decided. @throws the reason of a refusal; killed */
export function settle<C extends Call & Received & Identified>(
  call: C,
  verdict: Verdict,
  parts: Parts,
): C & Decided {
  call.decide(verdict.decision, makeUlid(Date.now()), verdict.us)
  uphold(call, verdict, parts)
  return call
}

/** Refuses a call that was decided, where its verdict or an operator's switch does. @throws the reason of a refusal; killed */
export function uphold(
  call: Call & Received & Identified,
  { decision, override, detail }: Verdict,
  parts: Parts,
): void {
  parts.flow.tellRead(call)
  if (decision.verdict === 'deny')
    throw new EgressError(decision.reason, {
      ...detail,
      ...(override !== undefined && { override }),
      ...ancestorOf(call.identity.task, decision),
    })
  parts.switches.checkCall(call.request.endpoint.host, decision.obligations.credential)
}

/** Which task above refused, where one did; small facts for the record. */
export function ancestorOf(
  task: Task,
  { ancestor }: Pick<Decision, 'ancestor'>,
): EgressError['detail'] {
  const id = ancestor === undefined ? undefined : task.path.at(-1 - ancestor)
  return id === undefined ? {} : { refusedFor: id }
}

/** Lets a call to the proxy's own name pass: no rule has a say in it, and nothing is owed. */
export function settleOwn<C extends Call & Identified>(call: C): C & Decided {
  const decision: Decision = {
    verdict: 'allow',
    reason: 'allowed',
    obligations: NOTHING_OWED,
    addresses: NO_ADDRESSES,
    policy: policyDigestOf(call.identity.policies),
  }
  call.decide(decision, makeUlid(Date.now()), 0)
  return call
}

/**
 * The field by which a call asks for another method than that of its request line: what is inside it can then be read by two.
 */
export function findOverride({
  method,
  headers,
}: Pick<CanonicalRequest, 'method' | 'headers'>): string | undefined {
  return listOverrides(headers).find(([, overriding]) => overriding !== method)?.[0]
}

// The fields in lower case, and the methods that they ask for.
function listOverrides(headers: RawHeaders): [name: string, method: string][] {
  const overrides: [string, string][] = []
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!
    if (!OVERRIDE_LENGTHS.has(name.length)) continue
    // To a CGI-like server an underscore is a hyphen.
    const field = name.toLowerCase().replaceAll('_', '-')
    if (!METHOD_OVERRIDES.has(field)) continue
    // Of a list some servers take the first member, others the last.
    const [first = '', ...others] = headers[at + 1]!.split(',')
    for (const method of [first, ...others.slice(-1)])
      overrides.push([field, method.trim().toUpperCase()])
  }
  return overrides
}

// Upstreams that heed an overriding method do not do what the request line says: the rules must allow that one too, and
// where they do not, that is the decision.
function judgeMethods(
  { policies, moment: ask }: Rules,
  question: CanonicalRequest & { readonly content?: Content },
): Omit<Verdict, 'us'> {
  const moment = ask()
  let decision = decideTogether(policies, question, moment)
  let field: string | undefined
  if (decision.verdict === 'deny') return { decision }
  for (const [override, method] of listOverrides(question.headers)) {
    const overridden = decideTogether(policies, { ...question, method }, moment)
    if (overridden.verdict === 'deny') return { decision: overridden, override }
    // What is only observed has no credential of what is allowed, and what is held waits under either name.
    const isStricter = overridden.verdict === 'hold' || overridden.wouldDeny !== undefined
    if (isStricter && decision.verdict === 'allow') {
      decision = joinMethods(overridden, decision)
      field ??= override
    } else if (overridden.wouldDeny !== undefined && decision.wouldDeny === undefined)
      return {
        decision: { ...overridden, verdict: 'deny', reason: overridden.wouldDeny },
        override,
      }
    else decision = joinMethods(decision, overridden)
  }
  return { decision, ...(field !== undefined && { override: field }) }
}

// Nobody knows which of the methods it will be: what rules say of either counts.
function joinMethods(decision: Decision, other: Decision): Decision {
  const both = [decision, other]
  const inspectors = INSPECTORS.filter((kind) =>
    both.some((each) => each.inspectors?.includes(kind)),
  )
  const holds = both.map(({ hold }) => hold).filter((hold) => hold !== undefined)
  const revisitAt = Math.min(...both.map((each) => each.revisitAt ?? Infinity))
  const { addresses } = decision
  const also = [...(addresses.also ?? []), other.addresses, ...(other.addresses.also ?? [])]
  return {
    ...decision,
    obligations: oweTogether(both.map(({ obligations }) => obligations)),
    addresses: { ...addresses, also },
    ...(holds.length > 0 && { hold: holdTogether(holds) }),
    ...(revisitAt < Infinity && { revisitAt }),
    ...(inspectors.length > 0 && { inspectors }),
  }
}
