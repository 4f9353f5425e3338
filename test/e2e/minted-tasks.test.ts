// What an authorization server and an STS give tasks: never shared, never wider than that of a task above, taken back with the task and
// with no other, and what cannot be seen to be gone is told as such.

import t from 'tap'

import { JWT, openAwsDesk, WEB_LOGIN } from '../fixtures/aws-desk.ts'
import { openOAuthDesk } from '../fixtures/oauth-desk.ts'
import { scenario, until, type Scenario } from '../fixtures/scenario.ts'
import { api, makeTask, revoke, type ReceiptJson } from '../fixtures/tasks.ts'

const OK = /^HTTP\/1\.1 200/
const REFUSED = /^HTTP\/1\.1 502 Sallyport: credential-unavailable/
const MINUTES = 60_000
const red = { params: { team: 'red' } }

type Item = ReceiptJson['items'][number]

/** What a task's receipt says of its credential by now. */
async function itemOf(cx: Scenario, id: string): Promise<Item | undefined> {
  const { body } = await api(cx, 'GET', `/v1/tasks/${id}`)
  const receipt: ReceiptJson | undefined = body.receipt
  return receipt?.items.find(({ kind }) => kind === 'credential')
}

/** Milliseconds from now until what a receipt says is exposed is not any more. */
function exposedMs(item: Item | undefined): number {
  return Date.parse(String(item?.residualExposureUntil)) - Date.now()
}

void t.test('access tokens', async (t) => {
  const desk = await openOAuthDesk(t)
  const { oidc, sent, options, withServer, repo, get, asked, guard } = desk
  const token = `${oidc.issuer}/token`
  scenario(
    t,
    "R20 R60: a task below another has a token of its own, never of a wider scope, and each task's end is that of its own",
    options,
    async (cx, t) => {
      const [task, other] = [await makeTask(cx, repo('one')), await makeTask(cx, repo('one'))]
      const below = { expires: '10m' }
      const [first, second] = [
        await makeTask(cx, repo('one', below), task.id),
        await makeTask(cx, repo('one', below), task.id),
      ]
      const all = [task, other, first, second]
      for (const each of all) t.match(await get(cx, each), OK)
      const tokens = sent.slice(-4)
      t.equal(new Set(tokens).size, 4, 'each has its own')
      const alive = (): Promise<boolean[]> => Promise.all(tokens.map((one) => oidc.isActive(one)))
      t.strictSame(await alive(), [true, true, true, true])

      const before = [asked(), sent.length]
      const wider = await makeTask(cx, repo('two', below), task.id)
      t.match(await get(cx, wider), REFUSED, 'another scope than that of the task above')
      t.strictSame([asked(), sent.length], before, 'it was not even asked for')

      await revoke(cx, first.id)
      t.strictSame(await alive(), [true, true, false, true], 'the end of a task below')
      t.match(await itemOf(cx, first.id), { outcome: 'ended', detail: /seen not to work/ })
      t.notMatch(await get(cx, first), OK)
      for (const each of [task, other, second]) t.match(await get(cx, each), OK)
      await revoke(cx, task.id)
      t.strictSame(await alive(), [false, true, false, false], 'the end of all below, too')
      t.match(await itemOf(cx, task.id), { outcome: 'ended', detail: /seen not to work/ })
      t.match(await itemOf(cx, second.id), { outcome: 'ended', detail: /seen not to work/ })
      t.match(await get(cx, other), OK)
      guard(cx)
    },
  )

  const status = (code: number, body = ''): typeof oidc.instead => {
    return (_, response) =>
      void response.writeHead(code, { 'content-type': 'application/json' }).end(body)
  }
  const blind = `token: '${token}', revoke: '${token}/revocation'`
  const seeing = `${blind}, introspect: '${token}/introspection'`
  for (const [title, words, instead] of [
    ['status 200', blind, undefined],
    ['status 202', blind, status(202)],
    ['that it knows no token at all', seeing, status(200, '{"active":false}')],
  ] as const)
    scenario(
      t,
      `R64: ${title} proves nothing: the receipt says until when the token may work`,
      withServer(words),
      async (cx, t) => {
        const task = await makeTask(cx, repo('one'))
        t.match(await get(cx, task), OK)
        oidc.instead = instead
        const { complete } = await revoke(cx, task.id)
        t.equal(complete, false)
        const item = await itemOf(cx, task.id)
        t.match(item, { outcome: 'unconfirmed', detail: /taken back: its provider says so, and/ })
        t.ok(exposedMs(item) > 5 * MINUTES && exposedMs(item) <= 10 * MINUTES, 'as it expires')
        const revoked = cx.records().find(({ event }) => event.action === 'credential-revoked')
        t.match(revoked, { event: { outcome: 'failure' } })
        t.match(revoked?.sallyport.detail, {
          how: 'accepted',
          residualExposureUntil: item?.residualExposureUntil,
        })
        t.equal(await cx.metric('sallyport_revocations_pending'), 1)
        oidc.instead = undefined
        guard(cx)
      },
    )

  scenario(
    t,
    'R64: a token that works still is asked for again until it does not',
    withServer(seeing),
    async (cx, t) => {
      const task = await makeTask(cx, repo('one'))
      t.match(await get(cx, task), OK)
      oidc.instead = status(200, '{"active":true}')
      await revoke(cx, task.id)
      const item = await itemOf(cx, task.id)
      t.match(item, {
        outcome: 'unconfirmed',
        detail: /not taken back yet: the token is still act/,
      })
      t.ok(exposedMs(item) > 5 * MINUTES)
      oidc.instead = undefined
      await until(async () => (await itemOf(cx, task.id))?.outcome === 'ended', 'it is gone')
      t.notOk(await oidc.isActive(sent.at(-1) ?? ''))
      guard(cx)
    },
  )

  scenario(
    t,
    'R64: a token that comes when nobody waits any more is taken back, or may exist, and the receipt says which',
    options,
    async (cx, t) => {
      t.match(await get(cx, await makeTask(cx, repo('one'))), OK)
      const task = await makeTask(cx, repo('one'))
      const { promise, resolve } = Promise.withResolvers<void>()
      oidc.hold = promise
      t.match(await get(cx, task), REFUSED)
      resolve()
      oidc.hold = undefined
      const late = oidc.tokens().at(-1) ?? ''
      t.notOk(sent.includes(late), 'it is not used')
      await revoke(cx, task.id)
      const item = await itemOf(cx, task.id)
      // Whether the answer still came as it was called off is the network's to say.
      if (item?.outcome === 'ended') t.notOk(await oidc.isActive(late), 'taken back')
      else
        t.match(item, {
          outcome: 'unconfirmed',
          residualExposureUntil: null,
          detail: /it may exist/,
        })
      cx.guard('late', late)
      guard(cx)
    },
  )
})

