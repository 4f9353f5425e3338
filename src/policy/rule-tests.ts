// The tests of a rule file, run by the code that decides live traffic. Deliberately no lint: that is `check.ts`. Pure; called by
// the `check` and `test` verbs, and by `config/` before a changed file counts.

import { EgressError } from '../errors.ts'
import { compilePolicy, type Policy } from './compile.ts'
import { decide, decideConnect } from './decide.ts'
import type { Decision, Question, TraceStep } from './decision.ts'
import { explain } from './explain.ts'
import type { Moment } from './facts.ts'
import type { RuleSet, RuleTest } from './rule-set.ts'
import type { Content, Inspector } from './subject.ts'
import { askAbout, CALL_PATTERN, type Asked } from './written-call.ts'

const TEST_TIME = Date.UTC(2025, 0, 1)

/** How one test of a rule file ended. */
export interface TestResult {
  /** The call as it is written. */
  readonly name: string
  readonly passed: boolean
  readonly expected: string
  readonly got: string
  readonly file: string
  readonly line: number
  readonly column: number
}

/** The same, with what every rule of the set made of the call. */
export interface TracedTest extends TestResult {
  /** The rule that the answer names, and its verdict; undefined where none decided. */
  readonly decided: { readonly rule: string; readonly verdict: Decision['verdict'] } | undefined
  /** In the order of the file; empty where the call was refused before any rule was asked. */
  readonly trace: readonly TraceStep[]
}

type Compiled = ReturnType<typeof compilePolicy>

/** What came of one test; without a question where the call was refused before any rule was asked. */
interface Ran {
  readonly got: string
  readonly asked?: Asked
  readonly decision?: Decision
}

/**
 * Reads the body of a test's call as a live one is read.
 * @throws EgressError the reason for which the call is refused whatever the rules say
 */
export type ReadBody = (
  question: Question,
  bytes: Uint8Array,
  inspectors: readonly Inspector[],
) => Content

/**
 * Runs the tests of a rule set through `decide`.
 * @param readBody asked where rules look into a call whose test has a body: the recognisers are not this room's
 */
export function checkTests(set: RuleSet, readBody: ReadBody): TestResult[] {
  return runTests(set, readBody, (result) => result)
}

/** Runs the tests of a rule set, and says of each what every rule made of it. */
export function traceTests(set: RuleSet, readBody: ReadBody): TracedTest[] {
  return runTests(set, readBody, (result, { decision, asked }, policy, moment) => {
    const trace = policy && asked ? explain(policy, asked, moment).trace : []
    const rule = decision?.rule?.id
    const decided = decision && rule !== undefined ? { rule, verdict: decision.verdict } : undefined
    return { ...result, decided, trace }
  })
}

function runTests<Result>(
  set: RuleSet,
  readBody: ReadBody,
  makeResult: (result: TestResult, ran: Ran, policy: Policy | undefined, moment: Moment) => Result,
): Result[] {
  const now = timeOf(set)
  const policies = new Map<string, Compiled>()
  const policyFor = ({ params, task }: RuleTest): Compiled => {
    const key = JSON.stringify([params, task])
    const known = policies.get(key) ?? compilePolicy({ sets: [set], always: [], params, task })
    policies.set(key, known)
    return known
  }
  return set.tests.map((test) => {
    const { expect } = test
    const expected = `${expect.verdict} ${expect.verdict === 'deny' ? expect.reason : expect.rule}`
    const moment = { now: test.at ?? now, read: test.read }
    const compiled = policyFor(test)
    const ran = runTest(compiled, test, moment, readBody)
    const { line, column } = test.place
    const result = {
      name: test.call,
      passed: ran.got === expected,
      expected,
      got: ran.got,
      file: set.file,
      line,
      column,
    }
    return makeResult(result, ran, compiled.policy, moment)
  })
}

// Whether a file is sound must not hang on when it is read: what says no time is asked before anything in it is over.
function timeOf({ rules }: RuleSet): number {
  return Math.min(TEST_TIME, ...rules.map(({ expiresAt = Infinity }) => expiresAt - 1))
}

function runTest(
  { policy, problems }: Compiled,
  test: RuleTest,
  moment: Moment,
  readBody: ReadBody,
): Ran {
  if (!policy) return { got: `error ${problems.map(({ message }) => message).join('; ')}` }
  const [, method = '', target = ''] = CALL_PATTERN.exec(test.call) ?? []
  try {
    const asked = askAbout(method, target, flatten(test.headers))
    if ('connect' in asked) return summarize(asked, decideConnect(policy, asked.connect, moment))
    const judge = (question: Question): Ran => summarize(question, decide(policy, question, moment))
    if (test.item) return judge({ ...asked, content: { mcp: test.item } })
    const decision = decide(policy, asked, moment)
    const { inspectors } = decision
    if (test.body === undefined || !inspectors) return summarize(asked, decision)
    const content = readBody(asked, new TextEncoder().encode(test.body), inspectors)
    return judge({ ...asked, content })
  } catch (error) {
    if (error instanceof EgressError) return { got: `deny ${error.reason}` }
    throw error
  }
}

function flatten(headers: RuleTest['headers']): string[] {
  return Object.entries(headers).flatMap(([name, values]) =>
    [values].flat().flatMap((value) => [name, value]),
  )
}

function summarize(asked: Asked, decision: Decision): Ran {
  const { verdict, reason, rule } = decision
  const got = verdict === 'deny' ? `deny ${reason}` : `${verdict} ${rule?.id ?? ''}`
  return { got, asked, decision }
}
