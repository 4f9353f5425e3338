import t from 'tap'

import type { RecordBody } from '../../../src/record/body.ts'
import { DenialLimiter } from '../../../src/record/flood.ts'
import { TASK } from './support.ts'

const OTHER = { ...TASK, id: 't_other', path: ['t_other'] }

function makeLimiter(perSecond: number, start: number) {
  const clock = { now: start }
  const records: RecordBody[] = []
  const limiter = new DenialLimiter({
    perSecond,
    now: () => clock.now,
    append: (record) => {
      records.push(record)
      return Promise.resolve()
    },
  })
  return { clock, records, limiter }
}

void t.test('refusals beyond the rate are counted exactly, by task and reason', (t) => {
  const { clock, records, limiter } = makeLimiter(3, 10_000)
  const admit = (task: typeof TASK | undefined, reason: 'not-on-allowlist' | 'killed'): boolean =>
    limiter.admit(task, reason, clock.now)
  t.strictSame(
    Array.from({ length: 5 }, () => admit(TASK, 'not-on-allowlist')),
    [true, true, true, false, false],
  )
  t.equal(admit(TASK, 'killed'), false)
  t.equal(admit(OTHER, 'killed'), true, 'another task has its own rate')
  t.strictSame(
    Array.from({ length: 4 }, () => admit(undefined, 'killed')),
    [true, true, true, false],
  )
  clock.now += 999
  t.equal(admit(TASK, 'killed'), false)
  t.strictSame(records, [])
  clock.now += 1
  t.equal(admit(TASK, 'killed'), true, 'a new second')
  t.match(records, [
    {
      event: { action: 'call-denied-repeated', type: ['denied'], outcome: 'failure' },
      sallyport: {
        task: { id: TASK.id, owner: 'payments on-call' },
        detail: {
          count: 4,
          reasons: { 'not-on-allowlist': 2, killed: 2 },
          from: '1970-01-01T00:00:10.000Z',
          to: '1970-01-01T00:00:11.000Z',
        },
      },
    },
  ])
  limiter.close()
  t.match(records.slice(1), [
    { sallyport: { task: undefined, detail: { count: 1, reasons: { killed: 1 } } } },
  ])
  t.equal(records.length, 2, 'nothing where nothing was counted')
  t.end()
})

void t.test('refused messages share the rate of refused calls and are counted apart', (t) => {
  const { clock, records, limiter } = makeLimiter(1, 10_000)
  t.equal(limiter.admit(TASK, 'killed', clock.now), true)
  t.equal(limiter.admit(TASK, 'tool-not-allowed', clock.now, 'message-denied'), false)
  t.equal(limiter.admit(TASK, 'tool-not-allowed', clock.now, 'message-denied'), false)
  t.equal(limiter.admit(TASK, 'killed', clock.now), false)
  limiter.close()
  t.match(
    records.map(({ event: { action }, sallyport }) => [action, sallyport.detail]),
    [
      ['message-denied-repeated', { count: 2, reasons: { 'tool-not-allowed': 2 } }],
      ['call-denied-repeated', { count: 1, reasons: { killed: 1 } }],
    ],
  )
  t.end()
})

void t.test('counts are reported when the second is over, without another refusal', async (t) => {
  const { records, limiter } = makeLimiter(1, 0)
  const now = Date.now()
  const real = new DenialLimiter({
    perSecond: 1,
    now: Date.now,
    append: (record) => (records.push(record), Promise.reject(new Error('full'))),
  })
  t.equal(real.admit(TASK, 'killed', now), true)
  t.equal(real.admit(TASK, 'killed', now), false)
  await new Promise((resolve) => setTimeout(resolve, 1400))
  t.match(records, [{ sallyport: { detail: { count: 1 } } }])
  real.close()
  limiter.close()
  t.equal(records.length, 1)
})
