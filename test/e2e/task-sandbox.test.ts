// The sandbox of a task ends with it, and the task with its sandbox: by a signal, a program or a POST, each of which has to
// confirm; what does not stays an alarm.

import { spawn } from 'node:child_process'

import t from 'tap'

import { ruleSet, scenario, until } from '../fixtures/scenario.ts'
import { api, getAs, makeTask, revoke, stateOf, taskDefinition } from '../fixtures/tasks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

void t.test('the sandbox of a task', async (t) => {
  const up = await startHttp({ handler: () => ({ body: 'ok' }) })
  t.teardown(() => up.close())
  const url = `http://up.test:${up.port}/`
  const options = {
    hosts: ['up.test'],
    rules: ruleSet(`id: up, allow: 'http://up.test:${up.port}', addresses: [127.0.0.0/8]`),
    expires: null,
  }

  const hooks = `hooks:
  stop: { signal: TERM, timeout: 2s }
  lie: { exec: [/bin/true] }
  fail: { exec: [/bin/sh, -c, 'echo no such box >&2; exit 3'] }
`
  scenario(
    t,
    'R61, R67: the sandbox ends with the task, and the task with the sandbox',
    { ...options, config: hooks },
    async (cx, t) => {
      const box = (): ReturnType<typeof spawn> => spawn('sleep', ['600'], { stdio: 'ignore' })
      const first = box()
      const exits = await makeTask(cx, { sandbox: { id: 'a', pid: first.pid } })
      first.kill('SIGKILL')
      await until(
        async () => (await stateOf(cx, exits.id)) === 'ended',
        'the task of a dead sandbox ends',
      )
      t.equal((await api(cx, 'GET', `/v1/tasks/${exits.id}`)).body.cause, 'sandbox-exited')

      const second = box()
      const gone = new Promise((resolve) => second.once('exit', resolve))
      const stopped = await makeTask(cx, {
        sandbox: { id: 'b', pid: second.pid, hooks: { end: 'stop' } },
      })
      const receipt = await revoke(cx, stopped.id)
      await gone
      t.match(
        receipt.items.find(({ kind }) => kind === 'sandbox'),
        { outcome: 'ended' },
      )

      const third = box()
      t.teardown(() => third.kill('SIGKILL'))
      const lied = await makeTask(cx, {
        sandbox: { id: 'c', pid: third.pid, hooks: { end: 'lie' } },
      })
      const false_ = await revoke(cx, lied.id)
      t.notOk(false_.complete)
      t.match(
        false_.items.find(({ kind }) => kind === 'sandbox'),
        {
          outcome: 'unconfirmed',
          detail: /still runs/,
        },
      )
      t.match(await getAs(cx, lied, url), /task-ended/, 'still denied')
      const failed = await makeTask(cx, { sandbox: { id: 'd', hooks: { end: 'fail' } } })
      t.match(
        (await revoke(cx, failed.id)).items.find(({ kind }) => kind === 'sandbox'),
        {
          detail: /exit code 3: no such box/,
        },
      )
      const again = await api(cx, 'POST', '/v1/tasks', taskDefinition({ sandbox: { id: 'd' } }))
      t.match(again, { status: 409, body: { field: '/sandbox/id' } }, 'the sandbox stays blocked')
      const alarms = (): number =>
        cx.records().filter(({ event }) => event.action === 'teardown-unconfirmed').length
      await until(() => alarms() === 2, 'both are on record')
      t.equal(await cx.metric('sallyport_teardowns_unconfirmed'), 2, 'R82')
    },
  )

  const runtime = await startHttp({
    handler: (_request, body) => ({ status: body.toString().includes('"good"') ? 204 : 500 }),
  })
  t.teardown(() => runtime.close())
  const posting = `hooks: { tell: { http: { url: 'http://127.0.0.1:${runtime.port}/ended?x=1', headers: { authorization: Bearer hook-canary-01 } } } }\n`
  scenario(
    t,
    'R67: a runtime is told by HTTP, and confirms by its answer',
    { ...options, config: posting },
    async (cx, t) => {
      const sandbox = (id: string): Record<string, unknown> => ({
        sandbox: { id, image: 'sha256:1', hooks: { end: 'tell' } },
      })
      const good = await makeTask(cx, sandbox('good'))
      const bad = await makeTask(cx, sandbox('bad'))
      t.ok((await revoke(cx, good.id)).complete)
      const receipt = await revoke(cx, bad.id)
      t.match(
        receipt.items.find(({ kind }) => kind === 'sandbox'),
        { outcome: 'unconfirmed', detail: /answered with status 500/ },
      )
      const [told] = runtime.seen
      t.match(told, { method: 'POST', url: '/ended?x=1' })
      t.ok(told?.rawHeaders.includes('Bearer hook-canary-01'))
      t.strictSame(JSON.parse(told?.body.toString() ?? ''), {
        task: good.id,
        sandbox: 'good',
        image: 'sha256:1',
        cause: 'revoked',
      })
    },
  )
})
