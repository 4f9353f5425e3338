// Rule files as texts, calls as people write them, verdicts as one line: what the tests of this room speak.

import { compilePolicy, type Policy } from '../../../src/policy/compile.ts'
import { decide, decideConnect } from '../../../src/policy/decide.ts'
import type { ConnectDecision, Decision } from '../../../src/policy/decision.ts'
import { parseRuleSet } from '../../../src/policy/parse.ts'
import type { Moment, TaskFacts } from '../../../src/policy/facts.ts'
import type { RuleSet } from '../../../src/policy/rule-set.ts'
import type { Content, McpList } from '../../../src/policy/subject.ts'
import { askAbout } from '../../../src/policy/written-call.ts'
import { EgressError } from '../../../src/errors.ts'

/** When and after what calls of tests are decided that say nothing else. */
export const MOMENT: Moment = { now: Date.UTC(2026, 0, 7, 12), read: 'public' }

/** A rule set from the YAML of its rules, or of the whole file where it names itself. */
export function ruleSet(yaml: string, name = 'test'): RuleSet {
  const text = /^ruleset:/m.test(yaml) ? yaml : `ruleset: ${name}\nrules:\n${indent(yaml)}`
  const { ruleSet: set, problems } = parseRuleSet(text, `${name}.yaml`)
  if (!set) throw new Error(JSON.stringify(problems, undefined, 1))
  return set
}

function indent(yaml: string): string {
  return yaml
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n')
}

/** A policy of sets given as for `ruleSet`. */
export function policyOf(
  yaml: string | readonly string[],
  options: {
    params?: Record<string, string>
    always?: readonly string[]
    environment?: string
    task?: TaskFacts
  } = {},
): Policy {
  const sets = [yaml].flat().map((each, at) => ruleSet(each, `set${at}`))
  const always = (options.always ?? []).map((each, at) => ruleSet(each, `always${at}`))
  const { params = {}, environment, task } = options
  const { policy, problems } = compilePolicy({
    sets,
    always,
    params,
    task: { ...task, ...(environment !== undefined && { environment }) },
  })
  if (!policy) throw new Error(JSON.stringify(problems, undefined, 1))
  return policy
}

/** The decision on `METHOD URL`. */
export function decisionOn(
  policy: Policy,
  call: string,
  headers: string[] = [],
  content?: Content,
): Decision {
  const [method = '', target = ''] = call.split(' ')
  const asked = { ...askAbout(method, target, headers), ...(content && { content }) }
  return 'connect' in asked
    ? decideConnect(policy, asked.connect, MOMENT)
    : decide(policy, asked, MOMENT)
}

/** The decision on a CONNECT to `HOST:PORT`. */
export function connectTo(policy: Policy, authority: string): ConnectDecision {
  const asked = askAbout('CONNECT', authority, [])
  if (!('connect' in asked)) throw new Error('no CONNECT')
  return decideConnect(policy, asked.connect, MOMENT)
}

/** `allow ID` or `deny REASON`; the reason also where the target itself is refused. */
export function verdictOn(policy: Policy, call: string, headers: string[] = []): string {
  try {
    const { verdict, reason, rule } = decisionOn(policy, call, headers)
    return verdict === 'deny' ? `deny ${reason}` : `${verdict} ${rule?.id}`
  } catch (error) {
    if (error instanceof EgressError) return `deny ${error.reason}`
    throw error
  }
}

/** The verdict on a call to `https://a.test` of which this was read. */
export function verdictInside(
  policy: Policy,
  content: Content,
  call = 'POST https://a.test/',
): string {
  const { verdict, reason, rule } = decisionOn(policy, call, [], content)
  return verdict === 'deny' ? `deny ${reason}` : `${verdict} ${rule?.id}`
}

/** What names an item of an MCP server: `tools NAME`, `resources URI`, `prompts NAME`. */
export function item(written: `${McpList} ${string}`): Content {
  const at = written.indexOf(' ')
  const list = (['tools', 'resources', 'prompts'] as const).find((each) => written.startsWith(each))
  if (list === undefined) throw new Error('no list')
  return { mcp: { kind: 'item', method: `${list}/get`, list, name: written.slice(at + 1) } }
}

/** Whether a call is allowed. */
export function isAllowed(policy: Policy, call: string, headers: string[] = []): boolean {
  return verdictOn(policy, call, headers).startsWith('allow')
}
