// Regulated data: rules with a profile are in force only where everything around them is as the profile demands, at the start,
// after a change of files and for every task that is made; `check` says the same.

import path from 'node:path'

import t from 'tap'

import { scenario, until, type Scenario, type ScenarioOptions } from '../fixtures/scenario.ts'
import { api, getAs, makeTask, taskDefinition } from '../fixtures/tasks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const up = await startHttp({ handler: () => ({ body: 'said' }) })
t.teardown(() => up.close())
const url = `http://crm.test:${up.port}/`
const ALLOWED = /^HTTP\/1\.1 200 /

const setOf = (more = '', methods = 'GET'): string => `ruleset: set
owner: a@example.com
rules:
  - id: read
    allow: 'http://crm.test:${up.port}'
    addresses: [127.0.0.0/8]
    methods: [${methods}]
    profile: patients
    data: confidential
    accepts: confidential
    category: health
    regulation: [hipaa]
${more}`
const GOOD = `sinks: [{ file: { path: out.ndjson, onBacklogFull: deny } }]
journal: { sync: disk }
profiles: { patients: { category: health, lifetime: 40m } }
`
const base = {
  rules: { set: setOf() },
  hosts: ['crm.test'],
  config: GOOD,
} satisfies ScenarioOptions

const refusals = (cx: Scenario): unknown[] =>
  cx
    .records()
    .filter(({ event }) => event.action === 'rules-refused')
    .map(({ sallyport }) => sallyport.detail?.['problems'])

for (const [what, config, code] of [
  ['no sink', GOOD.replace(/^sinks:.*\n/, ''), 'profile-sinks'],
  [
    'a sink that drops',
    GOOD.replace('onBacklogFull: deny', 'onBacklogFull: drop-with-gap-record'),
    'profile-sinks',
  ],
  ['a journal that is quick', GOOD.replace('sync: disk', 'sync: process'), 'profile-sync'],
  ['no such profile', GOOD.replace(/^profiles:.*\n/m, ''), 'profile-unknown'],
  ['a life that is too long', GOOD.replace('40m', '20m'), 'profile-lifetime'],
] as const)
  scenario(
    t,
    `R74: with ${what} regulated rules are not in force, and check says why`,
    { ...base, config },
    async (cx, t) => {
      t.match(await getAs(cx, undefined, url), /^HTTP\/1\.1 503 Sallyport: policy-unavailable/)
      t.strictSame(refusals(cx), [[`${path.join(cx.directory, 'rules/set.yaml')}:4:5 ${code}`]])
      const ready = await fetch(`http://127.0.0.1:${cx.healthPort}/readyz`)
      t.equal(ready.status, 503)
      const { status, stdout } = cx.run('check', '--format', 'json')
      t.equal(status, 1)
      const { problems }: { problems: { code: string; severity: string }[] } = JSON.parse(stdout)
      const errors = problems.filter(({ severity }) => severity === 'error')
      t.strictSame(
        errors.map((each) => each.code),
        [code],
      )
    },
  )

scenario(
  t,
  'R74: as they are demanded they are in force, until a change would break that',
  base,
  async (cx, t) => {
    t.equal(cx.run('check').status, 0)
    t.match(await getAs(cx, undefined, url), ALLOWED)
    const read = await cx.record(({ url: asked }) => asked?.path === '/')
    t.match(read.sallyport.decision, {
      data: 'confidential',
      category: ['health'],
      regulation: ['hipaa'],
    })
    cx.file('rules/set.yaml', setOf('', 'GET, POST'))
    await until(() => refusals(cx).length === 1, 'the change is refused')
    t.match(refusals(cx), [[/ profile-write$/]])
    t.match(await getAs(cx, undefined, url), ALLOWED, 'the last good rules stay')
    cx.file('rules/set.yaml', setOf('    observe: true\n'))
    await until(() => refusals(cx).length === 2, 'the change is refused')
    t.match(await getAs(cx, undefined, url), ALLOWED)
  },
)

const made: ScenarioOptions = { ...base, expires: null }
scenario(t, 'R74: tasks of regulated rules live shortly', made, async (cx, t) => {
  t.match(await api(cx, 'POST', '/v1/tasks', taskDefinition({ expires: '41m' })), {
    status: 400,
    body: { reason: 'definition-invalid', field: '/expires', detail: /profile patients.* 40m/ },
  })
  const task = await makeTask(cx, { expires: '40m' })
  t.match(await getAs(cx, task, url), ALLOWED)
  const extend = `/v1/tasks/${task.id}/extend`
  t.match(await api(cx, 'POST', extend, { expires: '41m' }), {
    status: 400,
    body: { reason: 'definition-invalid', field: '/expires' },
  })
  t.equal((await api(cx, 'POST', extend, { expires: '40m' })).status, 200)
})

scenario(
  t,
  'R74: where tasks are made while it runs, a set that nobody has yet stops nothing, and is given to nobody',
  { ...made, config: GOOD.replace('sync: disk', 'sync: process') },
  async (cx, t) => {
    t.same(refusals(cx), [])
    const { status, stdout } = cx.run('check')
    t.equal(status, 0)
    t.match(stdout, /no task can be given this set: .*profile-sync/)
    t.match(await api(cx, 'POST', '/v1/tasks', taskDefinition()), {
      status: 400,
      body: { reason: 'definition-invalid', field: '/rules' },
    })
  },
)

const plain = `ruleset: plain\nowner: a@example.com\nrules:\n  - { id: up, allow: '${url.slice(0, -1)}', addresses: [127.0.0.0/8] }\n`
scenario(
  t,
  'R74: beside a static task, a set that nobody has yet stops nothing, and is given to nobody',
  {
    ...base,
    rules: { set: setOf(), plain },
    ruleSets: ['plain'],
    config: GOOD.replace('sync: disk', 'sync: process'),
  },
  async (cx, t) => {
    t.match(await getAs(cx, undefined, url), ALLOWED)
    t.match(await api(cx, 'POST', '/v1/tasks', taskDefinition()), {
      status: 400,
      body: { reason: 'definition-invalid', field: '/rules', detail: /sync: disk|survive/ },
    })
    t.equal((await api(cx, 'POST', '/v1/tasks', taskDefinition({ rules: ['plain'] }))).status, 201)
  },
)
