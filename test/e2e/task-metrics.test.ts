// What an operator's dashboard sees of tasks: the numbers of /metrics after scripted events, and no name in them.

import t from 'tap'

import { ruleSet, scenario } from '../fixtures/scenario.ts'
import { api, getAs, makeTask, revoke } from '../fixtures/tasks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

void t.test('R82: the numbers of tasks', async (t) => {
  const up = await startHttp({ handler: () => ({ body: 'ok' }) })
  t.teardown(() => up.close())
  const url = `http://up.test:${up.port}/`
  const options = {
    hosts: ['up.test'],
    rules: ruleSet(`id: up, allow: 'http://up.test:${up.port}', addresses: [127.0.0.0/8]`),
    expires: null,
    config: 'hooks: { fail: { exec: [/bin/false] } }\n',
  }
  scenario(
    t,
    'live ones by state, attempts out of scope, endings, orphans, sandboxes in doubt',
    options,
    async (cx, t) => {
      const numbers = async (): Promise<Map<string, number>> => {
        const text = await fetch(`http://127.0.0.1:${cx.healthPort}/metrics`).then((answer) =>
          answer.text(),
        )
        for (const { id } of [active, child, suspended, pending])
          t.notOk(text.includes(id), 'no task is named')
        const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
        return new Map(
          lines.map((line) => [
            line.slice(0, line.lastIndexOf(' ')),
            Number(line.slice(line.lastIndexOf(' '))),
          ]),
        )
      }
      const active = await makeTask(cx)
      const child = await makeTask(cx, { parent: active.id, expires: '5m' })
      const suspended = await makeTask(cx)
      await api(cx, 'POST', `/v1/tasks/${suspended.id}/suspend`, {})
      const pending = await makeTask(cx, { require: { image: 'sha256:x' } })
      const failing = await makeTask(cx, { sandbox: { id: 'doubtful', hooks: { end: 'fail' } } })
      await getAs(cx, active, url)
      await getAs(cx, active, 'http://elsewhere.test/')
      await getAs(cx, suspended, url)
      await getAs(cx, undefined, url)
      await revoke(cx, failing.id)

      const before = await numbers()
      t.match(Object.fromEntries(before), {
        'sallyport_tasks{state="active"}': 2,
        'sallyport_tasks{state="suspended"}': 1,
        'sallyport_tasks{state="pending"}': 1,
        'sallyport_tasks{state="revoking"}': 0,
        sallyport_active_tasks: 2,
        sallyport_orphaned_tasks: 0,
        sallyport_teardowns_unconfirmed: 1,
        sallyport_task_ending_seconds_count: 1,
        'sallyport_calls_total{verdict="deny",reason="not-on-allowlist"}': 1,
        'sallyport_calls_total{verdict="deny",reason="task-not-active"}': 1,
        'sallyport_calls_total{verdict="deny",reason="identity-missing"}': 1,
        'sallyport_calls_total{verdict="allow",reason="allowed"}': 1,
      })
      await revoke(cx, active.id)
      const after = await numbers()
      t.equal(after.get('sallyport_tasks{state="active"}'), 0, 'the child has ended too')
      t.equal(after.get('sallyport_orphaned_tasks'), 0)
      t.equal(after.get('sallyport_task_ending_seconds_count'), 3)
    },
  )
})
