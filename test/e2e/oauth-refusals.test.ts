// An authorization server that gives nothing, or has another clock: a call that needs it is refused at once and in our words, the
// others go on, and once it is well again so does the call.

import { createPublicKey, type KeyObject } from 'node:crypto'
import type { RequestListener } from 'node:http'

import { jwtVerify } from 'jose'
import t from 'tap'

import { openOAuthDesk, SERVER_WORDS } from '../fixtures/oauth-desk.ts'
import { startOidc } from '../fixtures/oidc-server.ts'
import { freePort, scenario, until, type Scenario } from '../fixtures/scenario.ts'
import { makeTask } from '../fixtures/tasks.ts'

const OK = /^HTTP\/1\.1 200/
const REFUSED = /^HTTP\/1\.1 502 Sallyport: credential-unavailable/
const MINUTES = 60_000

/** Answers with a status, fields and a text. */
function says(
  status: number,
  fields: Readonly<Record<string, string>>,
  text: string,
): RequestListener {
  return (_, response) => void response.writeHead(status, fields).end(text)
}

const json = { 'content-type': 'application/json' }

/** What passes by itself. */
const FAULTS: Readonly<Record<string, RequestListener>> = {
  'it breaks off': (_, response) => response.destroy(),
  'it does not answer': () => undefined,
  'it begins and does not end': (_, response) => {
    response.writeHead(200, { ...json, 'content-length': '500' })
    response.write('{"access_token":"')
  },
  'it is asked too often': says(429, { ...json, 'retry-after': '1' }, `{"error":"slow_down"}`),
  'it is down for a while': says(503, { 'retry-after': '1' }, SERVER_WORDS),
  'it fails': says(500, json, `{"error":"server_error","error_description":"${SERVER_WORDS}"}`),
  'what it says ends early': says(200, json, `{"access_token":"${SERVER_WORDS}`),
  'what it says is no token': says(200, json, `{"access_token":{"${SERVER_WORDS}":1}}`),
  'what it says is of another type': says(200, { 'content-type': 'text/html' }, SERVER_WORDS),
}

void t.test('an authorization server that gives nothing', async (t) => {
  const desk = await openOAuthDesk(t)
  const { oidc, options, repo, get, open, guard } = desk
  const mends = (cx: Scenario, task: Parameters<typeof get>[1]): Promise<void> =>
    until(async () => OK.test(await get(cx, task)), 'the call goes through')

  scenario(
    t,
    'R13: what is wrong with it is told in our words, holds up no other call, and passes',
    options,
    async (cx, t) => {
      for (const [title, fault] of Object.entries(FAULTS)) {
        const task = await makeTask(cx, repo('one'))
        const before = desk.sent.length
        oidc.instead = fault
        t.match(await get(cx, task), REFUSED, title)
        t.match(await open(cx, task), OK, 'what needs none goes on')
        t.equal(desk.sent.length, before, 'nothing left')
        oidc.instead = undefined
        await mends(cx, task)
      }
      const problems = cx.records().filter(({ event }) => event.action === 'credential-unavailable')
      t.equal(problems.length, Object.keys(FAULTS).length, 'each is on record once')
      guard(cx)
    },
  )

  scenario(
    t,
    'R13: while it does not answer one task, the others are answered',
    { ...options, limits: 'providerTimeoutMs: 8000' },
    async (cx, t) => {
      const [first, second] = [await makeTask(cx, repo('one')), await makeTask(cx, repo('one'))]
      // So that its metadata are known.
      t.match(await get(cx, await makeTask(cx, repo('two'))), OK)
      let unanswered = 0
      oidc.instead = () => (unanswered += 1)
      const order: string[] = []
      const waiting = get(cx, first).then((answer) => {
        order.push('first')
        return answer
      })
      await until(() => unanswered === 1, 'it is asked')
      oidc.instead = undefined
      t.match(await get(cx, second), OK)
      t.match(await open(cx, first), OK)
      order.push('others')
      t.match(await waiting, REFUSED)
      t.strictSame(order, ['others', 'first'])
      await mends(cx, first)
      guard(cx)
    },
  )

  scenario(
    t,
    'R13: one that says when to come back is not asked before, and no other task waits for that',
    options,
    async (cx, t) => {
      const task = await makeTask(cx, repo('one'))
      oidc.instead = says(429, { 'retry-after': '3000' }, SERVER_WORDS)
      const answer = await get(cx, task)
      t.match(answer, REFUSED)
      const [, wait] = /\r\nRetry-After: (\d+)\r\n/i.exec(answer) ?? []
      t.ok(Number(wait) > 2000 && Number(wait) <= 3000, 'the client is told')
      oidc.instead = undefined
      const before = oidc.answered.length
      t.match(await get(cx, task), REFUSED)
      t.equal(oidc.answered.length, before, 'it is not asked')
      t.match(await get(cx, await makeTask(cx, repo('one'))), OK)

      // By its own clock, which is ahead.
      const later = await makeTask(cx, repo('one'))
      const then = Date.now() + 10 * MINUTES
      const date = new Date(then).toUTCString()
      const after = new Date(then + 1000).toUTCString()
      oidc.instead = says(429, { date, 'retry-after': after }, SERVER_WORDS)
      t.match(await get(cx, later), REFUSED)
      oidc.instead = undefined
      await mends(cx, later)
      guard(cx)
    },
  )

  void t.test('R13: one that is not there yet', async (t) => {
    const port = await freePort()
    const issuer = `https://auth.test:${port}`
    scenario(t, 'is found once it is', desk.withServer(`issuer: '${issuer}'`), async (cx, t) => {
      const task = await makeTask(cx, repo('one'))
      t.match(await get(cx, task), REFUSED)
      t.match(await open(cx, task), OK)
      const there = await startOidc(true, port)
      cx.track(there)
      await until(async () => {
        await get(cx, task)
        return there.tokens().length > 0
      }, 'it is asked')
      // The upstream knows tokens of the other one alone.
      t.ok(there.tokens().includes(desk.sent.at(-1) ?? ''))
      guard(cx)
    })
  })
})

