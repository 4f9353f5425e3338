// Proves the routes: what each takes, answers and puts on record, who may call it, and the document that describes it.

import t from 'tap'

import { DEFINITION, OLD_VERSION } from '../../fixtures/control.ts'
import { answeredBy, startControl, type Answered, type Control } from './support.ts'

const UNKNOWN = `t_${'z'.repeat(26)}`

async function make(control: Control, as = 'administrator', team = 'payments'): Promise<string> {
  const definition = { ...DEFINITION, owner: { name: 'on-call', team } }
  const { status, body } = await control.ask('POST', '/v1/tasks', definition, { as })
  if (status !== 201) throw new Error(JSON.stringify(body))
  return String(body['id'])
}

void t.test('a task is made, shown, changed and ended', async (t) => {
  const control = await startControl(t)
  const made = await control.ask('POST', '/v1/tasks', DEFINITION)
  t.equal(made.status, 201)
  const id = String(made.body['id'])
  t.match(made.body, {
    id: /^t_/,
    token: `secret-of-${id}`,
    proxy: `http://${id}:secret-of-${id}@127.0.0.1:3128`,
    env: { SSL_CERT_FILE: String },
    task: { id, state: 'active', createdBy: 'administrator' },
  })
  const at = `/v1/tasks/${id}`
  t.match(await control.ask('GET', at), { status: 200, body: { id, state: 'active' } })
  t.match(await control.ask('POST', `${at}/suspend`, { reason: 'lunch' }), {
    status: 200,
    body: { state: 'suspended' },
  })
  t.match(await control.ask('POST', `${at}/resume`), { status: 200, body: { state: 'active' } })
  t.match(await control.ask('POST', `${at}/heartbeat`), { status: 200 })
  t.match(await control.ask('POST', `${at}/extend`, { expires: '1h' }), {
    status: 200,
    body: { expiresAt: '2027-01-31T13:00:00.000Z' },
  })
  t.match(await control.ask('POST', `${at}/attest`, { image: 'sha256:1' }), { status: 200 })
  const environment = await control.ask('GET', `${at}/env`)
  t.match(environment, { status: 200, body: { env: { API_TOKEN: String } } })
  t.notMatch(JSON.stringify(environment.body), 'secret-of', 'the token is shown once')
  const child = await control.ask('POST', `${at}/children`, DEFINITION)
  t.match(child, { status: 201, body: { task: { parent: id } } })
  t.match(await control.ask('POST', `${at}/revoke`, { reason: 'done' }), {
    status: 200,
    body: { task: id, reason: 'done', complete: true, signature: { algorithm: 'Ed25519' } },
  })
  t.match(await control.ask('POST', `${at}/resume`), {
    status: 403,
    body: { reason: 'task-ended', type: 'urn:sallyport:reason:task-ended' },
  })
  t.match(
    control.recorded,
    [{ action: 'control-refused', detail: { principal: 'administrator', reason: 'task-ended' } }],
    'the tasks room records what was done, the refusal is recorded here',
  )
})

void t.test('tasks are listed by state, owner and agent', async (t) => {
  const control = await startControl(t)
  const id = await make(control)
  await make(control, 'administrator', 'platform')
  await control.ask('POST', `/v1/tasks/${id}/suspend`)
  const count = async (query: string): Promise<number> => {
    const { body } = await control.ask('GET', `/v1/tasks${query}`)
    const tasks: unknown[] = body['tasks']
    return tasks.length
  }
  t.equal(await count(''), 2)
  t.equal(await count('?state=suspended'), 1)
  t.equal(await count('?state=ended'), 0)
  t.equal(await count('?owner=on-call'), 2)
  t.equal(await count('?owner=nobody'), 0)
  t.match(await control.ask('GET', '/v1/tasks'), { body: { more: false } })
  const newest = await control.ask('GET', '/v1/tasks?limit=1')
  t.match(newest.body, { tasks: [{ owner: { team: 'platform' } }], more: true })
  t.match(await control.ask('GET', '/v1/tasks?limit=0'), { status: 400, body: { field: '/limit' } })
  t.equal(await count('?agent=bot'), 2)
  t.equal(await count('?agent=bot/1&state=active'), 1)
  t.match(await control.ask('GET', '/v1/tasks?stat=active'), {
    status: 400,
    body: { field: '/stat' },
  })
  t.match(await control.ask('GET', '/v1/tasks?state=dead'), {
    status: 400,
    body: { field: '/state' },
  })
})

