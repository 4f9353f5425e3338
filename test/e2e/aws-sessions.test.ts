// Sessions of AWS roles, one a task, from an STS that verifies how it is asked, used at an S3 that holds them to their policy.

import t from 'tap'

import { ID, openAwsDesk } from '../fixtures/aws-desk.ts'
import { scenario } from '../fixtures/scenario.ts'
import { makeTask } from '../fixtures/tasks.ts'

const SIX_MINUTES = 6 * 60_000

void t.test('sessions', async (t) => {
  const { s3, sts, optionsWith, put, refusalIn, guard } = await openAwsDesk(t)
  scenario(t, 'R20: a task has a session that ends with it', optionsWith(), async (cx, t) => {
    const task = await makeTask(cx, { params: { team: 'red' }, expires: '5m' })
    t.match(await put(cx, task), /^HTTP\/1\.1 200/)
    t.match(await put(cx, task, '/bucket/blue/a'), /AccessDenied/, 'what its policy does not say')
    t.equal(sts.sessions.length, 1, 'one session')
    const [session] = sts.sessions
    t.match(session, { to: ID, seconds: 900, name: /^sallyport-t_/ })
    guard(cx)
    t.equal(s3.seen.at(-1)?.refusal, 'AccessDenied')
    t.equal(refusalIn(SIX_MINUTES, session!), 'AccessDenied', 'after the task')
    t.equal(refusalIn(0, session!), undefined, 'and not before')
  })
})