/** A token endpoint that looks at what was signed for it, by a clock of its own. */
function signedTo(
  audience: string,
  { key, clock, given }: { key: KeyObject; clock: () => Date; given: string },
): RequestListener {
  const isGood = (jwt: string | null): Promise<boolean> =>
    jwtVerify(jwt ?? '', key, {
      audience,
      issuer: 'keyed',
      requiredClaims: ['exp', 'jti'],
      currentDate: clock(),
      maxTokenAge: '5m',
    }).then(
      () => true,
      () => false,
    )
  const token = {
    access_token: given,
    issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    token_type: 'Bearer',
    expires_in: 120,
  }
  const answer = async (form: URLSearchParams): Promise<[number, object]> => {
    if (!(await isGood(form.get('client_assertion')))) return [401, { error: 'invalid_client' }]
    if (!(await isGood(form.get('subject_token')))) return [400, { error: 'invalid_grant' }]
    return [200, token]
  }
  return (request, response) => {
    let sent = ''
    request.on('data', (chunk: Buffer) => (sent += chunk.toString()))
    request.on('end', () => {
      const date = clock().toUTCString()
      void answer(new URLSearchParams(sent)).then(([status, body]) =>
        response.writeHead(status, { ...json, date }).end(JSON.stringify(body)),
      )
    })
  }
}

void t.test('an authorization server by another clock', async (t) => {
  const taken: string[] = []
  const { oidc, withServer, repo, get, asked, guard } = await openOAuthDesk(t, taken)
  const key = createPublicKey(oidc.keyPem)
  const token = `${oidc.issuer}/token`
  const options = withServer(
    `token: '${token}', exchange: { subject: { task: true } }`,
    '{ id: keyed, key: { file: client-key.secret }, keyId: one }',
  )
  for (const minutes of [10, -10])
    scenario(
      t,
      `R18 R20: ${minutes} minutes ahead: what is signed goes by its clock, what it gives by ours`,
      options,
      async (cx, t) => {
        const given = `canary-given-${minutes}-7d1e`
        taken.push(given)
        const clock = (): Date => new Date(Date.now() + minutes * MINUTES)
        oidc.instead = signedTo(token, { key, clock, given })
        const before = asked()
        const task = await makeTask(cx, repo('one'))
        t.match(await get(cx, task), OK)
        t.match(await get(cx, task), OK)
        t.equal(asked(), before + 2, 'asked again by its clock, and the token is kept')
        t.match(await get(cx, await makeTask(cx, repo('one'))), OK)
        t.equal(asked(), before + 3, 'its clock is known from then on')
        const [leased] = cx.records().filter(({ event }) => event.action === 'credential-leased')
        const left = Date.parse(String(leased?.sallyport.detail?.['expires'])) - Date.now()
        t.ok(left > 0 && left <= 2 * MINUTES, 'its end is by our clock')
        oidc.instead = undefined
        guard(cx)
      },
    )
})
