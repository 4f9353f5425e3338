// Proves that what rules see inside a call is read back from its record as it was, or said not to be there.

import t from 'tap'

import { describeGit } from '../../../src/inspect/git/fields.ts'
import type { InspectedFields } from '../../../src/inspect/fields.ts'
import { decideAgain } from '../../../src/record/again/decide.ts'
import { gitSubject, graphqlSubject, modelSubject } from '../../../src/record/again/subjects.ts'
import { insideMessage } from '../../../src/record/again/inputs.ts'
import { callRecord } from '../../../src/record/ecs.ts'
import { messageRecord } from '../../../src/record/message-record.ts'
import { compilePolicy, type Policy } from '../../../src/policy/compile.ts'
import { parseRuleSet } from '../../../src/policy/parse.ts'
import type { GitSubject } from '../../../src/policy/subject.ts'
import { facts, messageCall, messageOf } from './support.ts'

void t.test('a request of git comes back, of a long push nothing', (t) => {
  const push: GitSubject = {
    repo: 'acme/widgets',
    service: 'receive-pack',
    commands: [
      { ref: 'refs/heads/a', change: 'create' },
      { ref: 'refs/heads/b', change: 'update', update: 'fast-forward' },
      { ref: 'refs/heads/c', change: 'update', update: 'unproven' },
      { ref: 'refs/heads/d', change: 'delete' },
    ],
  }
  t.strictSame(gitSubject(describeGit(push).content!.git!), { git: push })
  t.strictSame(gitSubject(describeGit(push, ['merge']).content!.git!), {
    fault: 'operation-not-allowed',
  })
  const many = Array.from({ length: 51 }, () => push.commands[0]!)
  t.equal(gitSubject(describeGit({ ...push, commands: many }).content!.git!), 'cut')
  const long = { ref: 'r'.repeat(300), change: 'create' } as const
  t.equal(gitSubject(describeGit({ ...push, commands: [long] }).content!.git!), 'cut')
  t.equal(gitSubject({ repo: 'a', service: 'other', commands: [] }), 'cut')
  t.end()
})

void t.test('one operation of GraphQL comes back, several do not', (t) => {
  t.strictSame(graphqlSubject({ operations: ['query Q'], fields: ['__schema', 'a', 'a.b'] }), {
    operations: [{ type: 'query', fields: [['__schema'], ['a'], ['a', 'b']], introspection: true }],
  })
  t.equal(graphqlSubject({ operations: ['query', 'mutation'], fields: [] }), 'mixed')
  const fields = Array.from({ length: 64 }, (_, number) => `f${number}`)
  t.equal(graphqlSubject({ operations: ['query'], fields }), 'mixed')
  t.equal(graphqlSubject({ operations: ['query'], fields: ['f'.repeat(256)] }), 'mixed')
  t.strictSame(graphqlSubject({ operations: [], fields: [] }), { operations: [] })
  t.end()
})

void t.test('a question to a model comes back with what rules look at', (t) => {
  const inspected: InspectedFields = {
    gen_ai: { operation: { name: 'chat' }, request: { model: 'small', max_tokens: 9 } },
    content: { server_tools: ['web_search'] },
  }
  t.match(modelSubject(callRecord(facts({ inspected }), 'call-ended', 0)), {
    operation: 'chat',
    model: 'small',
    hasOutput: true,
    maxTokens: 9,
    serverTools: ['web_search'],
  })
  t.equal(modelSubject(callRecord(facts(), 'call-ended', 0)), undefined)
  t.end()
})

void t.test('a message names what its method is about', (t) => {
  const inside = (fields: InspectedFields, more = {}): unknown =>
    insideMessage(messageRecord(messageCall('C'), messageOf({ fields, ...more }), 0))
  const method = (name: string): InspectedFields => ({ mcp: { method: { name } } })
  t.strictSame(
    inside({
      ...method('tools/call'),
      gen_ai: { operation: { name: 'execute_tool' }, tool: { name: 'list' } },
    }),
    { contents: [{ mcp: { kind: 'item', method: 'tools/call', list: 'tools', name: 'list' } }] },
  )
  t.strictSame(
    inside({ mcp: { method: { name: 'resources/read' }, resource: { uri: 'file:///a' } } }),
    {
      contents: [
        { mcp: { kind: 'item', method: 'resources/read', list: 'resources', name: 'file:///a' } },
      ],
    },
  )
  t.match(inside(method('tools/list')), { contents: [{ mcp: { kind: 'session' } }] })
  t.match(inside(method('what/ever')), { contents: [{ mcp: { kind: 'other' } }] })
  t.match(inside(method('completion/complete')), { contents: [], missing: /completion/ })
  t.match(inside(method('tools/call')), { contents: [], missing: /tools\/call/ })
  const answer = { kind: 'response', direction: 'to-client' } as const
  t.match(inside(method('tools/call'), answer), { contents: [{ mcp: { kind: 'session' } }] })
  t.match(inside({}, answer), { contents: [{}, {}], missing: /asked for it/ })
  t.end()
})

function policyOf(rule: string): Policy {
  const { ruleSet } = parseRuleSet(`ruleset: s\nrules:\n  - ${rule}\n`, 's.yaml')
  const sets = [ruleSet!]
  return compilePolicy({ sets, always: [], params: {}, task: { environment: 'test' } }).policy!
}

void t.test('what the record masks is not guessed', (t) => {
  const endpoint = { host: 'api.github.com', kind: 'name', port: 443, literal: '' } as const
  const again = (query: string, keys = '', method = 'GET'): unknown =>
    decideAgain(
      {
        record: callRecord(
          facts({
            target: { scheme: 'https', endpoint, path: '/', query },
            request: { method, version: '1.1', bytes: 0 },
          }),
          'call-ended',
          0,
        ),
        messages: [],
        around: undefined,
      },
      [policyOf(`{ id: r, allow: 'https://api.github.com', methods: [GET]${keys} }`)],
    )
  t.match(again('a=b'), { outcome: { verdict: 'allow', rule: { name: 's/r' } }, missing: [] })
  t.match(again('token=[secret:value]'), { outcome: { verdict: 'allow' } }, 'no rule looks at it')
  t.match(again('token=[secret:value]', ', query: { q: a }'), {
    outcome: undefined,
    missing: ['what is masked in its URL'],
  })
  t.match(again('token=[secret:value]', ', query: { q: a }', 'POST'), {
    outcome: { verdict: 'deny', reason: 'method-not-allowed' },
  })
  t.end()
})
