// Proves who may do what: each role's routes, its denials, and the limits of teams.

import t from 'tap'

import { DEFINITION } from '../../fixtures/control.ts'
import { startControl, type Control, type TestPrincipal } from './support.ts'

const PRINCIPALS: readonly TestPrincipal[] = [
  { name: 'viewer', roles: ['viewer'] },
  { name: 'approver', roles: ['approver'] },
  { name: 'operator', roles: ['operator'] },
  { name: 'orchestrator', roles: ['orchestrator'] },
  { name: 'other', roles: ['orchestrator'] },
  { name: 'team-orchestrator', roles: ['orchestrator'], teams: ['payments'] },
  { name: 'team-viewer', roles: ['viewer'], teams: ['payments'] },
  { name: 'team-operator', roles: ['operator'], teams: ['payments'] },
]

async function make(control: Control, as: string, team = 'payments'): Promise<string> {
  const definition = { ...DEFINITION, owner: { name: 'on-call', team } }
  const { status, body } = await control.ask('POST', '/v1/tasks', definition, { as })
  if (status !== 201) throw new Error(JSON.stringify(body))
  return String(body['id'])
}

void t.test('each role has its routes, and no others', async (t) => {
  const control = await startControl(t, { principals: PRINCIPALS })
  const id = await make(control, 'orchestrator')
  const allowed = async (
    as: string,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<boolean> => {
    const answer = await control.ask(method, path, body, { as })
    if (answer.status === 403) t.equal(answer.body['reason'], 'principal-not-allowed')
    else t.ok(answer.status < 300, `${as} ${method} ${path}: ${answer.status}`)
    return answer.status !== 403
  }
  const readers = ['viewer', 'approver', 'operator']
  const routes: readonly (readonly [readonly string[], string, string, unknown?])[] = [
    [[...readers, 'orchestrator', 'other'], 'GET', '/v1/tasks'],
    [[...readers, 'orchestrator', 'other'], 'GET', '/v1/rules'],
    [[...readers, 'orchestrator', 'other'], 'GET', '/v1/keys'],
    [[...readers, 'orchestrator', 'other'], 'GET', '/v1/calls'],
    [[...readers, 'orchestrator'], 'GET', `/v1/tasks/${id}`],
    [[...readers, 'orchestrator'], 'GET', `/v1/calls?task=${id}`],
    [readers, 'GET', '/v1/credentials'],
    [readers, 'GET', '/v1/inventory'],
    [readers, 'GET', '/v1/kill'],
    [readers, 'GET', '/v1/owners'],
    [['operator', 'orchestrator'], 'GET', `/v1/tasks/${id}/env`],
    [['operator', 'orchestrator', 'other'], 'POST', '/v1/tasks', DEFINITION],
    [['operator', 'orchestrator'], 'POST', `/v1/tasks/${id}/children`, DEFINITION],
    [['operator', 'orchestrator'], 'POST', '/v1/tasks', { ...DEFINITION, parent: id }],
    [['operator', 'orchestrator'], 'POST', `/v1/tasks/${id}/suspend`],
    [['operator', 'orchestrator'], 'POST', `/v1/tasks/${id}/resume`],
    [['operator', 'orchestrator'], 'POST', `/v1/tasks/${id}/heartbeat`],
    [['operator', 'orchestrator'], 'POST', `/v1/tasks/${id}/extend`, { expires: '1h' }],
    [['operator', 'orchestrator'], 'POST', `/v1/tasks/${id}/attest`, {}],
    [['operator'], 'POST', '/v1/kill', { scope: 'host', value: 'api.test' }],
    [['operator'], 'PUT', '/v1/owners/on-call', { disabled: false }],
    [['operator'], 'POST', '/v1/rules/reload'],
  ]
  const names = ['viewer', 'approver', 'operator', 'orchestrator', 'other']
  for (const [who, method, path, body] of routes) {
    const may = []
    for (const name of names) if (await allowed(name, method, path, body)) may.push(name)
    t.strictSame(
      may,
      names.filter((name) => who.includes(name)),
      `${method} ${path}`,
    )
  }
  t.equal(await allowed('other', 'POST', `/v1/tasks/${id}/revoke`), false)
  t.equal(await allowed('orchestrator', 'POST', `/v1/tasks/${id}/revoke`), true)
})

void t.test('an orchestrator sees its own tasks, and those of its teams', async (t) => {
  const control = await startControl(t, { principals: PRINCIPALS })
  const own = await make(control, 'orchestrator')
  const platform = await make(control, 'orchestrator', 'platform')
  const others = await make(control, 'other')
  const seen = async (as: string): Promise<string[]> => {
    const { body } = await control.ask('GET', '/v1/tasks', undefined, { as })
    const tasks: { id: string }[] = body['tasks']
    return tasks.map(({ id }) => id)
  }
  t.strictSame(await seen('orchestrator'), [own, platform])
  t.strictSame(await seen('other'), [others])
  t.strictSame(await seen('team-orchestrator'), [own, others])
  t.strictSame(await seen('team-viewer'), [own, others])
  t.strictSame(await seen('viewer'), [own, platform, others])
})

void t.test('teams limit what is made, seen, changed, killed and followed', async (t) => {
  const control = await startControl(t, { principals: PRINCIPALS })
  const payments = await make(control, 'operator')
  const platform = await make(control, 'operator', 'platform')
  const status = async (
    as: string,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<number> => (await control.ask(method, path, body, { as })).status
  const theirs = { ...DEFINITION, owner: { name: 'x', team: 'platform' } }
  t.equal(await status('team-orchestrator', 'POST', '/v1/tasks', theirs), 403)
  t.equal(await status('team-orchestrator', 'POST', '/v1/tasks', DEFINITION), 201)
  t.equal(
    await status('team-orchestrator', 'POST', `/v1/tasks/${platform}/children`, DEFINITION),
    403,
  )
  t.equal(await status('team-orchestrator', 'POST', `/v1/tasks/${payments}/suspend`), 200)
  t.equal(await status('team-viewer', 'GET', `/v1/tasks/${platform}`), 403)
  t.equal(await status('team-viewer', 'GET', `/v1/tasks/${payments}`), 200)
  t.equal(await status('team-viewer', 'GET', `/v1/calls?task=${platform}`), 403)
  t.equal(await status('team-viewer', 'GET', '/v1/inventory'), 403)
  t.equal(
    await status('team-operator', 'POST', '/v1/kill', { scope: 'task', value: platform }),
    403,
  )
  t.equal(
    await status('team-operator', 'POST', '/v1/kill', { scope: 'task', value: payments }),
    200,
  )
  t.equal(await status('team-operator', 'POST', '/v1/kill', { scope: 'all' }), 403)
  t.equal(await status('team-operator', 'DELETE', '/v1/kill/k_0'), 200)
  t.equal(await status('operator', 'POST', '/v1/kill', { scope: 'host', value: 'a.test' }), 200)
  t.equal(await status('team-operator', 'DELETE', '/v1/kill/k_0'), 403)
  t.equal(await status('team-operator', 'PUT', '/v1/owners/x', { disabled: true }), 403)
  const absent = `t_${'z'.repeat(26)}`
  t.match(
    await control.ask('POST', '/v1/kill', { scope: 'task', value: absent }, { as: 'operator' }),
    {
      status: 404,
      body: { field: '/value' },
    },
  )
  const orphan = { ...DEFINITION, parent: absent }
  t.match(await control.ask('POST', '/v1/tasks', orphan, { as: 'operator' }), {
    status: 404,
    body: { field: '/parent' },
  })
  for (const id of [payments, platform]) control.call({ sallyport: { task: { id } } })
  control.call({ sallyport: {} })
  const { body } = await control.ask('GET', '/v1/calls', undefined, { as: 'team-viewer' })
  t.strictSame(body, { calls: [{ sallyport: { task: { id: payments } } }] })
  const refused = control.recorded.filter(({ action }) => action === 'control-refused')
  t.equal(refused.length, 8, 'each refused change is on record, no refused look is')
})
