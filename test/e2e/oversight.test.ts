// What an operator's dashboard shows of the whole after scripted events, and overrides: what lets something through beyond
// the rules waits until somebody else than who made it has looked at it, over restarts.

import t from 'tap'

import { ruleSet, scenario, until, type Scenario } from '../fixtures/scenario.ts'
import { api, getAs, makeTask, type ApiAnswer } from '../fixtures/tasks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const up = await startHttp({ handler: () => ({ body: 'ok' }) })
t.teardown(() => up.close())
const url = `http://up.test:${up.port}/`
const CI = 'canary-principal-ci-0123456789'
const ON_CALL = 'canary-principal-on-call-9876543210'
const rulesOf = (more = ''): Record<string, string> =>
  ruleSet(`id: up, allow: 'http://up.test:${up.port}', addresses: [127.0.0.0/8]${more}`)
const options = {
  hosts: ['up.test'],
  rules: rulesOf(),
  expires: null,
  config: `control:
  principals:
    - { name: ci, tokenFile: ci.secret, roles: [orchestrator, approver, operator] }
    - { name: on-call, tokenFile: on-call.secret, roles: [approver, viewer] }
credentials:
  one: { source: { file: one.secret }, inject: { bearer: true }, hosts: ['one.test'] }
  two: { source: { env: TWO }, inject: { bearer: true }, hosts: ['two.test'] }
`,
  files: { 'ci.secret': CI, 'on-call.secret': ON_CALL, 'one.secret': 'canary-one-00112233445566' },
  secrets: { TWO: 'canary-two-99887766554433' },
  limits: 'selfCheckMs: 100, denialStormCount: 5',
}
const as = (
  cx: Scenario,
  token: string,
  method: string,
  route: string,
  body?: unknown,
): Promise<ApiAnswer> => api(cx, method, route, body, { authorization: `Bearer ${token}` })

async function numbers(cx: Scenario): Promise<Record<string, number>> {
  const answer = await fetch(`http://127.0.0.1:${cx.healthPort}/metrics`)
  const lines = (await answer.text()).split('\n')
  return Object.fromEntries(
    lines
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [
        line.slice(0, line.lastIndexOf(' ')),
        Number(line.slice(line.lastIndexOf(' '))),
      ]),
  )
}

scenario(t, 'R82: the scrape shows each number after scripted events', options, async (cx, t) => {
  const login = { authorization: `Bearer ${CI}` }
  const one = await makeTask(cx, {}, undefined, login)
  const other = await makeTask(cx, {}, undefined, login)
  for (let asked = 0; asked < 6; asked += 1) await getAs(cx, one, 'http://elsewhere.test/')
  await getAs(cx, other, url)
  await as(cx, CI, 'POST', `/v1/tasks/${one.id}/extend`, { expires: '45m' })
  await until(
    async () => (await numbers(cx))['sallyport_static_secret_age_seconds']! > 0,
    'the secrets were looked at',
  )
  t.equal((await as(cx, CI, 'POST', `/v1/tasks/${other.id}/revoke`, {})).status, 200)
  const seen = await numbers(cx)
  t.match(seen, {
    'sallyport_calls_total{verdict="deny",reason="not-on-allowlist"}': 6,
    'sallyport_tasks{state="active"}': 1,
    sallyport_orphaned_tasks: 0,
    sallyport_static_secrets: 2,
    sallyport_task_ending_seconds_count: 1,
    sallyport_overrides_unreviewed: 1,
    'sallyport_detections_total{name="denial-storm"}': 1,
    'sallyport_detections_total{name="first-seen-destination"}': 1,
    'sallyport_self_check_passed{name="deny-by-default"}': 1,
  })
  t.ok(seen['sallyport_self_check_timestamp_seconds']! > 1e9)
  const age = seen['sallyport_static_secret_age_seconds']!

  t.equal(await cx.stop(), 0)
  await cx.start()
  await until(
    async () => (await numbers(cx))['sallyport_static_secret_age_seconds']! > age,
    'a restart makes no secret younger',
  )
  cx.file('one.secret', 'canary-one-77665544332211')
  cx.guard('one, rotated', 'canary-one-77665544332211')
  t.equal((await numbers(cx))['sallyport_overrides_unreviewed'], 1, 'nor an override reviewed')
})

scenario(
  t,
  'R82: an override waits until somebody else has looked at it',
  options,
  async (cx, t) => {
    const login = { authorization: `Bearer ${CI}` }
    const task = await makeTask(cx, {}, undefined, login)
    const list = async (): Promise<ApiAnswer['body']> =>
      (await as(cx, ON_CALL, 'GET', '/v1/overrides')).body.overrides
    t.strictSame(await list(), [])
    for (const expires of ['40m', '50m'])
      await as(cx, CI, 'POST', `/v1/tasks/${task.id}/extend`, { expires })
    cx.file('rules/set.yaml', rulesOf(', observe: true')['set']!)
    await as(cx, CI, 'POST', '/v1/rules/reload', {})
    await until(async () => (await list()).length === 2, 'both wait')
    const [extended, observing] = await list()
    t.match(extended, { kind: 'task-extended', about: task.id, by: ['ci'], count: 2, team: 'test' })
    t.match(observing, { kind: 'observe', about: /^set@sha256:/, by: [], count: 1 })

    const review = (token: string, id: string): Promise<ApiAnswer> =>
      as(cx, token, 'POST', `/v1/overrides/${id}/review`, {})
    t.match(await review(CI, extended.id), {
      status: 403,
      body: { reason: 'principal-not-allowed' },
    })
    t.equal((await list()).length, 2, 'its own maker reviews nothing')
    t.match(await review(ON_CALL, extended.id), { status: 200, body: { id: extended.id } })
    t.match(await review(ON_CALL, extended.id), { status: 404 })
    t.match(await review(ON_CALL, observing.id), { status: 200 })
    t.strictSame(await list(), [])
    t.equal(await cx.metric('sallyport_overrides_unreviewed'), 0)
    const reviewed = cx.records().filter(({ event }) => event.action === 'override-reviewed')
    t.match(
      reviewed.map(({ sallyport }) => sallyport.detail),
      [
        {
          override: extended.id,
          kind: 'task-extended',
          about: task.id,
          by: ['ci'],
          actor: 'on-call',
        },
        { override: observing.id, kind: 'observe', actor: 'on-call' },
      ],
    )
    t.equal(await cx.stop(), 0)
    await cx.start()
    t.strictSame(await list(), [], 'what was reviewed is no news after a restart')
    await as(cx, CI, 'POST', `/v1/tasks/${task.id}/extend`, { expires: '55m' })
    t.match(await list(), [{ kind: 'task-extended', count: 1 }], 'another is')
  },
)
