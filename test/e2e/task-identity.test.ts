// Whose call is it, where a sidecar holds many tasks: tokens, listeners of their own, addresses, states; and what a client
// that proves nothing, or another's task, is told.

import net from 'node:net'

import t from 'tap'

import {
  exchange,
  ruleSet,
  scenario,
  startSecure,
  until,
  type JournalRecord,
} from '../fixtures/scenario.ts'
import {
  api,
  connectAs,
  getAs,
  makeTask,
  revoke,
  secureAs,
  taskDefinition,
} from '../fixtures/tasks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'

void t.test('tasks are told apart', async (t) => {
  const seen: string[] = []
  const up = await startHttp({
    handler: ({ headers }) => {
      seen.push(JSON.stringify(headers))
      return { body: 'ok' }
    },
  })
  const sec = await startSecure(['sec.test'], () => ({ body: 'secret garden' }))
  t.teardown(() => Promise.all([up.close(), sec.close()]))
  const url = `http://up.test:${up.port}/`
  const secure = `sec.test:${sec.port}`
  const rules = ruleSet(
    `id: up, allow: 'http://up.test:${up.port}', ${LOOPBACK}`,
    `id: sec, allow: 'https://${secure}', ${LOOPBACK}`,
  )
  const options = { hosts: ['up.test', 'sec.test'], rules, expires: null }

  scenario(
    t,
    'R04: every connection proves its task, and names in headers prove nothing',
    options,
    async (cx, t) => {
      const one = await makeTask(cx)
      const two = await makeTask(cx)
      t.match(await getAs(cx, undefined, url), /^HTTP\/1\.1 407 Sallyport: identity-missing/)
      t.match(await getAs(cx, undefined, url), /Proxy-Authenticate: Basic realm="sallyport"/)
      t.match(await getAs(cx, one, url), /^HTTP\/1\.1 200/)
      const forged = [
        'X-Agent-Id: other',
        `X-Sallyport-Task: ${two.id}`,
        'Forwarded: for=10.0.0.1',
        'X-Kept: yes',
      ]
      t.match(await getAs(cx, one, url, forged), /^HTTP\/1\.1 200/)
      const bearer = { login: `Proxy-Authorization: Bearer ${one.token}` }
      t.match(await getAs(cx, bearer, url), /^HTTP\/1\.1 200/)
      const passed = (): JournalRecord[] =>
        cx.terminal().filter(({ event }) => event.reason === 'allowed')
      await until(() => passed().length === 3, 'all three are on record')
      const records = passed()
      t.strictSame([...new Set(records.map(({ sallyport }) => sallyport.task?.id))], [one.id])
      t.notOk(
        seen.some((headers) => /proxy-authorization|spt_/i.test(headers)),
        'no token goes on',
      )
      t.ok(seen.some((headers) => /"x-kept":"yes"/.test(headers)))
      t.notOk(
        seen.some((headers) => /x-sallyport|forwarded/i.test(headers)),
        'nor a name that a client gives itself',
      )
      for (const login of [
        `Proxy-Authorization: Basic ${Buffer.from(`${one.id}:spt_wrong`).toString('base64')}`,
        'Proxy-Authorization: Bearer spt_wrong',
        'Proxy-Authorization: Digest username=x',
        `${one.login}\r\n${two.login}`,
      ])
        t.match(
          await getAs(cx, { login }, url),
          /^HTTP\/1\.1 403 Sallyport: identity-unknown/,
          login,
        )
    },
  )

  scenario(t, "R14: a task's token is worth nothing to another", options, async (cx, t) => {
    const one = await makeTask(cx)
    const two = await makeTask(cx)
    const mixed = Buffer.from(`${two.id}:${one.token}`).toString('base64')
    t.match(
      await getAs(cx, { login: `Proxy-Authorization: Basic ${mixed}` }, url),
      /^HTTP\/1\.1 403 Sallyport: identity-unknown/,
    )
    t.match(await getAs(cx, two, url), /^HTTP\/1\.1 200/)
    await revoke(cx, one.id)
    t.match(await getAs(cx, one, url), /^HTTP\/1\.1 403 Sallyport: task-ended/)
    t.match(await getAs(cx, two, url), /^HTTP\/1\.1 200/, 'the other goes on')
    const denied = await cx.record(({ event }) => event.reason === 'task-ended')
    t.equal(denied.sallyport.task?.id, one.id, "the refusal is on the ended task's record")
  })

  scenario(
    t,
    'R03: a credential from another address is refused and raised',
    options,
    async (cx, t) => {
      const elsewhere = await makeTask(cx, { identity: { sources: ['10.9.8.0/24'] } })
      const here = await makeTask(cx, { identity: { sources: ['127.0.0.0/8'] } })
      t.match(await getAs(cx, elsewhere, url), /^HTTP\/1\.1 403 Sallyport: identity-shared/)
      t.match(await getAs(cx, elsewhere, url), /^HTTP\/1\.1 403 Sallyport: identity-shared/)
      t.match(await getAs(cx, here, url), /^HTTP\/1\.1 200/)
      await cx.record(({ event }) => event.reason === 'allowed')
      const alerts = cx.records().filter(({ event }) => event.action === 'identity-shared')
      t.equal(alerts.length, 1, 'one alert for one address')
      t.match(alerts[0], {
        event: { kind: 'alert' },
        sallyport: {
          task: { id: elsewhere.id },
          detail: { seen: '127.0.0.1', bound: '10.9.8.0/24' },
        },
      })
    },
  )

  scenario(
    t,
    'R05, R09: only an active task lets a byte out, and evidence makes it one',
    options,
    async (cx, t) => {
      const task = await makeTask(cx, { require: { image: 'sha256:right' } })
      const ask = (): Promise<string> => getAs(cx, task, url)
      const change = (what: string, body: object = {}): Promise<number> =>
        api(cx, 'POST', `/v1/tasks/${task.id}/${what}`, body).then(({ status }) => status)
      const before = seen.length
      t.match(await ask(), /^HTTP\/1\.1 403 Sallyport: task-not-active/, 'pending')
      t.equal(await change('attest', { image: 'sha256:wrong' }), 403, 'R05: wrong evidence')
      t.match(await ask(), /^HTTP\/1\.1 403 Sallyport: task-not-active/, 'still pending')
      await until(
        () => cx.records().some(({ event }) => event.action === 'attestation-failed'),
        'it is on record',
      )
      t.equal(seen.length, before, 'nothing left')
      t.equal(await change('attest', { image: 'sha256:right' }), 200)
      t.match(await ask(), /^HTTP\/1\.1 200/, 'active')
      t.match((await api(cx, 'GET', `/v1/tasks/${task.id}`)).body.identity.evidence, /^sha256:/)
      t.equal(await change('suspend'), 200)
      t.match(await ask(), /^HTTP\/1\.1 403 Sallyport: task-not-active/, 'suspended')
      t.equal(await change('resume'), 200)
      t.match(await ask(), /^HTTP\/1\.1 200/, 'active again')
      t.equal(await change('revoke'), 200)
      t.match(await ask(), /^HTTP\/1\.1 403 Sallyport: task-ended/, 'ended')
      t.equal(await change('resume'), 403, 'nothing ended comes back')
    },
  )

  scenario(
    t,
    'a task may have a listener of its own, and is whoever connects to it',
    options,
    async (cx, t) => {
      const task = await makeTask(cx, { identity: { listener: 'unix' } })
      const ask = (): Promise<string> =>
        exchange(
          net.connect(task.socket ?? ''),
          `GET ${url} HTTP/1.1\r\nHost: up.test:${up.port}\r\nConnection: close\r\n\r\n`,
        )
      t.match(await ask(), /^HTTP\/1\.1 200/)
      const kept = net.connect(task.socket ?? '')
      const closed = new Promise((resolve) => kept.once('close', resolve))
      kept.on('error', () => undefined)
      kept.resume()
      const receipt = await revoke(cx, task.id)
      await closed
      t.match(
        receipt.items.find(({ kind }) => kind === 'listener'),
        { outcome: 'ended' },
      )
      await t.rejects(
        new Promise((resolve, reject) => {
          net
            .connect(task.socket ?? '')
            .once('connect', resolve)
            .once('error', reject)
        }),
        'nobody listens any more',
      )
    },
  )

  scenario(
    t,
    'a call inside a tunnel is judged by the task that opened it',
    options,
    async (cx, t) => {
      const one = await makeTask(cx)
      const two = await makeTask(cx)
      const tunnel = await secureAs(cx, one, secure)
      const ask = (): Promise<string> =>
        new Promise((resolve) => {
          if (tunnel.destroyed) return resolve('closed')
          tunnel.once('data', (chunk: Buffer) => resolve(chunk.toString()))
          tunnel.once('close', () => resolve('closed'))
          tunnel.write(`GET / HTTP/1.1\r\nHost: ${secure}\r\n${two.login}\r\n\r\n`)
        })
      t.match(await ask(), /^HTTP\/1\.1 200/)
      t.match(await ask(), /^HTTP\/1\.1 200/)
      await api(cx, 'POST', `/v1/tasks/${one.id}/suspend`, {})
      t.match(await ask(), /^HTTP\/1\.1 403 Sallyport: task-not-active/, 'the next request on it')
      await api(cx, 'POST', `/v1/tasks/${one.id}/resume`, {})
      t.match(await ask(), /^HTTP\/1\.1 200/)
      await revoke(cx, one.id)
      t.equal(await ask(), 'closed')
      const tasks = cx.terminal().map(({ sallyport }) => sallyport.task?.id)
      t.notOk(tasks.includes(two.id), 'a credential inside decides nothing')
    },
  )

  scenario(t, "what one sandbox trusts opens nothing of another's", options, async (cx, t) => {
    const one = await makeTask(cx)
    const two = await makeTask(cx)
    const socket = await secureAs(cx, one, secure)
    socket.destroy()
    await t.rejects(secureAs(cx, { login: one.login, caPem: two.caPem }, secure), 'another CA')
    const refused = await connectAs(cx, undefined, secure).catch((error: unknown) => String(error))
    t.match(refused, /407/)
  })

  scenario(
    t,
    'R07: the inventory is the ground truth, strangers included',
    options,
    async (cx, t) => {
      const tasks = await Promise.all(Array.from({ length: 50 }, () => makeTask(cx)))
      await Promise.all(tasks.slice(0, 10).map(({ id }) => revoke(cx, id)))
      await getAs(cx, undefined, url)
      const { body } = await api(cx, 'GET', '/v1/inventory')
      t.equal(body.tasks, 40)
      t.equal(body.sandboxes.length, 40)
      t.equal(new Set(body.sandboxes).size, 40)
      t.match(body.unknownClients, [
        { standing: 'unknown-client', address: '127.0.0.1', reason: 'identity-missing', count: 1 },
      ])
      type Identity = { readonly task: string; readonly sandbox: string; readonly state: string }
      const identities: Identity[] = body.identities
      t.strictSame(
        identities.map(({ task }) => task).toSorted(),
        tasks
          .slice(10)
          .map(({ id }) => id)
          .toSorted(),
        'an identity a live task',
      )
      t.strictSame(
        identities.map(({ sandbox }) => sandbox).toSorted(),
        body.sandboxes.toSorted(),
        'each in its sandbox',
      )
      t.ok(identities.every(({ state }) => state === 'active'))
      t.strictSame(
        body.credentials,
        (await api(cx, 'GET', '/v1/credentials')).body.credentials.map(
          ({ name }: { name: string }) => name,
        ),
      )
      const listed = (await api(cx, 'GET', '/v1/tasks?state=active')).body.tasks
      t.strictSame(
        listed.map(({ id }: { id: string }) => id).toSorted(),
        tasks
          .slice(10)
          .map(({ id }) => id)
          .toSorted(),
      )
    },
  )

  scenario(t, 'R08: who acts and on whose behalf are told apart', options, async (cx, t) => {
    const alone = await makeTask(cx)
    const delegated = await makeTask(cx, { principal: 'ann@example.com' })
    await getAs(cx, alone, url)
    await getAs(cx, delegated, url)
    await until(() => cx.terminal().length === 2, 'both are on record')
    const taskOf = (id: string): unknown =>
      cx.terminal().find(({ sallyport }) => sallyport.task?.id === id)?.sallyport.task
    t.match(taskOf(alone.id), { agent: 'bot', autonomous: true })
    t.match(taskOf(delegated.id), { agent: 'bot', principal: 'ann@example.com', autonomous: false })
  })

  scenario(
    t,
    'R01: a definition without one of its parts is refused by its name',
    options,
    async (cx, t) => {
      const whole = taskDefinition()
      for (const name of Object.keys(whole)) {
        const rest = Object.fromEntries(Object.entries(whole).filter(([key]) => key !== name))
        const { status, body } = await api(cx, 'POST', '/v1/tasks', rest)
        t.equal(status, 400, name)
        t.match(body, { reason: 'definition-invalid', field: `/${name}` })
      }
      t.match(await api(cx, 'POST', '/v1/tasks', { ...whole, typo: 1 }), { status: 400 })
      t.match((await api(cx, 'POST', '/v1/tasks', { ...whole, rules: ['absent'] })).body, {
        reason: 'definition-invalid',
        field: '/rules',
      })
    },
  )
})
