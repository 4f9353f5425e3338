// The table of open calls does what a Map does, however ids collide.

import * as fc from 'fast-check'
import t from 'tap'

import { OpenStarts } from '../../../../src/record/journal/open-starts.ts'

// Few ids, some of which end alike, so that they meet; and as many others as make the table grow.
const anyId = fc.oneof(
  fc.constantFrom('', 'A', 'B', 'one-ABCDEFGH', 'two-ABCDEFGH', 'three-ABCDEFGH', '-ABCDEFGI'),
  fc.integer({ min: 0, max: 200 }).map((id) => `01J${String(id)}`),
)
const step = fc.record({ callId: anyId, text: fc.string(), opens: fc.boolean() })

void t.test('opening and closing in any order', async (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 600, size: 'max' }), (steps) => {
      const starts = new OpenStarts()
      const model = new Map<string, string>()
      for (const { callId, text, opens } of steps) {
        if (opens) {
          starts.add({ callId, text, parts: undefined })
          model.set(callId, text)
        } else {
          starts.delete(callId)
          model.delete(callId)
        }
        if (starts.get(callId)?.text !== model.get(callId)) return false
      }
      const found = Array.from(starts, ({ callId, text }) => [callId, text] as const)
      return (
        found.length === model.size &&
        found.every(([id, text]) => model.get(id) === text) &&
        [...model.keys()].every((id) => starts.get(id)?.callId === id)
      )
    }),
    { numRuns: 300 },
  )
  t.pass('300 sequences')
})
