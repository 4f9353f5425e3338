// Whose task a command of `sallyport run` is, and that there is one sidecar a journal.

import { readFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { outcomeOf, runInside, runScenario, startRun } from '../fixtures/run.ts'

runScenario(
  t,
  'a task file says whose task it is; what is wrong with it is told with its place',
  {},
  async (cx, t, who) => {
    cx.file(
      'rules/set.yaml',
      'ruleset: set\nowner: a@example.com\nrules:\n  - { id: r, allow: https://api.test }\n',
    )
    const task = (expires: string): string => `intent: Look around.
owner: { name: payments on-call, team: payments }
agent: { account: triage, instance: triage/1 }
sandbox: { id: box }
rules: [set]
environment: prod
ceiling: internal
expires: ${expires}
`
    cx.file('task.yaml', task('10m'))
    cx.file('section.yaml', `task:\n${task('10m').replaceAll(/^/gm, '  ')}`)
    cx.file('wrong.yaml', task('1000d').replace('intent', 'intend'))
    for (const file of ['task.yaml', 'section.yaml']) {
      const { status, stderr } = await runInside(cx, ['true'], { who, flags: ['--task', file] })
      t.equal(status, 0, stderr)
      t.equal(stderr, '')
    }
    const created = cx.records().find(({ event }) => event.action === 'task-created')
    t.match(created?.sallyport.task, {
      owner: 'payments on-call',
      team: 'payments',
      sandbox: 'box',
    })
    t.notMatch(created?.sallyport.task, { owner_source: 'local' })
    const wrong = await runInside(cx, ['true'], { who, flags: ['--task', 'wrong.yaml'] })
    t.equal(wrong.status, 2)
    t.match(wrong.stderr, /wrong\.yaml:1:1: error: .*intend.*did you mean `intent`/s)
    const absent = await runInside(cx, ['true'], { who, flags: ['--task', 'absent.yaml'] })
    t.equal(absent.status, 2)
    t.match(absent.stderr, 'absent.yaml')
    const both = await runInside(cx, ['true'], {
      who,
      flags: ['--task', 'task.yaml', '--rules', 'set'],
    })
    t.equal(both.status, 2)
    const unknown = await runInside(cx, ['true'], { who, flags: ['--rules', 'sit'] })
    t.equal(unknown.status, 2)
    t.match(unknown.stderr, /there is no rule set `sit`.*did you mean `set`/s)
  },
)

runScenario(
  t,
  "the configuration's own task is the one, where nobody names another, and a second run begins it anew",
  {
    rules: {
      set: 'ruleset: set\nowner: a@example.com\nrules:\n  - { id: r, allow: https://api.test }\n',
    },
    expires: '30m',
  },
  async (cx, t, who) => {
    t.match(await runInside(cx, ['true'], { who }), { status: 0, stderr: '' })
    t.match(await runInside(cx, ['true'], { who }), { status: 0, stderr: '' })
    const actions = cx.records().map(({ event }) => event.action)
    t.equal(actions.filter((action) => action === 'task-created').length, 1)
    t.equal(actions.filter((action) => action === 'task-renewed').length, 1)
  },
)

runScenario(
  t,
  'two sidecars never write one journal, and the second says whose it is',
  {},
  async (cx, t, who) => {
    const lock = path.join(cx.directory, 'journal/lock')
    const { stdout, stderr } = await runInside(cx, ['sleep', '0'], { who })
    t.equal(stdout, '', stderr)
    const first = startRun(cx, ['sh', '-c', 'echo up; cat'], { who })
    await new Promise((resolve) => first.stdout?.once('data', resolve))
    const second = await runInside(cx, ['true'], { who })
    t.equal(second.status, 1)
    const holder: { pid: number } = JSON.parse(readFileSync(lock, 'utf8'))
    t.match(second.stderr, `another sidecar (process ${holder.pid}) writes the journal`)
    first.stdin?.end()
    t.equal((await outcomeOf(first)).status, 0)
  },
)
