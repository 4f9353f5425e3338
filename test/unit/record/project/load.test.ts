import t from 'tap'

import { FORMATS } from '../../../../src/record/project/format.ts'
import { projectionFor } from '../../../../src/record/project/load.ts'
import { ORIGIN, sample } from './samples.ts'

void t.test('R57: every form that can be named can be had, and is pure', async (t) => {
  const record = Object.freeze(sample('call-ended'))
  for (const format of FORMATS) {
    const project = await projectionFor(format)
    const before = JSON.stringify(record)
    t.strictSame(project(record, ORIGIN), project(record, ORIGIN), format)
    t.equal(JSON.stringify(record), before)
  }
})
