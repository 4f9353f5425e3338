// A task that observes, through the running proxy: what no rule allows passes and says so wherever somebody looks; what is
// denied, held or guarded is as ever.

import tls from 'node:tls'

import t from 'tap'

import { exchange, ruleSet, scenario, startSecure } from '../fixtures/scenario.ts'
import { api, connectAs, getAs, makeTask, taskDefinition } from '../fixtures/tasks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'

void t.test('a task observes', async (t) => {
  const up = await startHttp({
    handler: ({ url, headers }) => ({ body: `at ${url} ${headers['authorization'] ?? 'bare'}` }),
  })
  const secure = await startSecure(['secure.test'])
  t.teardown(() => Promise.all([up.close(), secure.close()]))
  const host = `up.test:${up.port}`
  const other = `other.test:${up.port}`
  const base = {
    hosts: ['up.test', 'other.test', 'shut.test', 'secure.test'],
    expires: null,
    rules: {
      set: ruleSet(
        `id: here, allow: 'http://${host}', paths: ['/here'], credential: key, ${LOOPBACK}`,
        `id: shut, deny: 'http://shut.test'`,
      )['set']!,
      guarded: `ruleset: guarded\nrules:\n  - { id: people, allow: 'http://${host}', data: confidential }\n`,
      lawful: `ruleset: lawful\nrules:\n  - { id: law, allow: 'http://${host}', regulation: [gdpr] }\n`,
    },
    secrets: { KEY: 'canary-of-the-key-0123456789' },
    config: `credentials:
  key: { source: { env: KEY }, inject: { bearer: true }, hosts: ['up.test:${up.port}'], insecurePlaintext: true }
upstream: { ca: [upstream-ca.pem], allowAddresses: [127.0.0.0/8], hosts: { up.test: ['127.0.0.1'], other.test: ['127.0.0.1'], shut.test: ['127.0.0.1'], secure.test: ['127.0.0.1'], private.test: ['10.0.0.1'] } }`,
  }

  scenario(
    t,
    'R80: what no rule allows passes, without a credential, and says so wherever somebody looks',
    base,
    async (cx, t) => {
      const task = await makeTask(cx, { observe: true })
      const strict = await makeTask(cx)
      t.match(await getAs(cx, strict, `http://${other}/x`), / 403 Sallyport: not-on-allowlist/)
      t.match(await getAs(cx, task, `http://${other}/x`), / 200 [\s\S]*at \/x bare/)
      t.match(await getAs(cx, task, `http://${host}/there`), / 200 [\s\S]*at \/there bare/)
      t.match(
        await getAs(cx, task, `http://${host}/here`, ['X-HTTP-Method-Override: DELETE']),
        / 200 /,
        'any method is allowed here',
      )
      const observed = await cx.record(
        ({ url, sallyport }) => url?.full === `http://${other}/x` && sallyport.task?.id === task.id,
      )
      t.match(observed, {
        event: { reason: 'allowed' },
        sallyport: {
          mode: 'observe',
          decision: { verdict: 'allow', would_deny: 'not-on-allowlist' },
        },
      })
      t.equal(observed.rule, undefined)
      const allowed = await cx.record(({ url }) => url?.path === '/here')
      t.match(allowed, { rule: { id: 'here' }, sallyport: { mode: 'observe' } })

      const socket = await connectAs(cx, task, `secure.test:${secure.port}`)
      const inside = tls.connect({ socket, ca: task.caPem, servername: 'secure.test' })
      t.match(
        await exchange(
          inside,
          `GET /y HTTP/1.1\r\nHost: secure.test:${secure.port}\r\nConnection: close\r\n\r\n`,
        ),
        / 200 /,
        'a tunnel that no rule allows is looked into, by a CA that its task trusts',
      )
      t.match(await getAs(cx, task, 'http://shut.test/'), / 403 Sallyport: denied-by-rule/)
      t.match(
        await getAs(cx, task, 'http://private.test/'),
        / 403 Sallyport: resolved-address-denied/,
      )
      t.match(await getAs(cx, task, `http://${other}/a/../b`), / 400 Sallyport: malformed-path/)

      t.match(
        cx.records().find(({ event }) => event.action === 'task-observing'),
        {
          event: { kind: 'alert' },
          sallyport: { task: { id: task.id }, detail: { actor: 'administrator' } },
        },
      )
      t.match((await api(cx, 'GET', `/v1/tasks/${strict.id}`)).body.observe, undefined)
      t.match((await api(cx, 'GET', '/v1/overrides')).body.overrides, [
        { kind: 'task-observing', about: task.id },
      ])
      t.equal(await cx.metric('sallyport_tasks_observing'), 1)
      const ready = await fetch(`http://127.0.0.1:${cx.healthPort}/readyz`).then((answer) =>
        answer.text(),
      )
      t.match(ready, /"name":"enforcement","ready":true,"detail":"OBSERVE: /)
      t.notMatch(ready, new RegExp(task.id))
      t.match(
        cx.run('tail').stdout,
        / OBSERVE would-deny:not-on-allowlist 200 GET http:\/\/other\.test/,
      )
      t.match(cx.run('tail', '--all').stdout, / ALERT task-observing /)
      t.match(cx.run('task', 'list').stdout, new RegExp(`${task.id} active OBSERVE `))
      t.match(cx.run('task', 'show', task.id).stdout, /mode +OBSERVE/)
      t.equal(cx.run('verify', 'journal').status, 0)
      await cx.stop()
      await cx.start()
      t.match(cx.log(), /OBSERVE: what no rule allows passes/, 'at each start')
    },
  )

  scenario(
    t,
    'R80: nobody observes near guarded data, below who enforces, or after rules guard more',
    base,
    async (cx, t) => {
      for (const rules of [['guarded'], ['set', 'lawful']]) {
        const refused = await api(cx, 'POST', '/v1/tasks', taskDefinition({ rules, observe: true }))
        t.match(refused, { status: 400, body: { reason: 'definition-invalid', field: '/observe' } })
        t.match(await makeTask(cx, { rules }), { id: /^t_/ }, 'enforcing it is given them')
      }
      const parent = await makeTask(cx)
      const child = taskDefinition({ observe: true, parent: parent.id })
      t.match(await api(cx, 'POST', '/v1/tasks', child), {
        status: 403,
        body: { reason: 'delegation-widening', field: '/observe' },
      })

      const task = await makeTask(cx, { observe: true })
      t.match(await getAs(cx, task, `http://${other}/x`), / 200 /)
      const more = base.rules.set.replace(`'/here'], `, `'/here'], data: restricted, `)
      cx.file('rules/set.yaml', more)
      t.equal(cx.run('rules', 'reload').status, 0)
      t.match(await getAs(cx, task, `http://${other}/x`), / 503 Sallyport: policy-unavailable/)
      t.match(await getAs(cx, parent, `http://${host}/here`), / (200|403) /)
    },
  )
})
