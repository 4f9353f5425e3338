// An STS that gives nothing, or has another clock: a call that needs a session is refused at once and in our words, the others go on,
// and once it is well again so does the call.

import t from 'tap'

import { KEYS_LOGIN, openAwsDesk, STS_WORDS, WEB_LOGIN } from '../fixtures/aws-desk.ts'
import { freePort, scenario, until, type Scenario } from '../fixtures/scenario.ts'
import { refusal, startSts, type StsOptions } from '../fixtures/sts-server.ts'
import { makeTask, type MadeTask } from '../fixtures/tasks.ts'

const OK = /^HTTP\/1\.1 200/
const REFUSED = /^HTTP\/1\.1 502 Sallyport: credential-unavailable/
const MINUTES = 60_000

type Instead = ReturnType<NonNullable<StsOptions['instead']>>

const red = { params: { team: 'red' } }

/** An answer with STS's name for what is wrong. */
function refuses(status: number, code: string, headers: string[] = []): Instead {
  return { status, body: refusal(code).replace('its own words', STS_WORDS), headers }
}

/** What passes by itself. */
const FAULTS: Readonly<Record<string, Instead>> = {
  'it does not answer': 'silent',
  'it begins and does not end': { status: 200, headers: ['Content-Length', '5000'], body: '<A' },
  'it is asked too often': refuses(429, 'TooManyRequestsException', ['Retry-After', '1']),
  'it throttles': refuses(400, 'Throttling'),
  'it is down for a while': { status: 503, headers: ['Retry-After', '1'], body: STS_WORDS },
  'it fails': refuses(500, 'InternalFailure'),
  'what it says is no session': { status: 200, body: `<html>${STS_WORDS}</html>` },
  'what it is asked with has expired': refuses(400, 'ExpiredTokenException'),
}

void t.test('an STS that gives nothing', async (t) => {
  const desk = await openAwsDesk(t)
  const { aws, sts, s3, optionsWith, put, get, guard } = desk
  const mends = (cx: Scenario, task: MadeTask): Promise<void> =>
    until(async () => OK.test(await put(cx, task)), 'the call goes through')

  scenario(
    t,
    'R13: what is wrong with it is told in our words, holds up no other call, and passes',
    optionsWith(),
    async (cx, t) => {
      for (const [title, fault] of Object.entries(FAULTS)) {
        const task = await makeTask(cx, red)
        const before = s3.seen.length
        aws.instead = () => fault
        t.match(await put(cx, task), REFUSED, title)
        t.match(await get(cx, task), OK, 'what needs none goes on')
        t.equal(s3.seen.length, before, 'nothing left')
        aws.instead = undefined
        await mends(cx, task)
      }
      guard(cx)
    },
  )

  scenario(
    t,
    'R13: one that says when to come back is not asked before, and no other task waits for that',
    optionsWith(),
    async (cx, t) => {
      const task = await makeTask(cx, red)
      aws.instead = () => refuses(429, 'Throttling', ['Retry-After', '3000'])
      const answer = await put(cx, task)
      t.match(answer, REFUSED)
      const [, wait] = /\r\nRetry-After: (\d+)\r\n/i.exec(answer) ?? []
      t.ok(Number(wait) > 2000 && Number(wait) <= 3000, 'the client is told')
      aws.instead = undefined
      const before = sts.seen.length
      t.match(await put(cx, task), REFUSED)
      t.equal(sts.seen.length, before, 'it is not asked')
      t.match(await put(cx, await makeTask(cx, red)), OK)

      // A date, by its own clock.
      const later = await makeTask(cx, red)
      const date = (ms: number): string => new Date(Date.now() + 10 * MINUTES + ms).toUTCString()
      aws.instead = () => refuses(503, 'Throttling', ['Date', date(0), 'Retry-After', date(2000)])
      t.match(await put(cx, later), REFUSED)
      aws.instead = undefined
      await mends(cx, later)
      guard(cx)
    },
  )

  void t.test('R13: one that is not there yet', async (t) => {
    const port = await freePort()
    scenario(t, 'is found once it is', optionsWith(KEYS_LOGIN, port), async (cx, t) => {
      const task = await makeTask(cx, red)
      t.match(await put(cx, task), REFUSED)
      t.match(await get(cx, task), OK)
      const there = await startSts(['sts.test'], desk.keys, { port })
      cx.track(there)
      await mends(cx, task)
      guard(cx, there)
    })
  })
})

void t.test('an STS by another clock', async (t) => {
  const { aws, sts, optionsWith, put, refusalIn, guard } = await openAwsDesk(t)
  for (const [by, login] of [
    ['keys', KEYS_LOGIN],
    ['a web identity', WEB_LOGIN],
  ] as const)
    for (const minutes of [10, -10])
      scenario(
        t,
        `R20: ${minutes} minutes ahead, by ${by}: a session ends with its task, by that clock`,
        optionsWith(login),
        async (cx, t) => {
          aws.aheadMs = minutes * MINUTES
          const task = await makeTask(cx, { ...red, expires: '5m' })
          t.match(await put(cx, task), OK)
          const session = sts.sessions.at(-1)!
          t.equal(refusalIn(4 * MINUTES, session), undefined, 'as long as the task')
          t.equal(refusalIn(6 * MINUTES, session), 'AccessDenied', 'and no longer')
          const before = sts.sessions.length
          t.match(await put(cx, await makeTask(cx, red)), OK)
          t.equal(sts.sessions.length, before + 1, 'its clock is known from then on')
          const [leased] = cx.records().filter(({ event }) => event.action === 'credential-leased')
          const left = Date.parse(String(leased?.sallyport.detail?.['expires'])) - Date.now()
          t.ok(left > 3 * MINUTES && left <= 5 * MINUTES, 'its end by our clock')
          aws.aheadMs = 0
          guard(cx)
        },
      )
})
