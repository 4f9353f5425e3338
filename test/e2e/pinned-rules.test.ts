// R26: every decision names the rules it was made by, what they said stays readable, and a task that pins them goes on with them:
// over edits, reloads, removals and restarts.

import { rmSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { scenario, startSecure, type Scenario } from '../fixtures/scenario.ts'
import { api, getAs, makeTask, type MadeTask } from '../fixtures/tasks.ts'
import { proxiedFetch } from '../fixtures/proxy-fetch.ts'

const web = await startSecure(['web.test'], () => ({ body: 'here' }))
t.teardown(() => web.close())
const here = `https://web.test:${web.port}`
const rulesFor = (path: string): string => `ruleset: set
owner: appsec@example.com
rules:
  - { id: read, allow: '${here}', methods: [GET], paths: ['${path}'], addresses: [127.0.0.0/8] }
`
const options = { expires: null, hosts: ['web.test'], rules: { set: rulesFor('/old') } }

/** How paths are answered to a task. */
async function ask(cx: Scenario, task: MadeTask, ...paths: string[]): Promise<(number | string)[]> {
  const through = proxiedFetch(cx, task)
  const answers: (number | string)[] = []
  for (const each of paths)
    answers.push(
      await through.fetch(`${here}${each}`).then(
        ({ status }) => status,
        () => 'refused',
      ),
    )
  await through.close()
  return answers
}

async function versionOf(cx: Scenario): Promise<string> {
  const { body } = await api(cx, 'GET', '/v1/rules')
  return body.rules[0].version
}

scenario(
  t,
  'R26: a pinned task goes on with the text it pins, however the file changes, also over a restart',
  options,
  async (cx, t) => {
    const old = await versionOf(cx)
    const pinned = await makeTask(cx, { rules: [`set@${old}`] })
    const following = await makeTask(cx, { rules: ['set'] })
    t.strictSame(await ask(cx, pinned, '/old', '/new'), [200, 403])

    cx.file('rules/set.yaml', rulesFor('/new'))
    t.match(await api(cx, 'POST', '/v1/rules/reload', {}), { status: 200, body: { changed: true } })
    const now = await versionOf(cx)
    t.not(now, old)
    t.strictSame(await ask(cx, pinned, '/old', '/new'), [200, 403], 'pinned')
    t.strictSame(await ask(cx, following, '/old', '/new'), [403, 200], 'following')
    const later = await makeTask(cx, { rules: [`set@${old}`] })
    t.strictSame(await ask(cx, later, '/old', '/new'), [200, 403], 'pinned after the change')
    const unkept = `set@sha256:${'0'.repeat(64)}`
    await t.rejects(makeTask(cx, { rules: [unkept] }), /definition-invalid.*not the pinned one/)
    await t.rejects(makeTask(cx, { rules: [`other@${old}`] }), /definition-invalid/)

    t.match(await api(cx, 'GET', `/v1/rules/${old}`), {
      status: 200,
      body: { name: 'set', inForce: false, text: rulesFor('/old') },
    })
    t.match(await api(cx, 'GET', `/v1/rules/${now}`), { body: { inForce: true } })
    t.match(cx.run('rules', 'show', `set@${old}`), { status: 0, stdout: rulesFor('/old') })
    t.match(cx.run('rules', 'show', old), { status: 0, stdout: rulesFor('/old') })
    t.match(cx.run('rules', 'show', unkept), { status: 1, stderr: /no text of/ })
    t.match(cx.run('rules', 'show', 'set'), { status: 2 })
    t.match(cx.run('rules', 'show'), { status: 0, stdout: `set@${now}` })

    t.equal(await cx.stop(), 0)
    await cx.start()
    t.strictSame(await ask(cx, pinned, '/old', '/new'), [200, 403], 'after a restart')
    t.strictSame(await ask(cx, following, '/old', '/new'), [403, 200])

    rmSync(path.join(cx.directory, 'rules/set.yaml'))
    t.match(await api(cx, 'POST', '/v1/rules/reload', {}), { status: 200, body: { changed: true } })
    t.strictSame(await ask(cx, pinned, '/old'), [200], 'its file is gone')
    const refused = await getAs(cx, following, `http://web.test:${web.port}/new`)
    t.match(refused, /policy-unavailable/)

    const explained = cx.run('explain', 'GET', `${here}/old`, '--task', pinned.id)
    t.equal(explained.status, 0, explained.stderr)
    const decided = cx.terminal().filter(({ sallyport }) => sallyport.task?.id === pinned.id)
    t.ok(
      decided.every(
        ({ rule, event }) =>
          event.reason !== 'allowed' || rule === undefined || rule.version === old,
      ),
      'each decision names the text',
    )
    const call = decided.find(
      ({ url, event }) => url?.path === '/old' && event.reason === 'allowed',
    )
    const again = cx.run('explain', '--json', '--call', call!.sallyport.call!.id)
    t.match(JSON.parse(again.stdout), {
      underRulesThen: { same: true },
      underRulesNow: { same: true },
    })
    cx.file('candidate/set.yaml', rulesFor('/new'))
    const replayed = cx.run(
      'replay',
      'journal',
      '--rules',
      'candidate',
      '--task',
      pinned.id,
      '--json',
    )
    t.match(JSON.parse(replayed.stdout), { changed: 0, otherwise: 0 }, 'a pin is not replayed away')
  },
)
