// Proves which records each key of a filter lets through, and that what others rely on passes every one.

import t from 'tap'

import type { RecordBody } from '../../../../src/record/body.ts'
import { callRecord, eventRecord } from '../../../../src/record/ecs.ts'
import {
  isRegulatedLine,
  lineFilter,
  type SinkFilter,
} from '../../../../src/record/sinks/filter.ts'
import { messageRecord } from '../../../../src/record/message-record.ts'
import { recordText } from '../../../../src/record/text.ts'
import { facts, messageCall, messageOf } from '../support.ts'
import { denied, ended, regulated } from './scripted.ts'

const tool = messageRecord(
  messageCall('T'),
  messageOf({ fields: { gen_ai: { tool: { name: 'list_issues' } } } }),
  0,
)
const RECORDS: Readonly<Record<string, RecordBody>> = {
  started: callRecord(facts({ id: 'S' }), 'call-started', 0),
  ended: ended('E'),
  denied: denied('D'),
  regulated: regulated('R'),
  tool,
  alert: eventRecord('placeholder-misused', { now: 0 }),
  checkpoint: eventRecord('checkpoint', { now: 0 }),
  key: eventRecord('checkpoint-key', { now: 0 }),
  seal: eventRecord('task-sealed', { now: 0 }),
  deleted: eventRecord('journal-segments-deleted', { now: 0 }),
  gap: eventRecord('sink-gap', { now: 0 }),
}
const ALWAYS = ['checkpoint', 'key', 'seal', 'deleted', 'gap']

function passing(filter: SinkFilter, all = false): string[] {
  const accepts = lineFilter(all, filter)
  return Object.keys(RECORDS).filter((name) => {
    const record = RECORDS[name]
    return record !== undefined && accepts(Buffer.from(recordText(record)))
  })
}

void t.test(
  'R54 R56: each key of a filter restricts, and checkpoints, keys, seals and gaps pass all of them',
  (t) => {
    const cases: [SinkFilter, string[]][] = [
      [{}, ['ended', 'denied', 'regulated', 'tool', 'alert']],
      [{ verdict: 'deny' }, ['denied']],
      [{ reason: ['not-on-allowlist', 'other'] }, ['denied']],
      [{ action: ['call-ended'] }, ['ended', 'regulated']],
      [{ kind: 'alert' }, ['alert']],
      [{ host: ['*.github.com'] }, ['ended', 'denied', 'regulated']],
      [{ host: ['mcp.test'] }, ['tool']],
      [{ host: ['*.api.github.com', 'github.com'] }, []],
      [{ tool: ['list_*'] }, ['tool']],
      [{ tool: ['*issues', 'x'] }, ['tool']],
      [{ tool: ['l*_*s'] }, ['tool']],
      [{ tool: ['list_issues*s'] }, []],
      [{ rule: ['github-triage/read-issues'] }, ['ended', 'denied', 'regulated']],
      [{ rule: ['read-issues'], verdict: 'allow' }, ['ended', 'regulated']],
      [{ rule: ['triage/read-issues'] }, []],
      [{ regulated: true }, ['regulated']],
      [{ regulated: false, action: ['call-ended'] }, ['ended']],
      [{ task: ['t_other'] }, []],
    ]
    for (const [filter, expected] of cases)
      t.strictSame(passing(filter), [...expected, ...ALWAYS], JSON.stringify(filter))
    t.ok(passing({}, true).includes('started'))
    t.ok(passing({ verdict: 'allow' }, true).includes('started'))
    t.end()
  },
)

void t.test(
  'regulated data is told by class or by regulation, not by what a stranger wrote',
  (t) => {
    const line = (record: RecordBody): Buffer => Buffer.from(recordText(record))
    t.ok(isRegulatedLine(line(regulated('R'))))
    t.notOk(isRegulatedLine(line(ended('E'))))
    const { decision } = ended('E').sallyport
    if (decision === undefined) throw new Error('the record has a decision')
    const under = (more: object): RecordBody => {
      const record = ended('E')
      return { ...record, sallyport: { ...record.sallyport, decision: { ...decision, ...more } } }
    }
    t.ok(isRegulatedLine(line(under({ regulation: ['gdpr'] }))))
    t.notOk(isRegulatedLine(line(under({ regulation: [] }))))
    t.notOk(isRegulatedLine(line(under({ data: 'internal' }))))
    const forged = { ...ended('E'), user_agent: { original: '"data":"restricted"' } }
    t.notOk(isRegulatedLine(line(forged)))
    t.end()
  },
)
