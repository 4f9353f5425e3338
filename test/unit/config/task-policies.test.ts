// The rules of many tasks: what is shown of each is worked out once for the rules that are in force.

import t from 'tap'

import type { LoadedRules } from '../../../src/config/rules.ts'
import { TaskPolicies } from '../../../src/config/task-policies.ts'
import { BUILT_IN_PROFILES } from '../../../src/policy/profiles.ts'
import { parseRuleSet } from '../../../src/policy/parse.ts'
import { makeTask } from '../../../src/tasks/make-task.ts'
import { definition } from '../../fixtures/task-desk.ts'

function rulesWith(credential: string): LoadedRules {
  const text = `ruleset: wide\nrules:\n  - { id: a, allow: 'https://a.test', credential: ${credential} }\n`
  const { ruleSet } = parseRuleSet(text, 'wide.yaml')
  return {
    sets: new Map([['wide', ruleSet!]]),
    texts: new Map(),
    policy: undefined,
    problems: [],
    digest: credential,
  }
}

void t.test('the names of credentials are worked out once for the rules in force', (t) => {
  let inForce = rulesWith('first')
  const policies = new TaskPolicies({
    rules: () => inForce,
    always: [],
    findPinned: () => undefined,
    around: {
      profiles: BUILT_IN_PROFILES,
      sinks: [],
      journal: { sync: 'process' },
      staticCredentials: new Set(),
    },
    above: () => [],
  })
  const task = makeTask(definition(), 0, undefined)
  const names = policies.credentialsOf(task)
  t.strictSame(names, ['first'])
  t.equal(policies.credentialsOf(task), names, 'the same list')
  inForce = rulesWith('second')
  t.strictSame(policies.credentialsOf(task), ['second'])
  t.end()
})
