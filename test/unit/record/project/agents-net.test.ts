import * as fc from 'fast-check'
import t from 'tap'

import { projectAgentsNet } from '../../../../src/record/project/agents-net.ts'
import { assertAuditLine } from '../../../fixtures/agents-net-check.ts'
import { hostileRecord, SAMPLES, sample } from './samples.ts'

void t.test('R57: each call that was decided is one audit line, and nothing else is', (t) => {
  for (const record of SAMPLES) {
    const { action } = record.event
    const line = projectAgentsNet(record)
    const isOuter = record.sallyport.inspection === 'connect'
    if (action === 'call-denied' || (action === 'call-ended' && !isOuter))
      t.doesNotThrow(() => assertAuditLine(line), `${action} ${record.event.reason ?? ''}`)
    else if (!isOuter) t.equal(line, undefined, action)
  }
  t.end()
})

void t.test('R57: allowed, blocked and failed are told apart', (t) => {
  t.strictSame(projectAgentsNet(sample('call-ended', 'allowed')), {
    agents_net_audit: 1,
    ts: '2026-01-02T03:04:05.678Z',
    sandbox: 'c0ffee',
    policy: `sha256:${'c'.repeat(64)}`,
    wire: 'h1',
    transport: 'tcp',
    direction: 'egress',
    destination: 'api.github.com:443',
    address: '140.82.121.6:443',
    rule: 'read-issues',
    decision: 'allow',
  })
  const verdicts: readonly [string, string, string][] = [
    ['call-denied', 'not-on-allowlist', 'block'],
    ['call-denied', 'malformed-request-line', 'block'],
    ['call-ended', 'resolved-address-denied', 'block'],
    ['call-ended', 'resolve-failed', 'fail'],
    ['call-ended', 'dial-failed', 'fail'],
  ]
  for (const [action, reason, decision] of verdicts) {
    const line = projectAgentsNet(sample(action, reason))
    t.match(line, { decision, reason })
    t.notOk(line && 'rule' in line)
    t.notOk(line && 'address' in line)
  }
  t.match(projectAgentsNet(sample('call-ended', 'client-gone')), { decision: 'allow' })
  t.end()
})

void t.test('R57: an address of version 6 stands in brackets', (t) => {
  const record = sample('call-ended', 'allowed')
  const destination = { domain: undefined, ip: '2001:db8::1', port: 443 }
  t.match(projectAgentsNet({ ...record, destination }), {
    destination: '[2001:db8::1]:443',
    address: '[2001:db8::1]:443',
  })
  t.end()
})

void t.test('R57: no record makes it throw or leave the form, whoever chose its members', (t) => {
  fc.assert(
    fc.property(hostileRecord, (record) => {
      const line = projectAgentsNet(record)
      if (line !== undefined) assertAuditLine(line)
    }),
    { numRuns: 3000 },
  )
  t.end()
})

void t.test('what is no audit line is told from one', (t) => {
  const good = projectAgentsNet(sample('call-ended', 'allowed'))
  t.doesNotThrow(() => assertAuditLine(good))
  const { address: _, ...unaddressed } = good ?? {}
  const bad: readonly object[] = [
    unaddressed,
    { ...good, decision: 'deny' },
    { ...good, decision: 'block' },
    { ...good, extra: 1 },
    { ...good, agents_net_audit: 2 },
    { ...good, destination: 'api.github.com' },
  ]
  for (const line of bad) t.throws(() => assertAuditLine(line))
  t.end()
})
