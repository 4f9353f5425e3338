// `when:` of a rule: a condition in CEL over the task, the call, the destination and the time. Read once, with everything that is
// wrong with it; judged in every reading of the call; explained clause by clause. Deliberately knows no verdicts: what true,
// false and error mean for a rule says `match.ts`. Pure; called by `grammar.ts`, `match.ts` and `explain.ts`.

import { READINGS_MAX, STEPS_MAX, TEXT_MAX } from './bounds.ts'
import type { Clause } from './clauses.ts'
import { Compiler } from './compile.ts'
import type { ConditionFault } from './compiling.ts'
import { ConditionFacts } from './condition-facts.ts'
import type { Reads } from './environment.ts'
import { parseCel } from './language.ts'
import { faultOf } from './operators.ts'
import { Run, type DestinationFacts, type Evaluate, type Reading } from './run.ts'
import { Fault } from './values.ts'

export { ConditionFacts }
export type { ConditionFault, DestinationFacts }

/** What of the bytes of a call a condition reads. */
type ConditionNeed = 'mcp' | 'graphql' | 'git' | 'body'

/** A condition that is well-formed. */
export interface Condition {
  /** As it is written. */
  readonly text: string
  /** Recognisers whose content it reads. */
  readonly needs: readonly ConditionNeed[]
  /** Whether time alone can change what it comes to. */
  readonly readsNow: boolean
  /** How it is evaluated: for this room alone. */
  readonly inside: CompiledCondition
}

/** A condition, compiled. */
interface CompiledCondition {
  readonly evaluate: Evaluate
  readonly clauses: readonly Clause[]
  readonly reads: ReadonlySet<Reads>
  /** Steps of one evaluation without its comprehensions. */
  readonly steps: number
}

/** A clause and what it comes to. */
export interface ClauseValue {
  readonly clause: string
  /** `true`, `false`, or `error: …`. */
  readonly value: string
}

const NEEDS: readonly ConditionNeed[] = ['mcp', 'graphql', 'git', 'body']
const SEVERAL = new Fault('the readings of the call differ')
const TOO_MANY = new Fault(`the call can be read in more than ${READINGS_MAX} ways`)

/** Reads a condition: parsed, its names and functions known, its type bool. Never throws. */
export function readCondition(
  text: string,
): { readonly condition: Condition } | { readonly faults: readonly ConditionFault[] } {
  const refuse = (...faults: ConditionFault[]): { readonly faults: readonly ConditionFault[] } => ({
    faults,
  })
  if (text.length > TEXT_MAX)
    return refuse({ message: `a condition has at most ${TEXT_MAX} characters`, offset: TEXT_MAX })
  const parsed = parseCel(text)
  if (!('ast' in parsed)) return refuse(parsed)
  const compiler = new Compiler(text)
  const evaluate = compiler.compileClause(parsed.ast)
  if (compiler.faults.length > 0) return refuse(...compiler.faults)
  const type = parsed.checkType()
  if (typeof type !== 'string') return refuse(type)
  if (type !== 'bool')
    return refuse({
      message: 'expected what is true or false',
      hint: type === 'dyn' ? 'compare it: … == true' : `this is of type ${type}`,
      offset: 0,
    })
  const { reads, clauses, nodes } = compiler
  return {
    condition: {
      text,
      needs: NEEDS.filter((need) => reads.has(need)),
      readsNow: reads.has('now'),
      inside: { evaluate, clauses, reads, steps: nodes },
    },
  }
}

/**
 * What a condition comes to for a call. Where upstreams may read method, path or query in several ways, it has to come to the
 * same in all of them: else it is an error. Never throws.
 */
export function judgeCondition(
  condition: Condition,
  facts: ConditionFacts,
  destination: DestinationFacts,
): boolean | 'error' {
  const value = judge(condition, condition.inside.evaluate, facts, destination)
  return value instanceof Fault ? 'error' : value
}

/** What each clause of a condition comes to, a whole before its parts. Never throws. */
export function explainCondition(
  condition: Condition,
  facts: ConditionFacts,
  destination: DestinationFacts,
): readonly ClauseValue[] {
  const { clauses } = condition.inside
  // The condition itself is what the rule failed or matched by; where it is one clause there is nothing else to tell.
  return (clauses.length > 1 ? clauses.slice(1) : clauses).map(({ text, evaluate }) => {
    const value = judge(condition, evaluate, facts, destination)
    return { clause: text, value: value instanceof Fault ? `error: ${value.why}` : String(value) }
  })
}

function judge(
  { inside }: Condition,
  evaluate: Evaluate,
  facts: ConditionFacts,
  destination: DestinationFacts,
): boolean | Fault {
  const { reads } = inside
  const { method, path } = facts.question
  const isPlain =
    (!reads.has('path') || path.readings.length === 1) &&
    (!reads.has('query') || facts.queries.length === 1) &&
    (!reads.has('method') || !hasLowerCase(method))
  if (isPlain) {
    const query = reads.has('query') ? facts.queries[0]! : []
    const reading = { method, segments: path.readings[0]!, query }
    const value = evaluate(new Run(facts, destination, { reading, steps: STEPS_MAX }))
    return typeof value === 'boolean' ? value : faultOf(value)
  }
  const readings = listReadings(reads, facts)
  if (readings.length > READINGS_MAX) return TOO_MANY
  return judgeEach(
    inside,
    evaluate,
    new Run(facts, destination, { reading: readings[0]!, steps: STEPS_MAX }),
    readings,
  )
}

function judgeEach(
  { steps }: CompiledCondition,
  evaluate: Evaluate,
  run: Run,
  readings: readonly Reading[],
): boolean | Fault {
  let outcome: boolean | undefined
  for (const reading of readings) {
    run.reading = reading
    run.spend(steps)
    const value = evaluate(run)
    if (typeof value !== 'boolean') return faultOf(value)
    if (outcome !== undefined && outcome !== value) return SEVERAL
    outcome = value
  }
  return outcome ?? SEVERAL
}

// Some servers take `get` for GET.
function hasLowerCase(method: string): boolean {
  return method !== method.toUpperCase()
}

// Every combination of what the condition looks at; of the rest the plain reading.
function listReadings(reads: ReadonlySet<Reads>, facts: ConditionFacts): readonly Reading[] {
  const { method, path } = facts.question
  const methods =
    reads.has('method') && hasLowerCase(method) ? [method, method.toUpperCase()] : [method]
  const paths = reads.has('path') ? path.readings : path.readings.slice(0, 1)
  const queries = reads.has('query') ? facts.queries : NO_QUERY
  return methods.flatMap((asMethod) =>
    paths.flatMap((segments) => queries.map((query) => ({ method: asMethod, segments, query }))),
  )
}

const NO_QUERY = [[]] as const