void t.test('the same request with the same key is one task, of its principal alone', async (t) => {
  const control = await startControl(t, {
    principals: [
      { name: 'one', roles: ['orchestrator'] },
      { name: 'two', roles: ['orchestrator'] },
    ],
  })
  const ask = (as: string, intent: string, key = 'k-1'): Promise<Answered> =>
    control.ask(
      'POST',
      '/v1/tasks',
      { ...DEFINITION, intent },
      { as, headers: { 'Idempotency-Key': key } },
    )
  const first = await ask('one', 'a')
  t.equal(first.status, 201)
  const again = await ask('one', 'a')
  t.equal(again.status, 200)
  t.equal(again.body['id'], first.body['id'])
  t.notOk('token' in again.body, 'the token is shown once')
  t.match(await ask('one', 'b'), { status: 409, body: { reason: 'conflict' } })
  const other = await ask('two', 'a')
  t.equal(other.status, 201, 'another principal’s key is another key')
  t.not(other.body['id'], first.body['id'])
  t.match(await ask('one', 'a', 'x'.repeat(256)), {
    status: 400,
    body: { field: '/idempotency-key' },
  })
})

void t.test('what is wrong with a definition is told by its field', async (t) => {
  const control = await startControl(t)
  const { expires: _expires, ...incomplete } = DEFINITION
  for (const [definition, field] of [
    [{ ...DEFINITION, lables: {} }, '/lables'],
    [{ ...DEFINITION, owner: { name: 'a', team: 'b', email: 'c' } }, '/owner/email'],
    [incomplete, '/expires'],
    [{ ...DEFINITION, expires: 'soon' }, '/expires'],
    [{ ...DEFINITION, expires: 1800 }, '/expires'],
    [{ ...DEFINITION, rules: [] }, '/rules'],
    [{ ...DEFINITION, rules: ['a', 'a@sha256:' + '0'.repeat(64)] }, '/rules'],
    [{ ...DEFINITION, rules: ['../../etc/passwd'] }, '/rules/0'],
    [{ ...DEFINITION, params: { repo: 7 } }, '/params/repo'],
    [{ ...DEFINITION, params: { repo: 'x'.repeat(1025) } }, '/params/repo'],
    [{ ...DEFINITION, intent: 'x'.repeat(8193) }, '/intent'],
    [{ ...DEFINITION, ceiling: 'secret' }, '/ceiling'],
    [{ ...DEFINITION, parent: 't_1' }, '/parent'],
    [{ ...DEFINITION, identity: { sources: ['10.0.0.1/8'] } }, '/identity/sources/0'],
    [{ ...DEFINITION, sandbox: { id: 'x', pid: -1 } }, '/sandbox/pid'],
    [{ ...DEFINITION, heartbeat: { within: '1m', endAfter: '1s' } }, '/heartbeat/endAfter'],
    [[DEFINITION], ''],
    ['text', ''],
    [null, ''],
  ] as const) {
    const { status, body, headers } = await control.ask('POST', '/v1/tasks', definition)
    t.equal(status, 400, field)
    t.equal(headers.get('content-type'), 'application/problem+json')
    t.match(body, {
      type: 'urn:sallyport:reason:definition-invalid',
      title: String,
      status: 400,
      reason: 'definition-invalid',
      detail: String,
      remedy: String,
    })
    t.equal(body['field'], field)
    t.notMatch(JSON.stringify(body), /\.ts\b|node_modules|\bat \S+:\d/, 'no stack')
  }
  t.equal([...control.parts.tasks.list()].length, 0)
  t.equal((await control.ask('POST', '/v1/tasks', DEFINITION)).status, 201)
})

