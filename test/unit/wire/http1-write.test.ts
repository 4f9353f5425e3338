// What is written is read by our own reader as what was meant, and nothing of another framing survives in it.

import * as fc from 'fast-check'
import t from 'tap'

import type { Framing } from '../../../src/wire/headers.ts'
import {
  formatLastChunk,
  formatRequestHead,
  formatResponseHead,
  joinBytes,
} from '../../../src/wire/http1-write.ts'
import { bytesOf, readRequests, readResponses } from '../../fixtures/http1.ts'

const token = fc.string({
  unit: fc.constantFrom(...'abcXYZ019-_.'.split('')),
  minLength: 1,
  maxLength: 12,
})
// Blanks at the ends of a value are not the value's.
const value = fc
  .string({ unit: fc.constantFrom(...'abc ,;="\t\xe4\xff:'.split('')), maxLength: 20 })
  .map((text) => text.trim())
const headers = fc
  .array(fc.tuple(token, value), { maxLength: 8 })
  .map((fields) =>
    fields.filter(([name]) => !/^(?:content.length|transfer.encoding)$/i.test(name)).flat(),
  )
const framing: fc.Arbitrary<Framing> = fc.oneof(
  fc.constant({ kind: 'none' } as const),
  fc.constant({ kind: 'chunked' } as const),
  fc.nat({ max: 20 }).map((length) => ({ kind: 'length', length }) as const),
)

const bodyOf = (kind: Framing): string =>
  kind.kind === 'none'
    ? ''
    : kind.kind === 'length'
      ? 'x'.repeat(kind.length)
      : `3\r\nabc\r\n${formatLastChunk([])}`

void t.test('a request head is read as what it was written from', (t) => {
  const target = fc.constantFrom('/', '/a/b?c=%20', '/\xff')
  fc.assert(
    fc.property(
      fc.constantFrom('GET', 'M-SEARCH'),
      target,
      headers,
      framing,
      (method, path, fields, kind) => {
        const host = ['Host', 'a.test', ...fields]
        const text = formatRequestHead({ method, target: path, headers: host, framing: kind })
        const { messages, refused } = readRequests([bytesOf(text + bodyOf(kind))])
        t.equal(refused, undefined, text)
        const framed = messages[0]!.headers.filter(
          (_, at, all) => !/^(?:content-length|transfer-encoding)$/i.test(all[at - (at % 2)]!),
        )
        t.strictSame(
          [messages.length, messages[0]!.first, messages[0]!.second, framed],
          [1, method, path, host],
        )
        t.equal(messages[0]!.body, kind.kind === 'chunked' ? 'abc' : bodyOf(kind))
      },
    ),
  )
  t.end()
})

void t.test('a response head is read as what it was written from', (t) => {
  const text = fc.constantFrom('', 'OK', 'Not  Found', '\xe4')
  fc.assert(
    fc.property(
      fc.integer({ min: 200, max: 599 }),
      text,
      headers,
      framing,
      (status, statusText, fields, kind) => {
        fc.pre(status !== 204 && status !== 304)
        const written = formatResponseHead({
          status,
          statusText,
          headers: fields,
          framing: kind,
          connection: 'close',
        })
        const { messages, refused } = readResponses([bytesOf(written + bodyOf(kind))], 'GET')
        t.equal(refused, undefined, written)
        t.match(messages[0], { first: String(status), second: statusText })
        t.strictSame(messages[0]!.headers.slice(0, fields.length), fields)
      },
    ),
  )
  t.end()
})

void t.test('trailers and joined bytes', (t) => {
  t.equal(formatLastChunk([]), '0\r\n\r\n')
  t.equal(formatLastChunk(['X-T', '1', 'x-u', '']), '0\r\nX-T: 1\r\nx-u: \r\n\r\n')
  t.equal(joinBytes('a\xff', Buffer.from([1, 2]), '\xe4').toString('latin1'), 'a\xff\x01\x02\xe4')
  t.equal(joinBytes('', Buffer.from('x'), '').toString(), 'x')
  t.end()
})
