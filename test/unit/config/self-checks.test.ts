// The checks that no file and no socket breaks from outside: each is given a part that is broken, fails, and passes with one that
// is whole.

import t from 'tap'

import {
  findAllowedByDefault,
  findOpenAddress,
  findTrustedStranger,
  makeClockCheck,
} from '../../../src/config/self-checks.ts'
import { Identifier, type KnownTasks } from '../../../src/identify/identify.ts'
import type { Policy } from '../../../src/policy/compile.ts'
import type { Task, TaskStanding } from '../../../src/tasks/task.ts'
import { makeDialer } from '../net/support.ts'
import { policyOf } from '../policy/ask.ts'
import { TASK } from '../record/support.ts'

const proxy = { address: () => ({ address: '127.0.0.1', family: 'IPv4', port: 3128 }) }

function roomOf(policy: Policy | undefined, own?: Task) {
  return {
    own: own && { id: own.id, state: 'active' as const },
    registry: { entries: { live: [{ task: TASK }] } },
    policies: { chainOf: () => policy && ([policy] as const) },
  }
}

void t.test(
  'R78: deny-by-default fails where a call is let out that no rule in force covers',
  (t) => {
    const look = (policy: Policy | undefined) => findAllowedByDefault({ room: roomOf(policy) })
    const narrow = policyOf(`- { id: a, allow: 'https://a.test' }`)
    const open = policyOf(`- { id: b, allow: 'http://*:1' }`)
    t.equal(look(undefined), undefined, 'nothing leaves without rules')
    t.equal(look(narrow), undefined)
    t.equal(look(open), undefined, 'a rule that says so is a rule')
    t.equal(look(policyOf(`- { id: b, allow: 'http://*.invalid:1' }`)), undefined)
    // What is asked does not belong to what is in force.
    const broken = { ...narrow, inside: { ...narrow.inside, index: open.inside.index } }
    t.match(look(broken), /no rule allows/)
    const renamed = policyOf(`- { id: b, allow: 'https://a.test' }`)
    t.match(
      look({ ...renamed, inside: { ...renamed.inside, index: open.inside.index } }),
      /no rule allows/,
      'one of that name covers something else',
    )
    t.end()
  },
)

function identifierOf(more: Partial<KnownTasks>): Identifier {
  const tasks: KnownTasks = {
    own: undefined,
    byToken: () => undefined,
    bySubject: () => undefined,
    weakest: (standing) => standing,
    ...more,
  }
  const policy = policyOf(`- { id: a, allow: 'https://a.test' }`)
  return new Identifier({
    tasks,
    jwt: undefined,
    policiesFor: () => [policy],
    momentOf: () => ({ now: 0, read: 'public' }),
    checkSwitches: () => undefined,
    onStranger: () => undefined,
  })
}

void t.test('R78: unknown-client fails where a made-up credential is that of a task', (t) => {
  const look = (more: Partial<KnownTasks>, own?: Task) =>
    findTrustedStranger({ identifier: identifierOf(more), room: roomOf(undefined, own), proxy })
  const standing = (task: Task): TaskStanding => ({ task, state: 'active' })
  t.equal(look({}), undefined)
  t.match(look({ byToken: () => standing(TASK) }), /is a task/)
  const bound = { ...TASK, sources: ['10.0.0.0/8'] }
  t.match(
    look({ byToken: () => standing(bound) }),
    /known as that of a task/,
    'refused, but for its place',
  )
  t.match(look({ byToken: () => ({ task: TASK, state: 'ended' }) }), /known as that of a task/)
  t.equal(
    look({ own: standing(TASK) }, TASK),
    undefined,
    'whoever reaches the listener is its task',
  )
  t.match(look({ own: standing(TASK) }), /is a task/, 'it is no longer')
  const deaf = { address: () => null }
  const identifier = identifierOf({})
  t.match(findTrustedStranger({ identifier, room: roomOf(undefined), proxy: deaf }), /not listen/)
  t.end()
})

void t.test(
  'R78: metadata-addresses fails where one of them, or the proxy, would be dialed',
  (t) => {
    const own = [{ host: '127.0.0.1', port: 3128 }]
    const look = (options: Parameters<typeof makeDialer>[0]) =>
      findOpenAddress({ dialer: makeDialer(options), proxy })
    t.equal(look({ own }), undefined)
    t.equal(look({ own, allow: ['0.0.0.0/0', '::/0'] }), undefined, 'no range opens one')
    t.match(look({ own: [] }), /dialed by itself/)
    t.match(look({ own: [{ host: '127.0.0.1', port: 3129 }] }), /dialed by itself/)
    t.equal(look({ own: [], allow: [] }), undefined, 'loopback is not dialed anyway')
    for (const open of ['169.254.169.254', 'fd00:ec2::254', '100.100.100.200']) {
      const dialer = { wouldDial: (address: string) => address === open }
      t.match(findOpenAddress({ dialer, proxy }), /cloud metadata/, open)
    }
    t.end()
  },
)

void t.test(
  'R78: clock fails where the time of day goes back, at once or little by little',
  (t) => {
    let offset = 1_700_000_000_000
    let elapsed = 0
    const look = makeClockCheck({ now: () => offset + elapsed, elapsed: () => elapsed })
    const step = (ms: number): unknown => {
      elapsed += 300_000
      offset += ms
      return look()
    }
    t.equal(step(0), undefined)
    t.equal(step(3_600_000), undefined, 'forward is harmless')
    t.equal(step(-1999), undefined)
    t.match(step(-2), /went back/, 'little by little')
    t.equal(step(0), undefined, 'told once')
    t.match(step(-2001), /went back/)
    t.equal(step(2001), undefined)
    t.end()
  },
)
