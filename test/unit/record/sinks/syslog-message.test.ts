import { array, assert, property, record as recordOf, string, uint8Array } from 'fast-check'
import t from 'tap'

import type { RecordBody } from '../../../../src/record/body.ts'
import { callRecord, eventRecord, taskOf } from '../../../../src/record/ecs.ts'
import {
  headerName,
  structuredData,
  syslogFrame,
  type SyslogSender,
} from '../../../../src/record/sinks/syslog-message.ts'
import { readFrames, readMessage } from '../../../fixtures/syslog.ts'
import { facts, TASK } from '../support.ts'

const sender: SyslogSender = { facility: 13, hostname: 'box.example', appName: 'sallyport' }
const denied = callRecord(facts({ reason: 'not-on-allowlist' }), 'call-denied', 1_700_000_000_123)

void t.test('R54: a record is a message that a strict reader of RFC 5424 takes', async (t) => {
  const content = Buffer.from(JSON.stringify(denied))
  const [frame, ...others] = readFrames(syslogFrame(denied, 7, content, sender))
  t.strictSame(others, [])
  t.strictSame(readMessage(frame!), {
    facility: 13,
    severity: 4,
    timestamp: '2023-11-14T22:13:20.123Z',
    hostname: 'box.example',
    appName: 'sallyport',
    procId: undefined,
    messageId: 'call-denied',
    data: {
      'sallyport@32473': {
        id: denied.event.id,
        seq: '7',
        task: TASK.id,
        reason: 'not-on-allowlist',
      },
    },
    content,
  })
})

void t.test('its severity says how bad what it tells is', async (t) => {
  const severity = (record: RecordBody): number =>
    readMessage(readFrames(syslogFrame(record, 1, Buffer.from('{}'), sender))[0]!).severity
  const event = (action: string): RecordBody => eventRecord(action, { now: 0 })
  t.equal(severity(callRecord(facts(), 'call-ended', 0)), 6, 'informational')
  t.equal(severity(denied), 4, 'warning')
  t.equal(severity(event('rules-refused')), 4, 'warning')
  t.equal(severity(event('owner-disabled')), 6)
  t.equal(severity(event('kill-switch-thrown')), 3, 'error')
  t.equal(severity(event('placeholder-misused')), 1, 'alert')
  const detection = { name: 'denial-storm', asi: ['ASI02'], calls: [], count: 9 }
  const detected = (level: 'low' | 'medium' | 'high'): RecordBody => {
    const { sallyport, ...rest } = event('detection')
    return { ...rest, sallyport: { ...sallyport, detection: { ...detection, severity: level } } }
  }
  t.strictSame((['low', 'medium', 'high'] as const).map(detected).map(severity), [4, 3, 1])
})

void t.test('R54: no text breaks a frame, or is another one when it is read', async (t) => {
  const text = string({ unit: 'binary', maxLength: 60 })
  assert(
    property(
      array(
        recordOf({
          id: text,
          action: text,
          reason: text,
          task: text,
          time: text,
          hostname: text,
          appName: text,
          content: uint8Array({ maxLength: 200 }),
        }),
        { maxLength: 5 },
      ),
      (written) => {
        const stream = Buffer.concat(
          written.map(({ id, action, reason, task, time, hostname, appName, content }, at) => {
            const own = taskOf({ ...TASK, id: task })
            const record: RecordBody = {
              ...denied,
              '@timestamp': time,
              event: { ...denied.event, id, action, reason },
              sallyport: { ...denied.sallyport, task: own },
            }
            return syslogFrame(record, at, content, { facility: 23, hostname, appName })
          }),
        )
        const read = readFrames(stream).map(readMessage)
        t.equal(read.length, written.length)
        const shown = (one: string): string => one.toWellFormed().replaceAll(/\p{Cc}/gu, '?')
        for (const [at, { id, reason, task, content }] of written.entries()) {
          const { data, content: got } = read[at]!
          const own = { id: shown(id), seq: String(at), task: shown(task), reason: shown(reason) }
          if (JSON.stringify(data) !== JSON.stringify({ 'sallyport@32473': own }))
            throw new Error(`${JSON.stringify(data)} is not ${JSON.stringify(own)}`)
          if (!got.equals(content)) throw new Error('the content is another')
        }
      },
    ),
    { numRuns: 500 },
  )
})

void t.test('what a header may not have is replaced, and what is too long is cut', async (t) => {
  t.equal(headerName('häuschen box\n', 255), 'h_uschen_box_')
  t.equal(headerName('', 255), '-')
  t.equal(headerName('x'.repeat(300), 255).length, 255)
  t.equal(
    structuredData([
      ['a', String.raw`"\]`],
      ['b', undefined],
    ]),
    String.raw`[sallyport@32473 a="\"\\\]"]`,
  )
})

void t.test('the strict reader refuses what is not RFC 5424', async (t) => {
  const good = '<110>1 2026-11-26T02:50:11.402Z h a - m [x@1 a="b"] {}'
  t.equal(readMessage(Buffer.from(good)).messageId, 'm')
  for (const [from, to] of [
    ['<110>', '<192>'],
    ['<110>', '<0110>'],
    ['>1 ', '>2 '],
    ['11-26T', '13-26T'],
    ['.402', '.1234567'],
    [' h ', '  '],
    ['"b"', '"b]"'],
    ['a="b"', 'a=b'],
    ['[x@1', '[x 1'],
    ['] {}', ']{}'],
    [' m ', ` ${'m'.repeat(33)} `],
  ] as const)
    t.throws(() => readMessage(Buffer.from(good.replace(from, to))), to)
  t.throws(() => readFrames(Buffer.from('5 abcd')))
  t.throws(() => readFrames(Buffer.from('05 abcde')))
})
