import t from 'tap'

import { projectEcs } from '../../../../src/record/project/ecs.ts'
import { assertEcs } from '../../../fixtures/ecs-check.ts'
import { SAMPLES, sample } from './samples.ts'

void t.test('R57: every record is an ECS document as it is', (t) => {
  for (const record of SAMPLES) {
    t.equal(projectEcs(record), record)
    t.doesNotThrow(() => assertEcs(record), record.event.action)
  }
  t.end()
})

void t.test('what is no ECS document is told from one', (t) => {
  const good = sample('call-ended')
  t.doesNotThrow(() => assertEcs(good))
  const bad: readonly object[] = [
    { ...good, agent_name: 'x' },
    { ...good, source: { ip: 'localhost' } },
    { ...good, destination: { port: '443' } },
    { ...good, event: { ...good.event, category: ['nothing'] } },
    { ...good, event: { ...good.event, category: ['session'], type: ['change'] } },
    { ...good, event: { ...good.event, kind: 'thing' } },
    { ...good, event: { ...good.event, outcome: 'maybe' } },
  ]
  for (const record of bad) t.throws(() => assertEcs(record))
  t.end()
})
