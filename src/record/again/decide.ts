// Decides a recorded call or message again: the question as its record has it, asked of rules that are handed in, by the code
// that decides live traffic. Says what a record cannot tell instead of guessing. Pure. Called by `explain --call`.

import { REASONS } from '../../errors.ts'
import {
  decideConnectTogether,
  decideTogether,
  type PolicyChain,
} from '../../policy/conjunction.ts'
import type { Decision, TraceStep } from '../../policy/decision.ts'
import { explainTogether, type Explanation } from '../../policy/explain.ts'
import type { Moment } from '../../policy/facts.ts'
import { listLookedAt } from '../../policy/looks-at.ts'
import type { Content } from '../../policy/subject.ts'
import type { Asked } from '../../policy/written-call.ts'
import { isOwnHost } from '../../wire/own-host.ts'
import type { RecordBody } from '../body.ts'
import type { FoundCall } from './find.ts'
import { askedOf, insideCall, insideMessage } from './inputs.ts'
import { listMissing } from './missing.ts'
import { timeOfUlid } from '../../wire/ulid.ts'

/** What decides is what these say. */
export interface Outcome {
  readonly verdict: 'allow' | 'deny' | 'hold'
  readonly reason: string
  /** `RULESET/ID` and the digest of its file; undefined where no rule decided. */
  readonly rule: { readonly name: string; readonly version: string } | undefined
  /** In observe mode: the reason for which it would have been refused. */
  readonly wouldDeny: string | undefined
}

/** A recorded decision, made again. */
export interface DecidedAgain {
  /** Undefined where a record does not tell it: `missing` or `aside` says why. */
  readonly outcome: Outcome | undefined
  /** `sha256:` of the rules that were asked; undefined where none were. */
  readonly policy: string | undefined
  /** What a record cannot tell and the rules ask for. */
  readonly missing: readonly string[]
  /** Why it was not the rules that decided. */
  readonly aside: string | undefined
  readonly trace: readonly TraceStep[]
}

// What a message that the rules allow is refused for all the same.
const BESIDE_RULES: ReadonlySet<string> = new Set(['killed', 'tool-definition-changed'])

// How much earlier than its id a decision may have been made.
const EARLIER_MS = 1000

/** The decision as it was recorded; undefined where the call got to none. */
export function recordedOutcome({ rule, sallyport }: RecordBody): Outcome | undefined {
  const { decision } = sallyport
  if (decision === undefined) return undefined
  const { verdict, reason, would_deny: wouldDeny } = decision
  return {
    verdict,
    reason,
    rule: rule && { name: `${rule.ruleset}/${rule.id}`, version: rule.version },
    wouldDeny,
  }
}

/**
 * Decides again.
 * @param trace `with-trace`: also how far it gets with every rule; without it only what the answer hangs on is looked at
 */
export function decideAgain(
  found: FoundCall,
  policies: PolicyChain,
  trace: 'with-trace' | 'without-trace' = 'with-trace',
): DecidedAgain {
  const { record, messages, around } = found
  const aside = asideOf(record)
  if (aside !== undefined) return untold([], aside)
  const asked = askedOf(record, around)
  if (asked === undefined) return untold(['the target of the call'])
  const moment = momentOf(record)
  const { atCalls } = listLookedAt(policies)
  const ask = (content?: Content): Read => {
    const question = content === undefined || 'connect' in asked ? asked : { ...asked, content }
    const explained =
      trace === 'with-trace' || atCalls
        ? explainTogether(policies, question, moment)
        : { decision: decideOnly(policies, question, moment), trace: [] }
    return { ...explained, content, question }
  }
  const conclude = (readings: readonly Read[], inside?: string): DecidedAgain =>
    concludeFrom(found, policies, readings, inside)
  const isMessage = record.sallyport.message !== undefined
  const head = ask()
  if (!isMessage && (head.decision.verdict === 'deny' || head.decision.inspectors === undefined))
    return conclude([head])
  if ('connect' in asked) return conclude([head])
  const { contents, missing } = isMessage
    ? insideMessage(record)
    : insideCall(record, head.decision.inspectors ?? [], messages)
  if (contents.length === 0) return untold([missing ?? 'the body'])
  return conclude(contents.map(ask), missing)
}

