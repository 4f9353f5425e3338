// Why a call is refused, in the one token that its client is told: the furthest dimension that any rule of its host reached.
// Pure; called by `decide.ts`.

import type { Reason } from '../errors.ts'
import type { Entry } from './bound-rule.ts'
import type { Question } from './decision.ts'
import { findMismatch } from './inside-match.ts'
import { ERRED, INSIDE, type Stage } from './match.ts'

// Query and headers are parts of the path to a rule. The first is for a host that no allow covers; that a condition is false
// says no more than that this operation is not allowed.
const REASON_AT: readonly Reason[] = [
  'not-on-allowlist',
  'port-not-allowed',
  'protocol-not-allowed',
  'method-not-allowed',
  'path-not-allowed',
  'path-not-allowed',
  'path-not-allowed',
  'operation-not-allowed',
  'environment-mismatch',
  'outside-time-window',
  'operation-not-allowed',
  'condition-error',
]
// Where what is inside is not allowed: what the rule that came nearest misses.
const REASONS_INSIDE: readonly Reason[] = [
  'protocol-not-allowed',
  'source-not-allowed',
  'ref-not-allowed',
  'operation-not-allowed',
  'tool-not-allowed',
]

/** What was asked, and how far a rule got. */
interface Asked {
  readonly isName: boolean
  /** Of an HTTP call. */
  readonly question: Question | undefined
  readonly stageOf: (entry: Entry) => Stage
}

/** The reason for a call that nothing allows. @param furthest how far the best of the rules got */
export function reasonFor(asked: Asked, furthest: Stage, rules: readonly Entry[]): Reason {
  if (furthest === 0 && !asked.isName) return 'ip-not-on-allowlist'
  const isUnknown = furthest === ERRED && asked.question?.content?.fault !== undefined
  if (furthest === INSIDE || isUnknown) return reasonInside(asked, rules)
  return REASON_AT[furthest] ?? 'not-on-allowlist'
}

function reasonInside({ question, stageOf }: Asked, rules: readonly Entry[]): Reason {
  if (question?.content?.fault !== undefined) return question.content.fault
  const reasons = rules.map((entry) => {
    const { inside } = entry.rule
    if (!question || !inside || stageOf(entry) !== INSIDE) return undefined
    return findMismatch(inside, question)?.reason
  })
  return REASONS_INSIDE.findLast((reason) => reasons.includes(reason)) ?? 'operation-not-allowed'
}
