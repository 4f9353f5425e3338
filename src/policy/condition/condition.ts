// `when:` of a rule: a condition in CEL over the task, the call, the destination and the time. Read once, with everything that is
// wrong with it; judged in every reading of the call; explained clause by clause. Deliberately knows no verdicts: what true,
// false and error mean for a rule says `match.ts`. Pure; called by `grammar.ts`, `match.ts` and `explain.ts`.

import { INSPECTORS, type Inspector } from '../subject.ts'
import { READINGS_MAX, STEPS_MAX, TEXT_MAX } from './bounds.ts'
import type { Clause } from './clause.ts'
import type { CompiledClause } from './clauses.ts'
import { Compiler } from './compile.ts'
import type { ConditionFault } from './compiling.ts'
import { ConditionFacts } from './condition-facts.ts'
import type { Reads } from './environment.ts'
import { parseCel } from './language.ts'
import { faultOf } from './operators.ts'
import { Run, type DestinationFacts, type Evaluate, type Reading } from './run.ts'
import { Fault } from './values.ts'

export { ConditionFacts }
export type { Clause, ConditionFault, DestinationFacts }

/** A condition that is well-formed. */
export interface Condition {
  /** As it is written. */
  readonly text: string
  /** Recognisers whose content it reads. */
  readonly needs: readonly Inspector[]
  /** Whether time alone can change what it comes to. */
  readonly readsNow: boolean
  /** Whether it reads of a call what nobody sees of an opaque tunnel. */
  readonly readsCall: boolean
  /** How it is evaluated: for this room alone. */
  readonly inside: CompiledCondition
}

/** A condition, compiled. */
interface CompiledCondition {
  readonly evaluate: Evaluate
  readonly clauses: readonly CompiledClause[]
  readonly reads: ReadonlySet<Reads>
  /** Steps of one evaluation without its comprehensions. */
  readonly steps: number
}

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
      needs: INSPECTORS.filter((kind) => kind !== 'model' && reads.has(kind)),
      readsNow: reads.has('now'),
      readsCall: [...reads].some((each) => each !== 'now'),
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
): readonly Clause[] {
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
  const start = (reading: Reading): Run =>
    new Run(facts, destination, { reading, steps: STEPS_MAX })
  const plain = plainReading(inside.reads, facts)
  if (plain) {
    const value = evaluate(start(plain))
    return typeof value === 'boolean' ? value : faultOf(value)
  }
  const readings = listReadings(inside.reads, facts)
  if (readings.length > READINGS_MAX) return TOO_MANY
  return judgeEach(inside, evaluate, start(readings[0]!), readings)
}

// The one way in which the call can be read, as far as the condition looks at it; undefined where there are several.
function plainReading(reads: ReadonlySet<Reads>, facts: ConditionFacts): Reading | undefined {
  const { question } = facts
  if (question === undefined) return OF_TUNNEL
  const { method, path } = question
  if (reads.has('path') && path.readings.length > 1) return undefined
  if (reads.has('query') && facts.queries.length > 1) return undefined
  if (reads.has('method') && hasLowerCase(method)) return undefined
  const query = reads.has('query') ? facts.queries[0] : undefined
  return { method, segments: path.readings[0], query }
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
  const { method = '', path } = facts.question ?? {}
  const methods =
    reads.has('method') && hasLowerCase(method) ? [method, method.toUpperCase()] : [method]
  const all = path?.readings ?? []
  const paths = reads.has('path') ? all : all.slice(0, 1)
  const queries = reads.has('query') ? facts.queries : [undefined]
  return methods.flatMap((asMethod) =>
    paths.flatMap((segments) => queries.map((query) => ({ method: asMethod, segments, query }))),
  )
}

// Of a tunnel whose inside nobody sees: host and port are all there is.
const OF_TUNNEL: Reading = { method: undefined, segments: undefined, query: undefined }