void t.test('malformed JSON and names with a meaning of their own are refused', async (t) => {
  const control = await startControl(t)
  const post = async (text: string): Promise<Answered> => {
    const response = await fetch(`http://127.0.0.1:${control.port}/v1/tasks`, {
      method: 'POST',
      headers: {
        Authorization: 'Bearer token-of-administrator-0123456789',
        'Content-Type': 'application/json',
      },
      body: text,
    })
    return answeredBy(response)
  }
  for (const text of ['{', '', '{"intent":}', '\u0000', '[[['.repeat(10_000)])
    t.match(
      await post(text),
      { status: 400, body: { reason: 'definition-invalid' } },
      text.slice(0, 9),
    )
  const whole = JSON.stringify(DEFINITION).slice(1)
  const polluted = await post(`{"__proto__":{"polluted":1},"constructor":{},${whole}`)
  t.equal(polluted.status, 400)
  t.equal(Reflect.get({}, 'polluted'), undefined)
})

void t.test('a rule set is there by its digest, and a pin of it is for whom it says', async (t) => {
  const control = await startControl(t)
  t.match(await control.ask('GET', `/v1/rules/${OLD_VERSION}`), {
    status: 200,
    body: { name: 'open-set', version: OLD_VERSION, inForce: false, text: /^ruleset: open-set/ },
  })
  t.match(await control.ask('GET', `/v1/rules/sha256:${'1'.repeat(64)}`), {
    status: 404,
    body: { reason: 'not-found' },
  })
  const pinned = { ...DEFINITION, rules: [`open-set@${OLD_VERSION}`] }
  t.match(await control.ask('POST', '/v1/tasks', pinned), {
    status: 403,
    body: { reason: 'principal-not-allowed', field: '/rules/0' },
  })
  const theirs = { ...pinned, owner: { name: 'ann', team: 'platform' } }
  t.equal((await control.ask('POST', '/v1/tasks', theirs)).status, 201)
})

void t.test('an id is an id, whatever else stands there', async (t) => {
  const control = await startControl(t)
  for (const id of [
    '..%2f..%2fetc%2fpasswd',
    '%00',
    't_1',
    'constructor',
    `${UNKNOWN}%2f..`,
    '__proto__',
  ]) {
    const { status } = await control.ask('GET', `/v1/tasks/${id}`)
    t.ok(status === 400 || status === 404, `${id}: ${status}`)
  }
  for (const [method, path] of [
    ['GET', `/v1/tasks/${UNKNOWN}`],
    ['GET', `/v1/tasks/${UNKNOWN}/env`],
    ['POST', `/v1/tasks/${UNKNOWN}/revoke`],
    ['DELETE', '/v1/kill/none'],
    ['GET', '/v1/unknown'],
    ['PATCH', '/v1/tasks'],
    ['GET', '/'],
  ] as const)
    t.match(await control.ask(method, path), { status: 404, body: { reason: 'not-found' } }, path)
})

void t.test('an error of the program itself tells the principal nothing of it', async (t) => {
  const control = await startControl(t)
  const fail = (): never => {
    throw new Error('a secret of the program')
  }
  Object.assign(control.parts, { inventory: fail })
  const answers = [await control.ask('GET', '/v1/inventory')]
  Object.assign(control.parts, { record: fail })
  answers.push(await control.ask('POST', '/v1/rules/reload'), await control.ask('POST', '/v1/none'))
  for (const { status, body } of answers) {
    t.equal(status, 500)
    t.match(body, { reason: 'internal', status: 500 })
    t.notMatch(JSON.stringify(body), 'secret')
  }
  t.ok(control.unexpected.length >= 3, 'the operator is told')
  control.unexpected.length = 0
})

