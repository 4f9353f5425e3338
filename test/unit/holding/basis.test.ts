// Proves that an answer counts for a call only as it was judged, what rules look into included.

import t from 'tap'

import { basisOf } from '../../../src/holding/basis.ts'
import { NO_ADDRESSES } from '../../../src/policy/address-policy.ts'
import type { Decision } from '../../../src/policy/decision.ts'
import { NOTHING_OWED } from '../../../src/policy/owe.ts'

const HELD: Decision = {
  verdict: 'hold',
  reason: 'approval-pending',
  rule: { id: 'pay', ruleset: 'set', version: 'sha256:1' },
  obligations: NOTHING_OWED,
  addresses: NO_ADDRESSES,
  policy: 'sha256:0',
  hold: { separate: false },
}

void t.test('R75: what rules look into once a window has begun is another judgement', (t) => {
  t.equal(basisOf(HELD), basisOf({ ...HELD, revisitAt: 1 }))
  t.not(basisOf(HELD), basisOf({ ...HELD, inspectors: ['mcp'] }))
  t.end()
})