void t.test('sessions of AWS', async (t) => {
  const { sts, optionsWith, put, refusalIn, guard } = await openAwsDesk(t)
  scenario(
    t,
    'R20 R64: a task below another has a session of its own, never of a wider policy, that ends with it',
    optionsWith(),
    async (cx, t) => {
      const from = sts.sessions.length
      const [task, other] = [await makeTask(cx, red), await makeTask(cx, red)]
      const below = { ...red, expires: '10m' }
      const [first, second] = [
        await makeTask(cx, below, task.id),
        await makeTask(cx, below, task.id),
      ]
      const all = [task, other, first, second]
      for (const each of all) t.match(await put(cx, each), OK)
      const sessions = sts.sessions.slice(from)
      t.strictSame(
        sessions.map(({ name }) => name),
        all.map(({ id }) => `sallyport-${id}`),
        'each has its own',
      )
      const refusals = (ms: number): (string | undefined)[] =>
        sessions.map((session) => refusalIn(ms, session))
      t.strictSame(refusals(9 * MINUTES), [undefined, undefined, undefined, undefined])
      const denied = 'AccessDenied'
      t.strictSame(refusals(11 * MINUTES), [undefined, undefined, denied, denied], 'by its own end')

      const wider = { params: { team: 'blue' }, expires: '10m' }
      const blue = await makeTask(cx, wider, task.id)
      t.match(await put(cx, blue, '/bucket/blue/a'), REFUSED, 'another policy than that above')
      t.equal(sts.sessions.length, from + 4, 'it was not even asked for')

      await revoke(cx, first.id)
      const ofFirst = await itemOf(cx, first.id)
      t.match(ofFirst, { outcome: 'unconfirmed', detail: /cannot take it back/ })
      t.ok(exposedMs(ofFirst) > 8 * MINUTES && exposedMs(ofFirst) <= 10 * MINUTES)
      await t.rejects(put(cx, first), { message: /task-ended/ })
      for (const each of [task, other, second]) t.match(await put(cx, each), OK)
      t.equal(sts.sessions.length, from + 4, 'by the sessions they had')
      await revoke(cx, task.id)
      for (const { id } of [task, second])
        t.match(await itemOf(cx, id), { outcome: 'unconfirmed', detail: /cannot take it back/ })
      await t.rejects(put(cx, second), { message: /task-ended/ })
      t.match(await put(cx, other), OK)
      guard(cx)
    },
  )

  scenario(
    t,
    'R18 R20: a session by a web identity is minted with its token as it is now, and ends with the task',
    { ...optionsWith(WEB_LOGIN), files: { 'identity.secret': 'canary-of-nobody-6d1' } },
    async (cx, t) => {
      const task = await makeTask(cx, { ...red, expires: '5m' })
      t.match(await put(cx, task), REFUSED, 'by an identity that STS does not know')
      cx.file('identity.secret', JWT)
      const next = await makeTask(cx, { ...red, expires: '5m' })
      t.match(await put(cx, next), OK)
      const session = sts.sessions.at(-1)!
      t.match(session, { to: 'web-identity', name: `sallyport-${next.id}`, seconds: 900 })
      const asked = sts.seen.at(-1)
      t.equal(new URLSearchParams(asked?.body.toString()).get('WebIdentityToken'), JWT)
      t.notMatch(asked?.rawHeaders.join('\n'), /authorization/i, 'by that alone')
      t.equal(refusalIn(4 * MINUTES, session), undefined)
      t.equal(refusalIn(6 * MINUTES, session), 'AccessDenied')
      await revoke(cx, next.id)
      const item = await itemOf(cx, next.id)
      t.match(item, { outcome: 'unconfirmed', detail: new RegExp(`sallyport-${next.id}`) })
      t.ok(exposedMs(item) > 0 && exposedMs(item) <= 5 * MINUTES)
      t.equal(refusalIn(exposedMs(item) + 2000, session), 'AccessDenied', 'no longer than it says')
      await t.rejects(put(cx, next), { message: /task-ended/ })
      cx.guard('nobody', 'canary-of-nobody-6d1')
      guard(cx)
    },
  )
})