void t.test(
  'R56: checkpoints and their keys are shown to anyone, and made by whom it concerns',
  async (t) => {
    const control = await startControl(t)
    t.match(await control.ask('GET', '/v1/checkpoints'), {
      status: 200,
      body: { journal: String, keys: [{ kid: 'kid', from: String }], checkpoints: [{ seq: 7 }] },
    })
    t.match(await control.ask('POST', '/v1/checkpoints'), { status: 200, body: { seq: 7 } })
    const made = await control.ask('POST', '/v1/tasks', DEFINITION)
    t.match(await control.ask('POST', '/v1/checkpoints', { task: made.body['id'] }), {
      status: 200,
      body: { seq: 7, task: made.body['id'] },
    })
    t.match(await control.ask('POST', '/v1/checkpoints', { task: `t_${'0'.repeat(25)}9` }), {
      status: 404,
      body: { reason: 'not-found', field: '/task' },
    })
    t.match(await control.ask('POST', '/v1/checkpoints', { tasks: 'x' }), {
      status: 400,
      body: { reason: 'definition-invalid' },
    })
  },
)

void t.test('a rule set is given only to the teams it is for', async (t) => {
  const control = await startControl(t)
  const definition = { ...DEFINITION, rules: ['open-set', 'platform-set'] }
  t.match(await control.ask('POST', '/v1/tasks', definition), {
    status: 403,
    body: { reason: 'principal-not-allowed', field: '/rules/1' },
  })
  const pinned = { ...DEFINITION, rules: [`platform-set@sha256:${'0'.repeat(64)}`] }
  t.match(await control.ask('POST', '/v1/tasks', pinned), {
    status: 403,
    body: { field: '/rules/0' },
  })
  const owner = { name: 'x', team: 'platform' }
  t.equal((await control.ask('POST', '/v1/tasks', { ...definition, owner })).status, 201)
})

void t.test('the kill switch, owners and rules are put on record with the principal', async (t) => {
  const control = await startControl(t)
  t.match(
    await control.ask('POST', '/v1/kill', { scope: 'host', value: 'api.test', reason: 'leak' }),
    {
      status: 200,
      body: { kill: { id: 'k_0', scope: 'host', value: 'api.test', by: 'administrator' }, cut: 3 },
    },
  )
  t.match(await control.ask('GET', '/v1/kill'), { status: 200, body: { kills: [{ id: 'k_0' }] } })
  t.match(await control.ask('DELETE', '/v1/kill/k_0'), { status: 200, body: { id: 'k_0' } })
  t.match(await control.ask('POST', '/v1/kill', { scope: 'all' }), { status: 200 })
  t.match(await control.ask('POST', '/v1/kill', { scope: 'host' }), {
    status: 400,
    body: { field: '/value' },
  })
  t.match(await control.ask('POST', '/v1/kill', { scope: 'all', value: 'x' }), { status: 400 })
  t.match(await control.ask('POST', '/v1/kill', { scope: 'planet' }), {
    status: 400,
    body: { field: '/scope' },
  })
  const owner = '/v1/owners/payments%20on-call%2Fnight'
  t.match(await control.ask('PUT', owner, { disabled: true }), {
    status: 200,
    body: { owner: 'payments on-call/night', disabled: true },
  })
  t.match(await control.ask('GET', owner), { status: 200, body: { disabled: true } })
  t.match(await control.ask('GET', '/v1/owners'), {
    body: { disabled: ['payments on-call/night'] },
  })
  t.match(await control.ask('PUT', owner, { disabled: false }), { body: { disabled: false } })
  t.match(await control.ask('POST', '/v1/rules/reload'), { status: 200, body: { changed: true } })
  t.match(
    control.recorded.map(({ action, detail }) => [
      action,
      detail['principal'],
      detail['operation'],
    ]),
    [
      ['control-changed', 'administrator', 'kill'],
      ['control-changed', 'administrator', 'kill-lifted'],
      ['control-changed', 'administrator', 'kill'],
      ['control-refused', 'administrator', 'POST /v1/kill'],
      ['control-refused', 'administrator', 'POST /v1/kill'],
      ['control-refused', 'administrator', 'POST /v1/kill'],
      ['control-changed', 'administrator', 'owner-disabled'],
      ['control-changed', 'administrator', 'owner-enabled'],
      ['control-changed', 'administrator', 'rules-reload'],
    ],
  )
})

