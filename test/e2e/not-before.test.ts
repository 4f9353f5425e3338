// A task that begins later lets nothing out before, over a crash too, and does from its beginning on by itself.

import { appendFileSync } from 'node:fs'

import t from 'tap'

import { ruleSet, scenario, until } from '../fixtures/scenario.ts'
import { api, getAs, makeTask } from '../fixtures/tasks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const LATER_MS = 3000
const HOUR_MS = 3_600_000

void t.test('not before', async (t) => {
  const upstream = await startHttp({})
  t.teardown(() => upstream.close())
  const host = `up.test:${upstream.port}`
  const url = `http://${host}/`
  const rules = ruleSet(`id: up, allow: 'http://${host}', addresses: ['127.0.0.0/8']`)
  const options = { rules, hosts: ['up.test'] }

  scenario(
    t,
    'R11: before its beginning a task is there and lets nothing out, after it it does',
    { ...options, expires: null },
    async (cx, t) => {
      const notBefore = new Date(Date.now() + HOUR_MS).toISOString()
      const later = await makeTask(cx, { notBefore })
      const twin = await makeTask(cx)
      t.match(await getAs(cx, later, url), /^HTTP\/1\.1 403 Sallyport: task-not-active/)
      t.match(await getAs(cx, twin, url), /^HTTP\/1\.1 200/)
      t.match(await api(cx, 'GET', `/v1/tasks/${later.id}`), {
        body: { state: 'pending', cause: 'not-before', notBefore },
      })
      t.match(cx.run('task', 'list').stdout, `${later.id} pending from ${notBefore} until`)
      t.match(cx.run('task', 'show', later.id).stdout, new RegExp(`^begins +${notBefore}`, 'm'))
      const child = await api(cx, 'POST', `/v1/tasks/${later.id}/children`, {})
      t.not(child.status, 201, 'it has no stages yet')

      const at = Date.now() + LATER_MS
      const soon = await makeTask(cx, { notBefore: new Date(at).toISOString() })
      await cx.stop('SIGKILL')
      await cx.start()
      t.match(await getAs(cx, later, url), /^HTTP\/1\.1 403 Sallyport: task-not-active/)
      await until(
        () => cx.records().some(({ event }) => event.action === 'task-activated'),
        'it begins without being asked',
      )
      const begun = cx.records().find(({ event }) => event.action === 'task-activated')!
      t.ok(Date.parse(begun['@timestamp']) >= at, 'not before')
      t.match(begun, { sallyport: { task: { id: soon.id }, detail: { cause: 'begun' } } })
      t.match(await getAs(cx, soon, url), /^HTTP\/1\.1 200/)
    },
  )

  scenario(t, "the configuration's task begins later too", options, async (cx, t) => {
    t.match(await getAs(cx, undefined, url), /^HTTP\/1\.1 200/)
    await cx.stop()
    const at = Date.now() + LATER_MS
    appendFileSync(cx.configFile, `  notBefore: ${new Date(at).toISOString()}\n`)
    await cx.start()
    await until(
      async () => (await getAs(cx, undefined, url)).startsWith('HTTP/1.1 200'),
      'it begins',
    )
    t.ok(Date.now() >= at, 'not before')
  })
})
