// Conditions judged for calls that a test describes by what it changes.

import type { Test } from 'tap'

import type { Question } from '../../../../src/policy/decision.ts'
import {
  ConditionFacts,
  explainCondition,
  judgeCondition,
  readCondition,
  type Clause,
  type Condition,
  type ConditionFault,
  type DestinationFacts,
} from '../../../../src/policy/condition/condition.ts'
import type { TaskFacts } from '../../../../src/policy/facts.ts'
import type { Content } from '../../../../src/policy/subject.ts'
import { normalizeHost } from '../../../../src/wire/authority.ts'
import { readPath } from '../../../../src/wire/path.ts'

/** A call, by what is not as usual. */
export interface Call {
  readonly task?: TaskFacts
  readonly host?: string
  readonly port?: number
  readonly method?: string
  readonly path?: string
  readonly query?: string
  readonly headers?: readonly string[]
  readonly content?: Content
  readonly destination?: DestinationFacts
  readonly now?: string
}

/** Reads a condition that is well-formed. */
export function condition(text: string): Condition {
  const read = readCondition(text)
  if ('faults' in read) throw new Error(`${text}: ${JSON.stringify(read.faults)}`)
  return read.condition
}

/** Reads a condition that is not. */
export function faults(text: string): readonly ConditionFault[] {
  const read = readCondition(text)
  if ('condition' in read) throw new Error(`${text} is well-formed`)
  return read.faults
}

/** What a condition comes to. */
export function judge(text: string, call: Call = {}): boolean | 'error' {
  return judgeCondition(condition(text), factsOf(call), call.destination ?? {})
}

/** What its clauses come to. */
export function explain(text: string, call: Call = {}): readonly Clause[] {
  return explainCondition(condition(text), factsOf(call), call.destination ?? {})
}

/** The facts of a call. */
export function factsOf(call: Call = {}): ConditionFacts {
  const { task = {}, now = '2026-07-01T10:00:00Z' } = call
  return new ConditionFacts(task, questionOf(call), Date.parse(now))
}

function questionOf(call: Call): Question {
  const { host = 'api.test', port = 443, method = 'GET', path = '/', query, headers = [] } = call
  return {
    endpoint: { ...normalizeHost(host), port },
    scheme: 'https',
    upgrade: false,
    method,
    path: readPath(path),
    query,
    headers,
    ...(call.content && { content: call.content }),
  }
}

/** A call of a tool with arguments. */
export function toolCall(args: unknown, name = 'pay'): Call {
  return {
    content: { mcp: { kind: 'item', method: 'tools/call', list: 'tools', name, arguments: args } },
  }
}

/** Holds conditions to what they come to, for one call. */
export function holds(
  test: Test,
  call: Call,
  expected: Readonly<Record<string, boolean | 'error'>>,
): void {
  for (const [text, value] of Object.entries(expected)) test.equal(judge(text, call), value, text)
}
