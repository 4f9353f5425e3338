// `http://sallyport.internal/` as an agent meets it: its own envelope and nobody else's, a queue to people that changes no
// rule, and every way in which the name could be taken for another host, or another host for it.

import t from 'tap'

import { startDnsServer } from '../fixtures/dns.ts'
import {
  exchange,
  ruleSet,
  scenario,
  until,
  type JournalRecord,
  type Scenario,
} from '../fixtures/scenario.ts'
import { api, connectAs, getAs, makeTask, type MadeTask } from '../fixtures/tasks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const OWN = 'http://sallyport.internal'
const LOOPBACK = 'addresses: [127.0.0.0/8]'

interface Own {
  readonly status: number
  readonly head: string
  // A reader of JSON takes it as it comes.
  // eslint-disable-next-line typescript/no-explicit-any
  readonly body: any
}

function read(text: string): Own {
  const [head = '', ...rest] = text.split('\r\n\r\n')
  const content = rest.join('\r\n\r\n')
  const isJson = /content-type: application\/(problem\+)?json/i.test(head)
  return {
    status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0),
    head,
    body: isJson && content !== '' ? JSON.parse(content) : content,
  }
}

async function own(cx: Scenario, task: MadeTask | undefined, path: string): Promise<Own> {
  return read(await getAs(cx, task, `${OWN}${path}`))
}

async function ask(
  cx: Scenario,
  task: MadeTask | undefined,
  wanted: unknown,
  more: readonly string[] = [],
): Promise<Own> {
  const body = typeof wanted === 'string' ? wanted : JSON.stringify(wanted)
  const head = [
    `POST ${OWN}/v1/requests HTTP/1.1`,
    'Host: sallyport.internal',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    ...(task ? [task.login] : []),
    ...more,
  ].join('\r\n')
  return read(await cx.raw(`${head}\r\n\r\n${body}`))
}

const mayPath = (method: string, url: string): string =>
  `/v1/may?method=${method}&url=${encodeURIComponent(url)}`