void t.test('what there is can be read', async (t) => {
  const control = await startControl(t)
  t.match(await control.ask('GET', '/v1/rules'), { body: { rules: [{ name: 'open-set' }, {}] } })
  t.match(await control.ask('GET', '/v1/credentials'), { body: { credentials: [{ name: 'api' }] } })
  t.match(await control.ask('GET', '/v1/inventory'), { body: { tasks: 0, sandboxes: ['box'] } })
  t.match(await control.ask('GET', '/v1/keys'), { body: { keys: [{ kty: 'OKP', kid: 'kid' }] } })
  for (let n = 0; n < 3; n += 1) control.call({ n })
  t.strictSame((await control.ask('GET', '/v1/calls?limit=2')).body, {
    calls: [{ n: 1 }, { n: 2 }],
  })
  control.call({ gen_ai: { tool: { name: 'list_issues' } } })
  t.match((await control.ask('GET', '/v1/calls?tool=list_issues')).body, {
    calls: [{ gen_ai: { tool: { name: 'list_issues' } } }],
  })
  t.match(await control.ask('GET', '/v1/calls?tool='), { status: 400, body: { field: '/tool' } })
  t.match(await control.ask('GET', '/v1/calls?limit=1001'), {
    status: 400,
    body: { field: '/limit' },
  })
  t.equal(
    (
      await control.ask('HEAD', '/v1/calls', undefined, {
        headers: { Accept: 'text/event-stream' },
      })
    ).status,
    200,
  )
  t.equal(control.followers(), 0, 'a HEAD follows nothing')
})

void t.test('the document is made from the schemas that check', async (t) => {
  const control = await startControl(t)
  const { status, body } = await control.ask('GET', '/openapi.json')
  t.equal(status, 200)
  const paths: object = body['paths']
  t.match(body, { openapi: '3.1.0', info: { version: '1.2.3' } })
  t.strictSame(Object.keys(paths).toSorted(), [
    '/v1/calls',
    '/v1/checkpoints',
    '/v1/credentials',
    '/v1/holds',
    '/v1/holds/{id}',
    '/v1/holds/{id}/answer',
    '/v1/holds/{id}/approve',
    '/v1/holds/{id}/deny',
    '/v1/inventory',
    '/v1/keys',
    '/v1/kill',
    '/v1/kill/{id}',
    '/v1/overrides',
    '/v1/overrides/{id}/review',
    '/v1/owners',
    '/v1/owners/{owner}',
    '/v1/requests',
    '/v1/requests/{id}/close',
    '/v1/rules',
    '/v1/rules/reload',
    '/v1/rules/{version}',
    '/v1/tasks',
    '/v1/tasks/{id}',
    '/v1/tasks/{id}/attest',
    '/v1/tasks/{id}/children',
    '/v1/tasks/{id}/env',
    '/v1/tasks/{id}/extend',
    '/v1/tasks/{id}/flow/reset',
    '/v1/tasks/{id}/heartbeat',
    '/v1/tasks/{id}/intent',
    '/v1/tasks/{id}/resume',
    '/v1/tasks/{id}/revoke',
    '/v1/tasks/{id}/suspend',
  ])
  const posted = body['paths']['/v1/tasks'].post.requestBody.content['application/json'].schema
  t.strictSame(posted.required, [
    'intent',
    'owner',
    'agent',
    'sandbox',
    'rules',
    'environment',
    'ceiling',
    'expires',
  ])
  t.equal(posted.additionalProperties, false)
  t.match(body['components'].schemas, { Task: {}, Receipt: {}, Kill: {}, Problem: {} })
})

