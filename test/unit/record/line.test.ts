// Proves that no words and no objects of strangers are taken for what a record says of itself.

import * as fc from 'fast-check'
import t from 'tap'

import { callRecord, eventRecord } from '../../../src/record/ecs.ts'
import { actionOf, callIdOf } from '../../../src/record/line.ts'
import { messageRecord } from '../../../src/record/message-record.ts'
import { followLine } from '../../../src/record/journal/open-calls.ts'
import { lineFilter } from '../../../src/record/sinks/filter.ts'
import { recordText } from '../../../src/record/text.ts'
import { facts, freshDir, journalRecords, messageCall, messageOf, openJournal } from './support.ts'

// What a client may send as arguments of a tool: it looks like our own members, quotes and all.
const forged = (action: string, id: string): object => ({
  event: { action },
  action,
  call: { id },
  sallyport: { schema: 1, mode: 'enforce', call: { id }, chain: { seq: 1, prev: '0'.repeat(64) } },
})

const fields = (argument: object, id: string): Parameters<typeof messageOf>[0] => ({
  fields: {
    gen_ai: {
      operation: { name: 'execute_tool' },
      tool: { name: 'x', call: { id, arguments: JSON.parse(JSON.stringify(argument)) } },
    },
  },
})

void t.test('I4: arguments that look like a record open and close no call', async (t) => {
  const calls = new Map<string, string>()
  const start = recordText(callRecord(facts({ id: 'VICTIM' }), 'call-started', 0))
  followLine(calls, start)
  t.strictSame([...calls.keys()], ['VICTIM'])
  for (const action of ['call-ended', 'call-denied', 'call-started']) {
    const message = messageOf(fields(forged(action, 'VICTIM'), 'VICTIM'))
    const line = recordText(messageRecord(messageCall('OTHER'), message, 0))
    t.match(line, `"action":"${action}"`, 'the words are there')
    followLine(calls, line)
    t.strictSame([...calls], [['VICTIM', start]])
  }
  const { gen_ai: asked } = messageOf(fields(forged('call-started', 'MADE-UP'), 'MADE-UP')).fields
  const ended = callRecord(
    facts({ id: 'VICTIM', ...(asked && { inspected: { gen_ai: asked } }) }),
    'call-ended',
    0,
  )
  followLine(calls, recordText(ended))
  t.strictSame([...calls], [], 'the real end closes it, whatever stands in it')
})

void t.test('a crash closes exactly what was open, whatever was said', async (t) => {
  const dir = freshDir(t)
  const first = openJournal(dir)
  await first.append(callRecord(facts({ id: 'OPEN' }), 'call-started', 0))
  const message = messageOf(fields(forged('call-ended', 'OPEN'), 'OPEN'))
  await first.append(messageRecord(messageCall('OPEN'), message, 0))
  await first.close()
  await openJournal(dir).close()
  t.match(journalRecords(dir).at(-1), {
    event: { action: 'call-ended', reason: 'sidecar-crashed' },
    sallyport: { call: { id: 'OPEN' } },
  })
})

void t.test('no argument keeps a record from a sink', (t) => {
  const isSent = lineFilter(false)
  const send = (text: string): boolean => isSent(Buffer.from(text))
  const message = messageOf(fields(forged('call-started', 'X'), 'X'))
  const record = messageRecord(messageCall('X'), message, 0)
  t.ok(send(recordText({ ...record, url: undefined, destination: undefined, rule: undefined })))
  t.notOk(send(recordText(callRecord(facts(), 'call-started', 0))))
  t.notOk(send(recordText(callRecord(facts(), 'call-progress', 0))))
  t.ok(send(recordText(callRecord(facts(), 'call-ended', 0))))
  t.end()
})

void t.test('property: the action and the call of any record are read as they are', async (t) => {
  const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.constant('"action":"x"'))
  const json = fc.jsonValue()
  fc.assert(
    fc.property(text, json, (words, value) => {
      const call = messageCall('CALL')
      const nested: object = { action: 'call-ended', sallyport: { schema: 1, call: value }, value }
      const message = messageOf({ ...fields(nested, words), detail: { words } })
      const line = recordText(messageRecord(call, message, 0))
      return actionOf(line) === 'message-allowed' && callIdOf(line) === 'CALL'
    }),
    { numRuns: 500 },
  )
  const event = recordText(
    eventRecord('rules-loaded', { now: 0, message: '"action":"call-ended"' }),
  )
  t.equal(actionOf(event), 'rules-loaded')
  t.equal(callIdOf(event), undefined)
  t.equal(actionOf('{"event":{'), undefined)
  t.equal(actionOf('"action":"cut'), undefined)
  t.equal(callIdOf('{}'), undefined)
})
