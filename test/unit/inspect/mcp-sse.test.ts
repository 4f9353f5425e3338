// Event streams: cut anywhere they say the same, and what goes on is read alike by every reader.

import * as fc from 'fast-check'
import t from 'tap'

import { type SseEvent, SseReader } from '../../../src/inspect/mcp/sse.ts'
import { faultOf } from './mcp-support.ts'

interface Outcome {
  /** All that goes on where nothing is changed. */
  readonly passed: string
  readonly events: readonly (readonly [
    string | undefined,
    string | undefined,
    string | undefined,
  ])[]
}

function readChunks(chunks: readonly Uint8Array[], bytesMax = 4096): Outcome {
  const reader = new SseReader(bytesMax)
  const items = chunks.flatMap((chunk) => reader.read(chunk))
  return {
    passed: Buffer.concat(items.map(({ bytes }) => bytes)).toString(),
    events: items
      .filter((item): item is SseEvent => item.kind === 'event')
      .map(({ type, id, data }) => [type, id, data && Buffer.from(data).toString()] as const),
  }
}

const read = (text: string): Outcome => readChunks([Buffer.from(text)])

// The standard's own steps over the whole text, as plainly as they can be written: what is dispatched, type and data.
function dispatched(text: string): readonly (readonly [string, string])[] {
  const events: [string, string][] = []
  let type = ''
  let data = ''
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/)
  lines.pop()
  for (const line of lines) {
    if (line === '') {
      if (data !== '') events.push([type || 'message', data.slice(0, -1)])
      type = ''
      data = ''
      continue
    }
    const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/su.exec(line) ?? []
    if (name === 'event') type = value
    if (name === 'data') data += `${value}\n`
  }
  return events
}

const STREAMS: readonly (readonly [string, string, Outcome['events']])[] = [
  ['LF', 'data: {"a":1}\n\n', [[undefined, undefined, '{"a":1}']]],
  ['CRLF', 'event: message\r\ndata: 1\r\n\r\n', [['message', undefined, '1']]],
  ['no space', 'data:1\n\n', [[undefined, undefined, '1']]],
  ['two spaces', 'data:  1\n\n', [[undefined, undefined, ' 1']]],
  ['lines', 'data: {\ndata: "a":1}\n\n', [[undefined, undefined, '{\n"a":1}']]],
  [
    'empty data',
    'id: 7\ndata:\n\ndata: 1\n\n',
    [
      [undefined, '7', ''],
      [undefined, undefined, '1'],
    ],
  ],
  ['id and retry', 'id: e-1\nretry: 3000\ndata: 1\n\n', [[undefined, 'e-1', '1']]],
  ['retry alone', 'retry: 3000\n\n', [[undefined, undefined, undefined]]],
  ['comments', ': hello\n\n:\ndata: 1\n: inside\n\n:\n', [[undefined, undefined, '1']]],
  ['empty lines', '\n\n\r\n\r\ndata: 1\n\n\n', [[undefined, undefined, '1']]],
  ['unfinished', 'data: 1\n\ndata: 2\n', [[undefined, undefined, '1']]],
  ['unfinished line', 'data: 1\n\ndata: 2', [[undefined, undefined, '1']]],
  ['mark', '\uFEFFdata: 1\n\n', [[undefined, undefined, '1']]],
  ['part of a mark', '\u00efx: 2\ndata: 1\n\n', [[undefined, undefined, '1']]],
  [
    'CR',
    'data: 1\r\rdata: 2\r\r',
    [
      [undefined, undefined, '1'],
      [undefined, undefined, '2'],
    ],
  ],
  [
    'mixed',
    'data: 1\r\n\rdata: 2\n\r\n',
    [
      [undefined, undefined, '1'],
      [undefined, undefined, '2'],
    ],
  ],
  ['twice', 'event: a\nevent: b\ndata: 1\n\n', [['b', undefined, '1']]],
  ['no colon', 'data\n\n', [[undefined, undefined, '']]],
  [
    'other fields',
    'Data: 1\n data: 2\ndata : 3\ndatum: 4\ndata: 5\n\n',
    [[undefined, undefined, '5']],
  ],
  ['odd id', 'id: a\u0000b\ndata: 1\n\n', [[undefined, undefined, '1']]],
  ['odd lines', 'data: "a\u2028data: 2"\n\n', [[undefined, undefined, '"a\u2028data: 2"']]],
]

void t.test('a stream cut at every byte says the same', async (t) => {
  for (const [name, text, events] of STREAMS) {
    const bytes = Buffer.from(text)
    const whole = read(text)
    t.strictSame(whole.events, events, name)
    for (let cut = 0; cut <= bytes.length; cut += 1)
      t.strictSame(
        readChunks([bytes.subarray(0, cut), bytes.subarray(cut)]),
        whole,
        `${name} at ${cut}`,
      )
    t.strictSame(
      readChunks([...bytes].map((byte) => Uint8Array.of(byte))),
      whole,
      `${name} byte by byte`,
    )
  }
})

