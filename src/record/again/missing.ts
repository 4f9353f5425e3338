// What the rules looked at that a record does not have: header fields, what was masked, the arguments, the body, what the task
// declared. Named, so that nobody guesses. Pure. Called by `decide.ts`.

import type { PolicyChain } from '../../policy/conjunction.ts'
import type { TraceStep } from '../../policy/decision.ts'
import { listLookedAt, nameOfRule, type ConditionLooksAt } from '../../policy/looks-at.ts'
import type { Content } from '../../policy/subject.ts'
import type { RecordBody } from '../body.ts'
import { digestOfFacts } from './defined.ts'
import { maskedIn, recordedHeaders } from './inputs.ts'

// What a call is held against before its query.
const BEFORE_QUERY: ReadonlySet<string> = new Set(['host', 'port', 'scheme', 'method', 'path'])

/** One reading of a call, and how far it got with every rule. */
export interface Reading {
  readonly content: Content | undefined
  readonly trace: readonly TraceStep[]
}

/**
 * Lists what is missing.
 * @param around of a message: the record of its call
 */
export function listMissing(
  record: RecordBody,
  around: RecordBody | undefined,
  policies: PolicyChain,
  readings: readonly Reading[],
): string[] {
  const masked = maskedIn(record)
  const missing = new Set<string>()
  if (masked === 'elsewhere') missing.add('what is masked in its URL')
  const lookedAt = listLookedAt(policies)
  if (!lookedAt.atCalls) return [...missing]
  const headers = recordedHeaders(record.http === undefined ? (around ?? record) : record)
  for (const { content, trace } of readings)
    for (const step of trace) {
      const name = nameOfRule(step.rule)
      const looks = lookedAt.rules.get(name)
      if (looks === undefined) continue
      const isKnown = (key: string): boolean => headers.has(key)
      if (step.failedAt === 'headers' && !looks.headers.every(isKnown))
        missing.add(`the headers that ${name} looks at`)
      if (looks.query && masked === 'query' && !BEFORE_QUERY.has(step.failedAt ?? ''))
        missing.add('what is masked in its URL')
      if (looks.condition === undefined || step.clauses === undefined) continue
      const { condition } = looks
      if (condition.headers === 'any' || !condition.headers.every(isKnown))
        missing.add(`the headers that ${name} looks at`)
      if (condition.query && masked === 'query') missing.add('what is masked in its URL')
      for (const what of lackingFor(condition, content))
        missing.add(`${what} that ${name} looks at`)
      if (condition.declared && !isDeclared(record, policies, step.ancestor ?? 0))
        missing.add('what its task declared')
    }
  return [...missing]
}

function lackingFor(condition: ConditionLooksAt, content: Content | undefined): string[] {
  const isTool = content?.mcp?.list === 'tools'
  return [
    ...(condition.body ? ['the body'] : []),
    ...(condition.arguments && isTool && content?.mcp?.arguments === undefined
      ? ['the arguments']
      : []),
  ]
}

// A record has the digest of what its task declared, and those of the tasks above it as they were when it was made.
function isDeclared(
  { sallyport: { task } }: RecordBody,
  policies: PolicyChain,
  ancestor: number,
): boolean {
  const facts = policies[ancestor]?.task
  const recorded = ancestor === 0 ? task?.intent : task?.delegation?.at(-ancestor)?.intent
  return facts !== undefined && recorded !== undefined && digestOfFacts(facts) === recorded
}