void t.test('an agent reads its own envelope', async (t) => {
  const dns = await startDnsServer({ 'sallyport.internal': [['127.0.0.1']] })
  t.teardown(() => dns.close())
  const up = await startHttp({ handler: ({ url }) => ({ body: `at ${url}` }) })
  t.teardown(() => up.close())
  const host = `up.test:${up.port}`
  const base = {
    hosts: ['up.test'],
    expires: null,
    limits: 'holdWaitMs: 200',
    rules: ruleSet(
      `id: reading, allow: 'http://${host}', methods: [GET], paths: ['/here/**'], ${LOOPBACK}`,
      `id: writing, hold: 'http://${host}', methods: [POST], paths: ['/here/**'], ${LOOPBACK}`,
      `id: wide, allow: 'https://*.wide.test'`,
      `id: elsewhere, allow: 'https://prod.test', environment: prod`,
      `id: shut, deny: 'https://shut.wide.test'`,
    ),
  }

  scenario(
    t,
    'what it may do, why it was refused, and what would become of a call',
    base,
    async (cx, t) => {
      const task = await makeTask(cx, {
        intent: 'Read what is here.',
        capabilities: ['pages:read'],
        labels: { cost: '7' },
      })
      const other = await makeTask(cx)
      const index = await own(cx, task, '/')
      t.match(index.head, /content-type: text\/plain/i)
      t.match(index.body, /\/v1\/may/)
      t.match(await own(cx, task, '/v1/task'), {
        status: 200,
        body: {
          id: task.id,
          state: 'active',
          intent: 'Read what is here.',
          capabilities: ['pages:read'],
          labels: { cost: '7' },
          owner: { name: 'ann', team: 'test' },
          environment: 'test',
          ceiling: 'confidential',
          hasRead: 'public',
          mode: 'enforce',
        },
      })
      t.strictSame((await own(cx, task, '/v1/allowed')).body, {
        destinations: [
          { destination: `http://${host}`, methods: ['GET', 'POST'], decidedBy: 'rules-or-person' },
          { destination: 'https://*.wide.test:443', decidedBy: 'rules' },
        ],
      })

      const refused = await getAs(cx, task, `http://${host}/there`)
      t.match(refused, / 403 Sallyport: path-not-allowed/)
      const call: string = read(refused).body.call
      const { body } = await own(cx, task, '/v1/refusals')
      t.match(body.refusals, [
        {
          call,
          method: 'GET',
          url: `http://${host}/there`,
          reason: 'path-not-allowed',
          retry: 'no',
        },
      ])
      t.match(await own(cx, task, `/v1/refusals/${call}`), { status: 200, body: { call } })
      t.match(await own(cx, other, `/v1/refusals/${call}`), { status: 404 }, 'not another task')
      t.strictSame((await own(cx, other, '/v1/refusals')).body.refusals, [])

      const may = async (method: string, url: string): Promise<object> =>
        (await own(cx, task, mayPath(method, url))).body
      t.match(await may('GET', `http://${host}/here/x`), { verdict: 'allow', reason: 'allowed' })
      t.match(await getAs(cx, task, `http://${host}/here/x`), / 200 /)
      t.match(await may('POST', `http://${host}/here/x`), {
        verdict: 'hold',
        reason: 'approval-pending',
      })
      t.match(await may('GET', `http://${host}/there`), {
        verdict: 'deny',
        reason: 'path-not-allowed',
        status: 403,
        retry: 'no',
      })
      t.match(await may('GET', 'https://shut.wide.test/'), { reason: 'denied-by-rule' })
      t.match(await may('GET', 'https://prod.test/'), { reason: 'environment-mismatch' })
      t.match(await may('GET', 'https://nowhere.test/a/../b'), { reason: 'malformed-path' })
      t.match(await may('GET', 'https://user@nowhere.test/'), { reason: 'malformed-target' })
      t.match(await may('CONNECT', 'a.wide.test:443'), { verdict: 'allow' })
      t.match(await may('GET', `${OWN}/v1/task`), { verdict: 'allow' })
      t.match(await may('GET', 'https://sallyport.internal/'), { reason: 'protocol-not-allowed' })
      t.equal((await own(cx, task, '/v1/may?method=GET')).status, 400)
      t.equal((await own(cx, task, '/v1/may?method=GET&url=a&url=b')).status, 400)

      t.equal((await own(cx, task, '/v1/nothing')).status, 404)
      t.strictSame((await own(cx, task, '/v1/holds')).body, { holds: [] })
      const fields = `Host: ${host}\r\n${task.login}\r\nContent-Length: 0\r\nConnection: close`
      const held = await cx.raw(`POST http://${host}/here/x HTTP/1.1\r\n${fields}\r\n\r\n`)
      t.match(held, / 403 Sallyport: approval-pending/)
      const { holds } = (await own(cx, task, '/v1/holds')).body
      t.match(holds, [{ state: 'pending', method: 'POST', url: `http://${host}/here/x` }])
      t.notMatch(JSON.stringify(holds), /writing|reviewer/)
      t.match(await own(cx, task, `/v1/holds/${holds[0].id}`), { status: 200, body: holds[0] })
      t.equal((await own(cx, other, `/v1/holds/${holds[0].id}`)).status, 404)
      t.match((await own(cx, task, '/')).body, /\/v1\/holds/)
      t.equal((await own(cx, undefined, '/v1/task')).status, 407, 'nobody is told anything')
      const record = await cx.record(({ url }) => url?.path === '/v1/allowed')
      t.match(record, {
        event: { action: 'call-ended', reason: 'allowed' },
        destination: { domain: 'sallyport.internal', port: 80 },
        http: { response: { status_code: 200 } },
        sallyport: { task: { id: task.id }, decision: { verdict: 'allow' } },
      })
      t.equal(record.rule, undefined)
      t.notOk(
        cx
          .records()
          .some(
            ({ event, url }) =>
              event.action === 'call-started' && url?.domain === 'sallyport.internal',
          ),
        'nothing of it left, so nothing began',
      )
    },
  )

  scenario(t, 'by every way that a client has to a host', base, async (cx, t) => {
    const task = await makeTask(cx)
    const socket = await connectAs(cx, task, 'sallyport.internal:80')
    t.match(
      await exchange(
        socket,
        'GET /v1/task HTTP/1.1\r\nHost: sallyport.internal\r\nConnection: close\r\n\r\n',
      ),
      /^HTTP\/1\.1 200 OK\r\n/,
      'inside a tunnel, for clients that open one for every request',
    )
    const asked = async (line: string, named = 'sallyport.internal', more = ''): Promise<string> =>
      cx.raw(`${line}\r\nHost: ${named}\r\n${task.login}\r\n${more}Connection: close\r\n\r\n`)
    t.match(await asked(`GET ${OWN}/v1/task HTTP/1.0`), /^HTTP\/1\.[01] 200 /)
    t.match(await asked(`GET ${OWN}:80/v1/task HTTP/1.1`, 'sallyport.internal:80'), / 200 OK/)
    t.match(
      await asked('GET http://SALLYPORT.Internal./v1/task HTTP/1.1', 'SALLYPORT.Internal.'),
      / 200 OK/,
    )
    const headed = await asked(`HEAD ${OWN}/v1/task HTTP/1.1`)
    t.match(headed, /^HTTP\/1\.1 200 OK\r\n[\s\S]*Content-Length: [1-9]\d*\r\n[\s\S]*\r\n\r\n$/)
    const both = await cx.raw(
      `GET ${OWN}/v1/task HTTP/1.1\r\nHost: sallyport.internal\r\n${task.login}\r\n\r\n` +
        `GET ${OWN}/v1/allowed HTTP/1.1\r\nHost: sallyport.internal\r\n${task.login}\r\nConnection: close\r\n\r\n`,
    )
    t.equal(both.match(/HTTP\/1\.1 200 OK/g)?.length, 2, 'one behind the other')
    t.match(
      await asked(`POST ${OWN}/v1/task HTTP/1.1`, 'sallyport.internal', 'Content-Length: 0\r\n'),
      / 405 [\s\S]*\r\nAllow: GET, HEAD\r\n/,
    )
  })

  scenario(
    t,
    'nobody takes it for another host, or another for it',
    {
      ...base,
      config: `upstream: { ca: [upstream-ca.pem], resolver: ['127.0.0.1:${dns.port}'], hosts: { up.test: ['127.0.0.1'] } }`,
      rules: ruleSet(
        `id: all, allow: ['http://*', 'https://*', 'http://*:${up.port}', 'tcp://*:81'], environment: test, ${LOOPBACK}`,
      ),
    },
    async (cx, t) => {
      const task = await makeTask(cx)
      const login = `${task.login}\r\n`
      const said = async (bytes: string): Promise<string> => cx.raw(bytes)
      const get = (target: string, named: string, more = ''): string =>
        `GET ${target} HTTP/1.1\r\nHost: ${named}\r\n${login}${more}Connection: close\r\n\r\n`
      t.match(
        await said(get(`${OWN}/v1/task`, 'sallyport.internal')),
        / 200 OK/,
        'a rule for any host says nothing',
      )
      for (const [name, bytes, reason] of [
        [
          'another port',
          get(`${OWN}:${up.port}/`, `sallyport.internal:${up.port}`),
          'port-not-allowed',
        ],
        ['TLS', get('https://sallyport.internal/', 'sallyport.internal'), 'protocol-not-allowed'],
        [
          'a tunnel to another port',
          `CONNECT sallyport.internal:81 HTTP/1.1\r\nHost: sallyport.internal:81\r\n${login}\r\n`,
          'port-not-allowed',
        ],
        [
          'a tunnel for TLS',
          `CONNECT sallyport.internal:443 HTTP/1.1\r\nHost: sallyport.internal:443\r\n${login}\r\n`,
          'protocol-not-allowed',
        ],
        ['another Host', get(`${OWN}/v1/task`, 'up.test'), 'authority-mismatch'],
        [
          'its name as Host alone',
          get(`http://up.test:${up.port}/v1/task`, 'sallyport.internal'),
          'authority-mismatch',
        ],
        ['a user', get('http://me@sallyport.internal/', 'sallyport.internal'), 'malformed-target'],
        [
          'two dots',
          get('http://sallyport.internal../', 'sallyport.internal..'),
          'malformed-target',
        ],
        ['origin form', get('/v1/task', 'sallyport.internal'), 'malformed-target'],
        [
          'a WebSocket',
          get(
            'ws://sallyport.internal/',
            'sallyport.internal',
            'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n',
          ).replace('Connection: close', 'Connection: Upgrade'),
          'protocol-not-allowed',
        ],
        [
          'a page of a browser',
          get(`${OWN}/v1/task`, 'sallyport.internal', 'Origin: https://evil.test\r\n'),
          'operation-not-allowed',
        ],
        [
          'an image of one',
          get(`${OWN}/v1/task`, 'sallyport.internal', 'Sec-Fetch-Site: cross-site\r\n'),
          'operation-not-allowed',
        ],
      ] as const) {
        t.match(await said(bytes), new RegExp(`^HTTP/1\\.1 4\\d\\d Sallyport: ${reason}`), name)
      }
      t.match(
        await said(get('http://127.0.0.1/v1/task', '127.0.0.1')),
        /^HTTP\/1\.1 (403|502) /,
        'no address is it',
      )
      t.match(
        await said(get(`${OWN}/v1/%74ask`, 'sallyport.internal')),
        / 404 /,
        'nor is a path another',
      )
      t.match(await said(get(`${OWN}//v1/task`, 'sallyport.internal')), / 404 /)
      t.equal(dns.count('sallyport.internal'), 0, 'no resolver is asked for the name')
    },
  )
})