interface Read extends Explanation {
  readonly content: Content | undefined
  readonly question: Asked
}

function decideOnly(policies: PolicyChain, asked: Asked, moment: Moment): Decision {
  return 'connect' in asked
    ? decideConnectTogether(policies, asked.connect, moment)
    : decideTogether(policies, asked, moment)
}

// The id of a decision says when it was made; the record of a call may be written long afterwards.
function momentOf({ '@timestamp': at, sallyport: { decision } }: RecordBody): Moment {
  const time = decision && timeOfUlid(decision.id)
  return { now: time ?? Date.parse(at), read: decision?.read ?? 'public' }
}

// Where all readings come to the same, it does not matter which it was.
function concludeFrom(
  { record, around }: FoundCall,
  policies: PolicyChain,
  readings: readonly Read[],
  inside: string | undefined,
): DecidedAgain {
  const [first] = readings
  if (first === undefined) return untold([])
  const outcomes = readings.map(({ decision }) => outcomeOf(decision))
  const isOne = outcomes.every((each) => isSameOutcome(each, outcomes[0]))
  const missing = [
    ...listMissing(record, around, policies, readings),
    ...(inside !== undefined && !isOne ? [inside] : []),
    ...(isOnTheEdge(record, policies, readings) ? ['its exact time'] : []),
    ...overrideIn(record),
  ]
  const { policy } = first.decision
  const outcome = missing.length === 0 ? outcomes[0] : undefined
  return { outcome, policy, missing, aside: undefined, trace: first.trace }
}

function isOnTheEdge(
  record: RecordBody,
  policies: PolicyChain,
  readings: readonly Read[],
): boolean {
  if (!listLookedAt(policies).atTime) return false
  const { now, read } = momentOf(record)
  const before: Moment = { now: now - EARLIER_MS, read }
  return readings.some(
    ({ question, decision }) =>
      !isSameOutcome(outcomeOf(decideOnly(policies, question, before)), outcomeOf(decision)),
  )
}

/**
 * Whether two decisions are the same in everything that a record says of one.
 * @param versions `whatever-version`: also where the rule stands in another version of its file
 */
export function isSameOutcome(
  one: Outcome | undefined,
  other: Outcome | undefined,
  versions: 'same-version' | 'whatever-version' = 'same-version',
): boolean {
  if (one === undefined || other === undefined) return false
  return (
    one.verdict === other.verdict &&
    one.reason === other.reason &&
    one.wouldDeny === other.wouldDeny &&
    one.rule?.name === other.rule?.name &&
    (versions === 'whatever-version' || one.rule?.version === other.rule?.version)
  )
}

function outcomeOf({ verdict, reason, rule, wouldDeny }: Decision): Outcome {
  const named = rule && { name: `${rule.ruleset}/${rule.id}`, version: rule.version }
  return { verdict, reason, rule: named, wouldDeny }
}

function untold(missing: readonly string[], aside?: string): DecidedAgain {
  return { outcome: undefined, policy: undefined, missing, aside, trace: [] }
}

function overrideIn({ sallyport: { decision, detail } }: RecordBody): string[] {
  const name = detail?.['override']
  if (decision?.verdict !== 'deny' || typeof name !== 'string') return []
  return [`the method that its ${name} asks for`]
}

function asideOf({
  event,
  url,
  sallyport: { decision, detail, credential },
}: RecordBody): string | undefined {
  if (url !== undefined && isOwnHost(url.domain)) return 'it asked the proxy itself'
  if (credential?.action === 'answered') return 'the proxy itself answered it'
  if (decision === undefined) {
    const { reason = '' } = event
    const rows: Readonly<Record<string, { readonly title: string }>> = REASONS
    return `it was refused before any rule was asked: ${rows[reason]?.title ?? reason}`
  }
  if (decision.verdict === 'deny' && BESIDE_RULES.has(decision.reason))
    return 'the rules allow it; a kill switch or a pinned definition does not'
  if (detail?.['batch'] === 'refused') return 'it was refused with others of its batch'
  if (detail?.['call'] === 'refused') return 'it was refused with its call'
  return undefined
}