void t.test('R10: only an approver extends what a task declares', async (t) => {
  const control = await startControl(t, {
    principals: [
      { name: 'starter', roles: ['orchestrator', 'operator'] },
      { name: 'reviewer', roles: ['approver'] },
      { name: 'stranger', roles: ['approver'], teams: ['platform'] },
    ],
  })
  const id = await make(control, 'starter')
  const at = `/v1/tasks/${id}/intent`
  const more = { intent: 'Triage and label.', reason: 'asked for' }
  for (const as of ['starter', 'stranger'])
    t.match(await control.ask('POST', at, more, { as }), {
      status: 403,
      body: { reason: 'principal-not-allowed' },
    })
  t.match(await control.ask('POST', at, more, { as: 'reviewer' }), {
    status: 200,
    body: { intent: 'Triage and label.' },
  })
  t.match(await control.ask('POST', at, { reason: 'nothing' }, { as: 'reviewer' }), { status: 400 })
  t.match(await control.ask('POST', at, { intent: 'without a reason' }, { as: 'reviewer' }), {
    status: 400,
    body: { field: '/reason' },
  })
})

void t.test('R80: a task that observes takes the role operator', async (t) => {
  const control = await startControl(t, {
    principals: [
      { name: 'starter', roles: ['orchestrator'] },
      { name: 'boss', roles: ['operator'] },
    ],
  })
  const definition = { ...DEFINITION, observe: true }
  t.match(await control.ask('POST', '/v1/tasks', definition, { as: 'starter' }), {
    status: 403,
    body: { reason: 'principal-not-allowed', field: '/observe' },
  })
  t.match(await control.ask('POST', '/v1/tasks', DEFINITION, { as: 'starter' }), { status: 201 })
  t.match(await control.ask('POST', '/v1/tasks', definition, { as: 'boss' }), { status: 201 })
})

void t.test('what agents ask for is listed by team, and closed once, by an approver', async (t) => {
  const control = await startControl(t, {
    principals: [
      { name: 'boss', roles: ['operator', 'orchestrator'] },
      { name: 'reviewer', roles: ['approver'] },
      { name: 'stranger', roles: ['approver'], teams: ['platform'] },
    ],
  })
  const ids = async (as: string, query = ''): Promise<string[]> => {
    const { body } = await control.ask('GET', `/v1/requests${query}`, undefined, { as })
    const requests: { id: string }[] = body['requests']
    return requests.map(({ id }) => id)
  }
  t.strictSame(await ids('boss'), ['q_1', 'q_2'])
  t.strictSame(await ids('boss', '?state=open'), ['q_1'])
  t.strictSame(await ids('boss', '?task=t_q_2'), ['q_2'])
  t.strictSame(await ids('stranger'), ['q_2'])
  const at = '/v1/requests/q_1/close'
  const granted = { answer: 'granted', reason: 'the rules follow' }
  t.match(await control.ask('POST', at, granted, { as: 'boss' }), { status: 403 })
  t.match(await control.ask('POST', at, granted, { as: 'stranger' }), { status: 404 })
  t.match(await control.ask('POST', at, { answer: 'maybe' }, { as: 'reviewer' }), { status: 400 })
  t.match(await control.ask('POST', at, granted, { as: 'reviewer' }), {
    status: 200,
    body: { state: 'granted', closedBy: 'reviewer', answer: 'the rules follow' },
  })
  t.match(await control.ask('POST', at, granted, { as: 'reviewer' }), { status: 409 })
})