void t.test('an agent asks people, and people answer', async (t) => {
  const up = await startHttp({})
  t.teardown(() => up.close())
  const host = `up.test:${up.port}`
  const base = {
    hosts: ['up.test'],
    expires: null,
    limits: 'requestsPerHour: 4, requestsOpenPerTaskMax: 2, envelopeCallsPerMinute: 40',
    rules: ruleSet(`id: reading, allow: 'http://${host}', methods: [GET], ${LOOPBACK}`),
  }
  const wanted = (path: string, reason = 'The task needs it.'): object => ({
    method: 'POST',
    url: `http://${host}/${path}`,
    reason,
  })

  scenario(
    t,
    'a request is opened once, seen with the words of the agent marked, closed by an approver, and changes no rule',
    base,
    async (cx, t) => {
      const task = await makeTask(cx)
      const other = await makeTask(cx)
      const evil = 'Grant\u001b[2K this\u202e at once.\nApproved by: ann'
      const opened = await ask(cx, task, wanted('x', evil))
      t.match(opened, { status: 201, body: { id: /^q_[0-9a-z]{26}$/, state: 'open' } })
      const { id } = opened.body
      t.match(await ask(cx, task, wanted('x')), { status: 200, body: { id } }, 'the same one')
      t.match(await own(cx, task, `/v1/requests/${id}`), { status: 200, body: { state: 'open' } })
      t.match(await own(cx, other, `/v1/requests/${id}`), { status: 404 })
      t.strictSame((await own(cx, other, '/v1/requests')).body, { requests: [] })

      const { body } = await api(cx, 'GET', '/v1/requests?state=open')
      t.strictSame(body.requests, [
        {
          id,
          task: task.id,
          owner: { name: 'ann', team: 'test' },
          agent: body.requests[0].agent,
          environment: 'test',
          method: 'POST',
          url: `http://${host}/x`,
          verdict: 'deny',
          verdictReason: 'method-not-allowed',
          agentSays: 'Grant\\u{1b}[2K this\\u{202e} at once. Approved by: ann',
          state: 'open',
          openedAt: body.requests[0].openedAt,
        },
      ])
      const listed = cx.run('task', 'requests')
      t.match(listed.stdout, new RegExp(`^${id} open .* POST http://${host}/x\n`))
      t.match(listed.stdout, /\n  the agent says: "Grant/)
      t.match(
        cx.run('task', 'answer', id, 'granted', '--reason', 'Rules follow.').stdout,
        /granted by/,
      )
      t.equal(cx.run('task', 'answer', id, 'refused').status, 1, 'once')
      const closed = await own(cx, task, `/v1/requests/${id}`)
      t.match(closed.body, { id, state: 'granted', answer: 'Rules follow.' })
      t.notMatch(JSON.stringify(closed.body), /administrator/, 'who it was stays with people')
      t.match(
        (await own(cx, task, mayPath('POST', `http://${host}/x`))).body,
        { verdict: 'deny' },
        'what was granted is not allowed by that',
      )
      const events = cx.records().filter(({ event }) => event.action.startsWith('request-'))
      t.match(events, [
        {
          event: { action: 'request-opened' },
          sallyport: { task: { id: task.id }, detail: { request: id, method: 'POST' } },
        },
        {
          event: { action: 'request-closed' },
          sallyport: { detail: { request: id, answer: 'granted', actor: 'administrator' } },
        },
      ])
    },
  )

  scenario(t, 'requests are few, and small, and of use', base, async (cx, t) => {
    const task = await makeTask(cx)
    for (const bad of [
      '{',
      '[]',
      '{"method":"GET","url":"http://a.test/"}',
      { ...wanted('x'), more: 1 },
      { ...wanted('x'), reason: ' ' },
      { ...wanted('x'), reason: 'x'.repeat(1001) },
      { ...wanted('x'), method: 'no method' },
      { ...wanted('x'), url: 'http://a.test/../b' },
      { ...wanted('x'), method: 'GET' },
    ])
      t.equal((await ask(cx, task, bad)).status, 400, JSON.stringify(bad).slice(0, 60))
    t.equal((await ask(cx, task, { ...wanted('x'), reason: 'x'.repeat(20_000) })).status, 413)
    t.match(
      (await ask(cx, task, wanted('x'), ['Origin: null'])).head,
      /403 Sallyport: operation-not-allowed/,
    )
    t.equal((await ask(cx, task, wanted('1'))).status, 201)
    t.equal((await ask(cx, task, wanted('2'))).status, 201)
    const full = await ask(cx, task, wanted('3'))
    t.match(full.head, /^HTTP\/1\.1 429 Sallyport: quota-exceeded\r\n[\s\S]*\r\nRetry-After: 60/)
    const { body } = await api(cx, 'GET', '/v1/requests')
    for (const { id } of body.requests)
      await api(cx, 'POST', `/v1/requests/${id}/close`, { answer: 'refused' })
    t.equal((await ask(cx, task, wanted('3'))).status, 201)
    await ask(cx, task, wanted('4'))
    const closing = (await api(cx, 'GET', '/v1/requests?state=open')).body.requests
    for (const { id } of closing)
      await api(cx, 'POST', `/v1/requests/${id}/close`, { answer: 'refused' })
    const late = await ask(cx, task, wanted('5'))
    const wait = Number(/\r\nRetry-After: (\d+)/.exec(late.head)?.[1])
    t.ok(wait > 3000 && wait <= 3600, `not before the first of them is an hour old: ${wait}`)
    await cx.stop()
    await cx.start()
    t.match((await ask(cx, task, wanted('5'))).head, / 429 /, 'over a restart as well')

    let last = ''
    for (let at = 0; at < 41; at += 1) last = await getAs(cx, task, `${OWN}/v1/task`)
    t.match(last, / 429 Sallyport: quota-exceeded\r\n[\s\S]*\r\nRetry-After: \d+\r\n/)
  })

  scenario(t, 'nobody waits for the answer of a task that is over', base, async (cx, t) => {
    const task = await makeTask(cx)
    await ask(cx, task, wanted('x'))
    await api(cx, 'POST', `/v1/tasks/${task.id}/revoke`, {})
    t.strictSame((await api(cx, 'GET', '/v1/requests')).body, { requests: [] })
    const closed = (): JournalRecord | undefined =>
      cx.records().find(({ event }) => event.action === 'request-closed')
    await until(() => closed() !== undefined, 'its end is on record')
    t.match(closed()?.sallyport.detail, { answer: 'lapsed', actor: 'sidecar' })
    t.match(await getAs(cx, task, `${OWN}/v1/task`), /^HTTP\/1\.1 403 /)
  })
})
