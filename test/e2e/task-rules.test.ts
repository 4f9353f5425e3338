// The rules of a task while it runs: bound to its environment and its values, narrowed at the next request, widened on
// record; and a child that never does what its parent may not.

import t from 'tap'

import { ruleSet, scenario, until } from '../fixtures/scenario.ts'
import { api, getAs, makeTask, taskDefinition } from '../fixtures/tasks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'

void t.test('the rules of tasks', async (t) => {
  const up = await startHttp({ handler: ({ url }) => ({ body: `at ${url}` }) })
  t.teardown(() => up.close())
  const host = `up.test:${up.port}`
  const url = `http://${host}/`
  const base = { hosts: ['up.test'], expires: null }

  scenario(
    t,
    'R28: a destination of another environment is refused',
    {
      ...base,
      rules: ruleSet(
        `id: prod, allow: 'http://${host}', paths: [/prod], environment: prod, ${LOOPBACK}`,
        `id: any, allow: 'http://${host}', paths: [/any], ${LOOPBACK}`,
      ),
    },
    async (cx, t) => {
      const dev = await makeTask(cx, { environment: 'dev' })
      const prod = await makeTask(cx, { environment: 'prod' })
      t.match(await getAs(cx, dev, `${url}prod`), /^HTTP\/1\.1 403 Sallyport: environment-mismatch/)
      t.match(await getAs(cx, dev, `${url}any`), /^HTTP\/1\.1 200/)
      t.match(await getAs(cx, prod, `${url}prod`), /^HTTP\/1\.1 200/)
    },
  )

  const parameterised = `ruleset: set
for: { teams: [payments] }
params: { place: { pattern: '[a-z]+' } }
rules:
  - { id: place, allow: 'http://${host}', paths: ['/{place}/**'], ${LOOPBACK} }
`
  scenario(
    t,
    "a set is given to its teams, and bound to the task's values",
    { ...base, rules: { set: parameterised } },
    async (cx, t) => {
      const owner = { name: 'ann', team: 'payments' }
      const task = await makeTask(cx, { owner, params: { place: 'here' } })
      const other = await makeTask(cx, { owner, params: { place: 'there' } })
      t.match(await getAs(cx, task, `${url}here/x`), /^HTTP\/1\.1 200/)
      t.match(await getAs(cx, task, `${url}there/x`), /^HTTP\/1\.1 403 Sallyport: path-not-allowed/)
      t.match(await getAs(cx, other, `${url}there/x`), /^HTTP\/1\.1 200/)
      const refused = await api(cx, 'POST', '/v1/tasks', taskDefinition({ params: { place: 'x' } }))
      t.match(refused, {
        status: 403,
        body: { reason: 'principal-not-allowed', field: '/rules/0' },
      })
      const bad = await api(
        cx,
        'POST',
        '/v1/tasks',
        taskDefinition({ owner, params: { place: 'X1' } }),
      )
      t.match(bad, { status: 400, body: { reason: 'definition-invalid', field: '/params' } })
    },
  )

  const get = `id: get, allow: 'http://${host}', methods: [GET], ${LOOPBACK}`
  scenario(
    t,
    'a task that changed rules widen is on record; narrowing binds at once',
    { ...base, rules: ruleSet(get) },
    async (cx, t) => {
      const task = await makeTask(cx)
      t.match(await getAs(cx, task, url), /^HTTP\/1\.1 200/)
      const reload = async (...rules: string[]): Promise<void> => {
        cx.file('rules/set.yaml', ruleSet(...rules)['set'] ?? '')
        const { body } = await api(cx, 'POST', '/v1/rules/reload', {})
        t.match(body, { inForce: true, changed: true })
      }
      const widened = (): number =>
        cx.records().filter(({ event }) => event.action === 'task-widened').length
      await reload(get.replace('[GET]', '[GET, POST]'))
      await until(() => widened() === 1, 'the widening is on record')
      const record = cx.records().find(({ event }) => event.action === 'task-widened')
      t.match(record?.sallyport, {
        task: { id: task.id },
        detail: { widened: [/^methods set\/get: /] },
      })
      await reload(get.replace('[GET]', '[HEAD]'))
      t.match(await getAs(cx, task, url), /^HTTP\/1\.1 403 Sallyport: method-not-allowed/)
      await reload(get.replace('[GET]', '[HEAD]'), `id: deny, deny: 'http://${host}', paths: [/x]`)
      t.equal(widened(), 2, 'HEAD is wider than what was, a further deny is not')
    },
  )

  scenario(
    t,
    'R69: at use, all above have to allow too, whatever a child was given',
    {
      ...base,
      rules: {
        ...ruleSet(`id: all, allow: 'http://${host}', ${LOOPBACK}`),
        narrow: `ruleset: narrow\nrules:\n  - { id: n, allow: 'http://${host}', paths: ['/ok/**'], ${LOOPBACK} }\n`,
      },
    },
    async (cx, t) => {
      const parent = await makeTask(cx)
      const child = await makeTask(cx, { parent: parent.id, rules: ['narrow'], expires: '5m' })
      t.match(await getAs(cx, child, `${url}ok/1`), /^HTTP\/1\.1 200/)
      t.match(await getAs(cx, child, `${url}no`), /path-not-allowed/)
      // The parent's own rules shrink beneath its child.
      cx.file(
        'rules/set.yaml',
        ruleSet(`id: all, allow: 'http://${host}', paths: [/ok/1], ${LOOPBACK}`)['set'] ?? '',
      )
      await api(cx, 'POST', '/v1/rules/reload', {})
      t.match(await getAs(cx, child, `${url}ok/1`), /^HTTP\/1\.1 200/)
      t.match(await getAs(cx, child, `${url}ok/2`), /^HTTP\/1\.1 403 Sallyport: path-not-allowed/)
      const denied = await cx.record(
        ({ url: at, event }) => at?.path === '/ok/2' && event.reason === 'path-not-allowed',
      )
      t.equal(denied.sallyport.detail?.['refusedFor'], parent.id, 'the record says who refused')
      const asked = (id: string, at: string): ReturnType<typeof cx.run> =>
        cx.run('explain', 'GET', `${url}${at}`, '--task', id)
      t.match(asked(child.id, 'ok/1'), { status: 0, stdout: /^allow by narrow\/n\n/ })
      const why = asked(child.id, 'ok/2')
      t.match(why, { status: 1, stdout: /^deny path-not-allowed/ }, 'explain asks the same rules')
      t.match(why.stdout, /allow set\/all \(of the task 1 above\) {2}not by path/)
      const wide = await api(
        cx,
        'POST',
        '/v1/tasks',
        taskDefinition({ parent: parent.id, rules: ['narrow'], expires: '1m' }),
      )
      t.match(wide, {
        status: 403,
        body: { reason: 'delegation-widening', field: '/rules', detail: /axis paths/ },
      })
    },
  )
})
