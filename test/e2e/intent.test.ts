// What a task declares, through the running proxy: nobody but an approver extends it, least of all its sandbox; every record
// names it by its digest; rules see it as it is, from the next request on, on connections that are open as well.

import { createHash } from 'node:crypto'
import net from 'node:net'

import t from 'tap'

import { readHead, scenario, type Scenario } from '../fixtures/scenario.ts'
import { api, getAs, makeTask, type ApiAnswer } from '../fixtures/tasks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const up = await startHttp({ handler: () => ({ body: 'ok' }) })
t.teardown(() => up.close())
const url = `http://up.test:${up.port}`
const STARTER = 'canary-principal-starter-0123456789'
const REVIEWER = 'canary-principal-reviewer-9876543210'
const starter = { authorization: `Bearer ${STARTER}` }
const rule = (id: string, path: string, when: string): string =>
  `  - { id: ${id}, allow: '${url}', paths: [${path}], addresses: [127.0.0.0/8], when: '${when}' }\n`
const options = {
  hosts: ['up.test'],
  expires: null,
  rules: {
    set: `ruleset: set\nrules:\n${
      rule('by-label', '/label', 'task.labels["stage"] == "two"') +
      rule('by-capability', '/capability', '"pages:write" in task.capabilities') +
      rule('by-intent', '/intent', 'task.intent.contains("publish")')
    }`,
  },
  config: `control:
  principals:
    - { name: starter, tokenFile: starter.secret, roles: [orchestrator, operator] }
    - { name: reviewer, tokenFile: reviewer.secret, roles: [approver] }
`,
  files: { 'starter.secret': STARTER, 'reviewer.secret': REVIEWER },
}

function extend(cx: Scenario, id: string, more: object, token = REVIEWER): Promise<ApiAnswer> {
  const body = { reason: 'seen', ...more }
  return api(cx, 'POST', `/v1/tasks/${id}/intent`, body, { authorization: `Bearer ${token}` })
}

const digestOf = (text: string): string =>
  `sha256:${createHash('sha256').update(text).digest('hex')}`

scenario(
  t,
  'R10: only an approver extends what a task declares, and the next request is judged by it',
  options,
  async (cx, t) => {
    const intent = 'Read the pages.'
    const declared = { intent, capabilities: ['pages:read'], labels: { stage: 'one' } }
    const task = await makeTask(cx, declared, undefined, starter)
    const child = await makeTask(cx, { labels: { stage: 'one' }, expires: '20m' }, task.id, starter)
    const digest = digestOf(
      '{"capabilities":["pages:read"],"intent":"Read the pages.","labels":{"stage":"one"}}',
    )
    const get = (path: string): string =>
      `GET ${url}${path} HTTP/1.1\r\nHost: up.test:${up.port}\r\n${task.login}\r\n\r\n`
    const socket = net.connect(cx.proxyPort, '127.0.0.1')
    t.teardown(() => socket.destroy())
    const statusOf = async (path: string): Promise<string> => {
      socket.write(get(path))
      const head = await readHead(socket)
      return /^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? head
    }
    for (const path of ['/label', '/capability', '/intent'])
      t.match(await getAs(cx, task, `${url}${path}`), / 403 Sallyport: operation-not-allowed/)

    t.match(await extend(cx, task.id, { labels: { stage: 'two' } }, STARTER), {
      status: 403,
      body: { reason: 'principal-not-allowed' },
    })
    const asked = JSON.stringify({ labels: { stage: 'two' }, reason: 'mine' })
    const fields = `Host: sallyport.internal\r\n${task.login}\r\nContent-Length: ${asked.length}\r\nConnection: close`
    t.match(
      await cx.raw(`POST http://sallyport.internal/v1/task HTTP/1.1\r\n${fields}\r\n\r\n${asked}`),
      /^HTTP\/1\.1 405 /,
      'the sandbox reads it and no more',
    )
    const records = cx.records().filter(({ sallyport }) => sallyport.task?.id === task.id)
    t.ok(records.length > 3)
    for (const { sallyport } of records) t.match(sallyport.task, { intent: digest })

    t.match(await extend(cx, child.id, { labels: { stage: 'two' } }), { status: 200 })
    t.match(await getAs(cx, child, `${url}/label`), / 403 /, "the parent's label counts, too")
    t.match(await extend(cx, task.id, { labels: { stage: 'two' } }), { status: 200 })
    t.equal(await statusOf('/label'), '200')
    t.match(await getAs(cx, child, `${url}/label`), / 200 /)
    t.match(await extend(cx, task.id, { addCapabilities: ['pages:write'] }), { status: 200 })
    t.match(await getAs(cx, task, `${url}/capability`), / 200 /)
    const last = await extend(cx, task.id, { intent: 'Read and publish the pages.' })
    t.match(await getAs(cx, task, `${url}/intent`), / 200 /)
    t.match(
      await getAs(cx, child, `${url}/intent`),
      / 403 /,
      "its own counts, not its parent's alone",
    )

    const after = last.body.intentDigest
    t.match(await cx.record(({ rule: by }) => by?.id === 'by-intent'), {
      sallyport: { task: { intent: after } },
    })
    const extensions = cx.records().filter(({ event }) => event.action === 'task-intent-extended')
    t.match(extensions, [
      { sallyport: { task: { id: child.id } } },
      { sallyport: { detail: { actor: 'reviewer', before: digest, labels: { stage: 'two' } } } },
      { sallyport: { detail: { actor: 'reviewer', capabilities: ['pages:write'] } } },
      { sallyport: { detail: { actor: 'reviewer', reason: 'seen', after } } },
    ])
    await cx.stop()
    await cx.start()
    t.match(await getAs(cx, task, `${url}/intent`), / 200 /, 'over a restart as well')
  },
)
