// What is written is what our own reader reads, with the same meaning.

import * as fc from 'fast-check'
import t from 'tap'

import type { Framing } from '../../../src/wire/headers.ts'
import {
  fieldLines,
  formatLastChunk,
  formatRequestHead,
  formatResponseHead,
  joinBytes,
  LAST_CHUNK,
  type OutgoingResponse,
} from '../../../src/wire/http1-write.ts'
import { isReusable, readRequests, readResponse } from '../../fuzz/own-reader.ts'

const TOKEN_CHARACTERS = [..."!#$%&'*+-.^_`|~0123456789ABCXYZabcxyz".matchAll(/./g)].map(String)
const name = fc
  .string({ unit: fc.constantFrom(...TOKEN_CHARACTERS), minLength: 1, maxLength: 8 })
  .map((text) => `X-${text}`)
const character = fc
  .integer({ min: 0x20, max: 0xff })
  .filter((code) => code !== 0x7f)
  .map((code) => String.fromCodePoint(code))
const text = fc
  .string({ unit: fc.oneof(character, fc.constant('\t')), maxLength: 12 })
  .map((value) => value.replaceAll(/^[ \t]+|[ \t]+$/g, ''))
const fields = fc.array(fc.tuple(name, text), { maxLength: 5 }).map((pairs) => pairs.flat())
const bodies = fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes))
const target = fc
  .string({ unit: character.filter((one) => one !== ' '), maxLength: 20 })
  .map((rest) => `/${rest}`)

function framed(body: Buffer, isChunked: boolean, trailers: readonly string[]): Buffer {
  if (!isChunked) return body
  const last = Buffer.from(formatLastChunk(trailers), 'latin1')
  return body.length === 0
    ? last
    : Buffer.concat([joinBytes(`${body.length.toString(16)}\r\n`, body, '\r\n'), last])
}

void t.test('a request that is written is read again', (t) => {
  fc.assert(
    fc.property(target, fields, bodies, fc.boolean(), (path, headers, body, isChunked) => {
      const framing: Framing = isChunked
        ? { kind: 'chunked' }
        : body.length === 0
          ? { kind: 'none' }
          : { kind: 'length', length: body.length }
      const head = formatRequestHead({ method: 'POST', target: path, headers, framing })
      const bytes = Buffer.concat([Buffer.from(head, 'latin1'), framed(body, isChunked, headers)])
      const [message, ...more] = readRequests([bytes]).messages
      t.equal(more.length, 0)
      t.match(message, { start: ['POST', path, '1.1'], isWhole: true, end: bytes.length })
      t.strictSame(message?.headers.slice(0, headers.length), headers)
      t.ok(message?.body.equals(body))
      t.strictSame(message?.trailers, isChunked ? headers : [])
    }),
  )
  t.end()
})

void t.test(
  'a response that is written is read again, and keeps the connection as it says',
  (t) => {
    const kinds = fc.constantFrom(
      'none' as const,
      'length' as const,
      'chunked' as const,
      'close' as const,
    )
    const connections = fc.constantFrom('close' as const, 'keep-alive' as const, undefined)
    fc.assert(
      fc.property(
        text,
        fields,
        bodies,
        kinds,
        connections,
        (phrase, headers, some, kind, connection) => {
          const body = kind === 'none' ? Buffer.alloc(0) : some
          const framing: OutgoingResponse['framing'] =
            kind === 'length' ? { kind, length: body.length } : { kind }
          const status = kind === 'none' ? 204 : 200
          const head = formatResponseHead({
            status,
            statusText: phrase,
            headers,
            framing,
            connection,
          })
          const bytes = Buffer.concat([
            Buffer.from(head, 'latin1'),
            framed(body, kind === 'chunked', headers),
          ])
          const [message] = readResponse([bytes], 'GET').messages
          t.match(message, {
            start: ['1.1', String(status), phrase],
            isWhole: true,
            end: bytes.length,
          })
          t.strictSame(message?.headers.slice(0, headers.length), headers)
          t.ok(message?.body.equals(body))
          t.strictSame(message?.trailers, kind === 'chunked' ? headers : [])
          t.equal(isReusable(message!), kind !== 'close' && connection !== 'close')
        },
      ),
    )
    t.end()
  },
)

void t.test('a head is written to the byte', (t) => {
  t.equal(
    formatRequestHead({
      method: 'PUT',
      target: '/a?b',
      headers: ['Host', 'a.test', 'X-A', '', 'x-a', '\xfc'],
      framing: { kind: 'length', length: 0 },
    }),
    'PUT /a?b HTTP/1.1\r\nHost: a.test\r\nX-A: \r\nx-a: \xfc\r\nContent-Length: 0\r\n\r\n',
  )
  t.equal(
    formatResponseHead({
      status: 200,
      statusText: '',
      headers: [],
      framing: { kind: 'chunked' },
      connection: 'close',
    }),
    'HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n',
  )
  t.equal(fieldLines([]), '')
  t.equal(formatLastChunk([]), LAST_CHUNK)
  t.equal(formatLastChunk(['T', 'u']), '0\r\nT: u\r\n\r\n')
  t.end()
})

void t.test('text and bytes are joined as they are', (t) => {
  t.strictSame(joinBytes('\xff', Buffer.of(0, 0xff), '\xfe'), Buffer.of(0xff, 0, 0xff, 0xfe))
  t.strictSame(joinBytes('', new Uint8Array(0), ''), Buffer.alloc(0))
  t.end()
})
