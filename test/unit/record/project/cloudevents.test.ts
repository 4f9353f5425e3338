import * as fc from 'fast-check'
import t from 'tap'

import { projectCloudEvent } from '../../../../src/record/project/cloudevents.ts'
import { assertCloudEvent } from '../../../fixtures/cloudevents-check.ts'
import { hostileRecord, hostileText, ORIGIN, SAMPLES, sample } from './samples.ts'

void t.test('R57: every record is a CloudEvent with the record as its data', (t) => {
  for (const record of SAMPLES) {
    const event = projectCloudEvent(record, ORIGIN)
    t.doesNotThrow(() => assertCloudEvent(event), record.event.action)
    t.match(event, {
      specversion: '1.0',
      id: record.event.id,
      source: `urn:sallyport:${ORIGIN.journal}`,
      type: `sallyport.${record.event.action}`,
      data: record,
    })
  }
  t.end()
})

void t.test('R57: attributes are those of the documented extensions', (t) => {
  const record = sample('call-ended', 'allowed')
  t.match(projectCloudEvent(record, ORIGIN), {
    subject: 'GET https://api.github.com/repos/acme/widgets/issues?',
    time: '2026-01-02T03:04:05.678Z',
    recordedtime: '2026-01-02T03:04:05.678Z',
    sequence: '0000000000000003',
    correlationid: 't_01j00000000000000000000000',
    severitynumber: 9,
    severitytext: 'INFO',
    authtype: 'service_account',
    authid: 'triage-bot/7f3a',
  })
  t.match(projectCloudEvent(sample('control-changed'), ORIGIN), { authid: 'ci' })
  t.match(projectCloudEvent(sample('journal-recovered'), ORIGIN), { severitytext: 'INFO' })
  const traced = SAMPLES.find(({ trace }) => trace !== undefined)
  t.match(traced && projectCloudEvent(traced, ORIGIN), {
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00',
  })
  t.end()
})

void t.test('R57: sequences sort as texts in the order of the records', (t) => {
  const sequences = SAMPLES.map((record) => String(projectCloudEvent(record, ORIGIN)['sequence']))
  t.strictSame(sequences.toSorted(), sequences)
  t.end()
})

void t.test(
  'R57: data that a rule classified is classified, and a law never stands without a class',
  (t) => {
    const record = sample('message-allowed')
    const { decision } = record.sallyport
    if (decision === undefined) throw new Error('no decision')
    const of = (more: object): object =>
      projectCloudEvent(
        { ...record, sallyport: { ...record.sallyport, decision: { ...decision, ...more } } },
        ORIGIN,
      )
    const both = of({ data: 'confidential', regulation: ['gdpr', 'hipaa'] })
    t.match(both, { dataclassification: 'confidential', dataregulation: 'gdpr,hipaa' })
    assertCloudEvent(both)
    t.match(of({ regulation: ['gdpr'] }), {
      dataclassification: 'restricted',
      dataregulation: 'gdpr',
    })
    t.notOk('dataclassification' in of({}))
    t.end()
  },
)

void t.test('R57: no record makes it throw or leave the form, whoever chose its members', (t) => {
  fc.assert(
    fc.property(hostileRecord, hostileText, (record, journal) => {
      const known = { ...record, sallyport: { ...record.sallyport, decision: undefined } }
      assertCloudEvent(projectCloudEvent(known, { ...ORIGIN, journal }))
      projectCloudEvent(record, ORIGIN)
    }),
    { numRuns: 2000 },
  )
  t.end()
})

void t.test('what is no CloudEvent is told from one', (t) => {
  const good = projectCloudEvent(sample('call-ended'), ORIGIN)
  t.doesNotThrow(() => assertCloudEvent(good))
  const { id: _, ...nameless } = good
  const bad: readonly object[] = [
    nameless,
    { ...good, specversion: '0.3' },
    { ...good, time: 'yesterday' },
    { ...good, Subject: 'x' },
    { ...good, subject: 'a\u0007b' },
    { ...good, sequence: 3 },
    { ...good, dataregulation: 'gdpr' },
    { ...good, severitynumber: '9' },
    { ...good, unknown: 'x' },
  ]
  for (const event of bad) t.throws(() => assertCloudEvent(event))
  t.end()
})
