// What the rules in force look at that not every reader of a call has, rule by rule: header fields, the query, and what conditions
// name. Deliberately no judgement, and rather too much than too little. Pure; called by `record/again/`, where a record stands
// for the call.

import type { BoundRule } from './bound-rule.ts'
import type { PolicyChain } from './conjunction.ts'
import type { RuleRef } from './decision.ts'

/** What one rule looks at. */
interface LooksAt {
  /** Names of header fields in lower case. */
  readonly headers: readonly string[]
  readonly query: boolean
  /** Of its condition; undefined where it has none. */
  readonly condition: ConditionLooksAt | undefined
  /** Whether time alone changes what it says. */
  readonly time: boolean
}

/** What a condition looks at. */
export interface ConditionLooksAt {
  /** `any` where they are not all named in it. */
  readonly headers: readonly string[] | 'any'
  readonly query: boolean
  readonly body: boolean
  /** Of a tool call. */
  readonly arguments: boolean
  /** What the task declares: intent, labels, capabilities. */
  readonly declared: boolean
}

/** What the rules of a chain look at. */
export interface LookedAt {
  /** By `nameOfRule`; rules that look at nothing of the kind are left out. */
  readonly rules: ReadonlyMap<string, LooksAt>
  /** Whether any looks at more than time. */
  readonly atCalls: boolean
  readonly atTime: boolean
}

// A chain is made once a task and lives as long.
const known = new WeakMap<PolicyChain, LookedAt>()

/** What the rules of a chain look at. */
export function listLookedAt(policies: PolicyChain): LookedAt {
  let found = known.get(policies)
  if (found === undefined) {
    const looking = policies
      .flatMap(({ inside }) => inside.rules)
      .map((rule): [string, LooksAt] => [nameOfRule(rule.ref), looksOf(rule)])
      .filter(([, looks]) => looks.time || looksAtCalls(looks))
    found = {
      rules: new Map(looking),
      atCalls: looking.some(([, looks]) => looksAtCalls(looks)),
      atTime: looking.some(([, { time }]) => time),
    }
    known.set(policies, found)
  }
  return found
}

/** How a rule is named among all: `RULESET/ID`. */
export function nameOfRule({ ruleset, id }: RuleRef): string {
  return `${ruleset}/${id}`
}

function looksAtCalls({ headers, query, condition }: LooksAt): boolean {
  return headers.length > 0 || query || condition !== undefined
}

function looksOf({ headers = [], query, when, between, expiresAt }: BoundRule): LooksAt {
  return {
    headers: headers.map(({ key }) => key),
    query: query !== undefined,
    condition: when && {
      headers: headersNamedIn(when.text),
      query: /\bquery(?:All)?\b/.test(when.text),
      body: /\bbody\b/.test(when.text),
      arguments: /\barguments\b/.test(when.text),
      declared: /\b(?:intent|labels|capabilities)\b/.test(when.text),
    },
    time: between !== undefined || expiresAt !== undefined || when?.readsNow === true,
  }
}

const NAMED_HEADER =
  /\bheaders(?:All)?\s*\[\s*(?:"([^"\\]*)"|'([^'\\]*)')\s*\]|(?:"([^"\\]*)"|'([^'\\]*)')\s+in\s+call\s*\.\s*headers(?:All)?\b|\bheaders(?:All)?\s*\.\s*(\w+)(?!\w|\s*\()/g

function headersNamedIn(text: string): readonly string[] | 'any' {
  const names: string[] = []
  const rest = text.replaceAll(NAMED_HEADER, (_all, ...found: unknown[]) => {
    const name = found.slice(0, 5).find((each) => typeof each === 'string')
    if (typeof name === 'string') names.push(name.toLowerCase())
    return ''
  })
  return /\bheaders/.test(rest) ? 'any' : [...new Set(names)]
}