void t.test(
  'an event that everybody reads alike keeps its bytes, with comments and empty lines',
  async (t) => {
    for (const name of [
      'LF',
      'CRLF',
      'no space',
      'lines',
      'empty data',
      'id and retry',
      'comments',
      'empty lines',
    ]) {
      const [, text] = STREAMS.find(([title]) => title === name)!
      t.equal(read(text).passed, text, name)
    }
    t.equal(read('data: "é"\n\n').passed, 'data: "é"\n\n')
  },
)

void t.test('what readers could see differently goes on in its plainest form', async (t) => {
  t.equal(read('\uFEFFdata: 1\n\n').passed, 'data: 1\n\n')
  t.equal(read('data: 1\r\rdata: 2\n\n').passed, 'data: 1\n\ndata: 2\n\n')
  t.equal(read('event: a\nevent: b\ndata: 1\n\n').passed, 'event: b\ndata: 1\n\n')
  t.equal(read('Data: 0\ndata: 1\n\n').passed, 'data: 1\n\n')
  t.equal(read('Data: 0\n\n').passed, '')
  t.equal(read('id: a\u0000b\nid: ü\nretry: x\ndata: 1\n\n').passed, 'data: 1\n\n')
  t.equal(
    read('data: "a\u2028b\u2029c\u0085d\uFEFFe"\n\n').passed,
    'data: "a\\u2028b\\u2029c\\u0085d\\ufeffe"\n\n',
  )
  t.equal(read(': a\u2028data: 1\n').passed, ':\n', 'a comment that some read as two lines')
  t.equal(read('data: {\n: a\u2028data: 1\ndata: }\n\n').passed, 'data: { }\n\n')
})

void t.test('heartbeats go on at once, an event when its empty line is there', async (t) => {
  const reader = new SseReader(4096)
  const pass = (text: string): string =>
    reader
      .read(Buffer.from(text))
      .map(({ bytes }) => Buffer.from(bytes).toString())
      .join('')
  t.equal(pass(': beat\n'), ': beat\n')
  t.equal(pass(':\r'), ':\r\n')
  t.equal(pass('\ndata: 1\r\n'), '')
  t.equal(pass('\r'), 'data: 1\r\n\r\n', 'not held until the LF')
  t.equal(pass('\n'), '')
  t.equal(pass('data: 2\n'), '')
  t.equal(pass('\n'), 'data: 2\n\n')
})

void t.test(
  'an event larger than its bound breaks the stream, one of its size does not',
  async (t) => {
    const event = `data: ${'x'.repeat(90)}\n\n`
    t.equal(readChunks([Buffer.from(event.repeat(3))], event.length).events.length, 3)
    t.equal(
      faultOf(() => readChunks([Buffer.from(event)], event.length - 1)),
      'response-malformed event size',
    )
    t.equal(
      faultOf(() => readChunks([Buffer.from(`: ${'x'.repeat(200)}`)], 100)),
      'response-malformed event size',
    )
    t.equal(
      faultOf(() =>
        readChunks(
          Array.from({ length: 200 }, () => Buffer.from('a:\n')),
          100,
        ),
      ),
      'response-malformed event size',
    )
  },
)

void t.test('what goes on is dispatched as the standard dispatches what came', async (t) => {
  const line = fc.oneof(
    fc.constantFrom(
      'data: 1',
      'data:2',
      'data',
      ': c',
      'event: message',
      'event: x',
      'event:',
      'id: 1',
      'retry: 5',
      'Data: 9',
      '',
      '',
      'odd',
    ),
    fc.string({ maxLength: 8 }).filter((text) => !/[\p{Cc}]/u.test(text)),
  )
  const stream = fc.array(fc.tuple(line, fc.constantFrom('\n', '\n', '\r\n', '\r')), {
    maxLength: 24,
  })
  fc.assert(
    fc.property(stream, fc.array(fc.nat(200), { maxLength: 5 }), (lines, cuts) => {
      const text = lines.flat().join('')
      const bytes = Buffer.from(text)
      const at = [
        0,
        ...cuts.map((cut) => Math.min(cut, bytes.length)).toSorted((a, b) => a - b),
        bytes.length,
      ]
      const { passed, events } = readChunks(
        at.slice(1).map((end, index) => bytes.subarray(at[index], end)),
      )
      // A second CR LF of a CR at the very end is ours to add.
      const expected = dispatched(text)
      t.strictSame(readChunks([bytes]).passed, passed)
      const said = events.filter(([, , data]) => data !== undefined).length
      if (said < expected.length) return false
      // Types that are not plain are dropped with their field; data is what is judged.
      const dataOf = (list: readonly (readonly [string, string])[]) =>
        list.map(([, data]) => data.replaceAll('\n', ' '))
      t.strictSame(dataOf(dispatched(passed)), dataOf(expected))
      return true
    }),
    { numRuns: 400 },
  )
})

void t.test('a stream of one byte a chunk takes time in proportion', async (t) => {
  const reader = new SseReader(2 ** 22)
  const byte = Buffer.from('x')
  let items = reader.read(Buffer.from('data: ')).length
  for (let count = 0; count < 2 ** 20; count += 1) items += reader.read(byte).length
  t.equal(items, 0)
  t.equal(reader.read(Buffer.from('\n\n')).length, 1)
})
