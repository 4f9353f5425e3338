import * as fc from 'fast-check'
import t from 'tap'

import { aimsFields } from '../../../../src/record/project/aims.ts'
import { hostileRecord, SAMPLES, sample } from './samples.ts'

void t.test('R57: the seven AIMS fields are in every record', (t) => {
  for (const record of SAMPLES) {
    const fields = aimsFields(record)
    for (const [name, value] of Object.entries(fields)) {
      t.not(value, undefined, `${record.event.action} ${name}`)
      t.not(value, '', `${record.event.action} ${name}`)
    }
    t.equal(fields.correlation['record'], record.event.id)
    if (record.sallyport.task === undefined) continue
    t.not(fields.agent, 'unidentified', record.event.action)
    t.not(fields.subject, 'unknown', record.event.action)
    t.not(fields.posture, 'unproven', record.event.action)
  }
  t.end()
})

void t.test('R57: on whose behalf is said also where it is nobody', (t) => {
  t.equal(aimsFields(sample('call-ended', 'allowed')).subject, 'autonomous')
  const asked = SAMPLES.find(({ sallyport }) => sallyport.task?.principal !== undefined)
  t.equal(aimsFields(asked).subject, 'mia@example.com')
  t.equal(aimsFields(sample('call-denied', 'identity-missing')).subject, 'unknown')
  t.end()
})

void t.test('R57: decision, resource and posture are told as the record has them', (t) => {
  t.match(aimsFields(sample('message-denied')), {
    agent: 'triage-bot/7f3a',
    resource: 'get_issue',
    action: 'message-denied tools/call',
    decision: 'deny',
    time: '2026-01-02T03:04:05.678Z',
    correlation: { call: '01JCALL0000000000000000000', task: 't_01j00000000000000000000000' },
    posture: { environment: 'prod', ceiling: 'confidential' },
    remediation: 'none',
  })
  t.match(aimsFields(sample('call-ended', 'allowed')), {
    resource: 'https://api.github.com/repos/acme/widgets/issues?',
    action: 'call-ended GET',
    decision: 'allow',
  })
  t.end()
})

void t.test('R57: what takes authority back is told with its cause', (t) => {
  t.strictSame(aimsFields(sample('task-revoked')).remediation, {
    action: 'task-revoked',
    cause: 'asked-for',
    by: 'ci',
  })
  t.match(aimsFields(sample('owner-disabled')).remediation, { cause: 'owner-disabled', by: 'ci' })
  t.equal(aimsFields(sample('task-created')).remediation, 'none')
  t.end()
})

void t.test('no record makes it throw, whoever chose its members', (t) => {
  fc.assert(
    fc.property(hostileRecord, (record) => void aimsFields(record)),
    { numRuns: 2000 },
  )
  t.end()
})
