// Proves which class what comes back has where several rules say one, and what of it a task may have.

import t from 'tap'

import { decide } from '../../../src/policy/decide.ts'
import type { Decision } from '../../../src/policy/decision.ts'
import type { McpSubject } from '../../../src/policy/subject.ts'
import type { DataClass, Task } from '../../../src/tasks/task.ts'
import { askAbout } from '../../../src/policy/written-call.ts'
import { MOMENT, policyOf } from './ask.ts'

const RULES = `
- { id: open, allow: 'https://mcp.test', resources: ['open://*'], data: internal, accepts: restricted }
- { id: diary, allow: 'https://mcp.test', resources: ['diary://*'], data: restricted, accepts: confidential }
- { id: both, allow: 'https://mcp.test', resources: ['*://both'], data: confidential, accepts: restricted }
`

function decideOn(
  mcp: McpSubject,
  { ceiling, read = 'public' }: { ceiling?: Task['ceiling']; read?: DataClass } = {},
): Decision {
  const asked = askAbout('POST', 'https://mcp.test/mcp', [])
  if ('connect' in asked) throw new Error('a call is asked about')
  const policy = policyOf(RULES, { task: ceiling === undefined ? {} : { ceiling } })
  return decide(policy, { ...asked, content: { mcp } }, { ...MOMENT, read })
}

const resource = (name: string): McpSubject => ({
  kind: 'item',
  method: 'resources/read',
  list: 'resources',
  name,
})
const SESSION: McpSubject = { kind: 'session', method: 'initialize' }

void t.test('an item is of the highest class of its rules, and accepts the lowest', (t) => {
  t.match(decideOn(resource('open://1')).obligations, { data: 'internal', accepts: 'restricted' })
  t.match(decideOn(resource('diary://both')).obligations, {
    data: 'restricted',
    accepts: 'confidential',
  })
  t.match(decideOn(resource('diary://1'), { ceiling: 'confidential' }), {
    verdict: 'deny',
    reason: 'classification-ceiling',
  })
  t.equal(decideOn(resource('open://1'), { ceiling: 'confidential' }).verdict, 'allow')
  t.end()
})

void t.test('what only keeps a session going is of the lowest class of its server', (t) => {
  t.match(decideOn(SESSION).obligations, { data: 'internal', accepts: 'confidential' })
  t.equal(decideOn(SESSION, { ceiling: 'internal' }).verdict, 'allow')
  t.match(decideOn(SESSION, { ceiling: 'public' }), { reason: 'classification-ceiling' })
  t.match(decideOn(SESSION, { read: 'restricted' }), { reason: 'flow-violation' })
  t.end()
})
