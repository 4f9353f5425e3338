// Proves what counts as idle: a call on which nothing moves, and none that waits for a person.

import t from 'tap'

import { Call } from '../../../src/call.ts'
import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import { OpenCalls } from '../../../src/listen/open-calls.ts'
import { sleep, until } from '../../fixtures/scenario.ts'

const IDLE_MS = 40
const SWEEPS_MS = 100

void t.test('what was waited for a person is no idleness afterwards', async (t) => {
  const clock = { now: 1_000_000 }
  const calls = new OpenCalls({
    limits: { ...DEFAULT_LIMITS, idleTimeoutMs: IDLE_MS },
    now: () => clock.now,
    onProgress: () => undefined,
    onTimed: () => undefined,
  })
  t.teardown(() => calls.close())
  const call: Call = new Call({ id: 'C', kind: 'forward', startedAt: clock.now, client: {} })
  calls.add(call)
  call.hold = { id: 'H' }
  clock.now += 10 * IDLE_MS
  await sleep(SWEEPS_MS)
  t.equal(call.cutReason, undefined, 'it waits')
  call.hold = { id: 'H', by: 'bob' }
  await sleep(SWEEPS_MS)
  t.equal(call.cutReason, undefined, 'it is under way from now on')
  clock.now += IDLE_MS
  await until(() => call.cutReason !== undefined, 'nothing moved on it')
  t.equal(call.cutReason, 'idle-timeout')
})
