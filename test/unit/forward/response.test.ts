// One response as it comes back on an upstream connection: 1xx before it, where it ends, and how it breaks off.

import t from 'tap'

import type { UpstreamResponse } from '../../../src/call.ts'
import { ResponseReader } from '../../../src/forward/response.ts'
import type { Body } from '../../../src/wire/body.ts'
import { ResponseHeadReader } from '../../../src/wire/http1-head.ts'
import { BOUNDS } from '../../fuzz/own-reader.ts'
import { reasonOf } from '../wire/support.ts'

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1')
const SOURCE = { pause: () => undefined, resume: () => undefined, abort: () => undefined }

interface Reading {
  readonly reader: ResponseReader
  readonly informational: unknown[]
  readonly responses: UpstreamResponse[]
}

function begin(method = 'GET'): Reading {
  const informational: unknown[] = []
  const responses: UpstreamResponse[] = []
  const heads = new ResponseHeadReader(BOUNDS.headBytesMax)
  const reader = new ResponseReader(heads, SOURCE, {
    method,
    body: { ...BOUNDS, malformed: 'response-malformed' },
    bufferBytesMax: 1024,
    onInformational: (status, headers) => informational.push([status, headers]),
    onHead: (response) => responses.push(response),
  })
  return { reader, informational, responses }
}

function textOf(body: Body): string {
  const chunks: Uint8Array[] = []
  for (let chunk = body.read(); chunk; chunk = body.read()) chunks.push(chunk)
  return Buffer.concat(chunks).toString('latin1')
}

void t.test('a response ends where it ends, and what is behind it is left', (t) => {
  const table: readonly (readonly [text: string, method: string, body: string])[] = [
    ['HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc', 'GET', 'abc'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n', 'GET', 'abc'],
    ['HTTP/1.1 200\r\nContent-Length: 3\r\n\r\n', 'HEAD', ''],
    ['HTTP/1.1 304 N\r\nContent-Length: 3\r\n\r\n', 'GET', ''],
    ['HTTP/1.1 204 N\r\n\r\n', 'GET', ''],
    [
      'HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
      'GET',
      '',
    ],
  ]
  for (const [text, method, body] of table) {
    const { reader, responses } = begin(method)
    t.equal(reader.read(bytesOf(`${text}more`)), text.length, text)
    t.ok(reader.isHeadRead && reader.isDone)
    t.equal(textOf(responses[0]!.body), body)
    const single = begin(method)
    for (const byte of bytesOf(text)) {
      t.notOk(single.reader.isDone)
      single.reader.read(Buffer.of(byte))
    }
    t.ok(single.reader.isDone)
    t.equal(textOf(single.responses[0]!.body), body)
  }
  t.end()
})

void t.test('trailers reach the body without what frames or is for one hop', (t) => {
  const { reader, responses } = begin()
  reader.read(
    bytesOf(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: u\r\nConnection: X\r\nX: y\r\n\r\n',
    ),
  )
  t.equal(textOf(responses[0]!.body), '')
  t.strictSame(responses[0]!.body.trailers, ['T', 'u'])
  t.end()
})

void t.test('1xx are told without their hop, and one that announces a body is refused', (t) => {
  const { reader, informational } = begin()
  reader.read(
    bytesOf('HTTP/1.1 103 E\r\nLink: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'),
  )
  t.strictSame(informational, [[103, ['Link', 'a']]])
  t.notOk(reader.isHeadRead)
  for (const head of [
    '103 E\r\nContent-Length: 5',
    '103 E\r\nTransfer-Encoding: chunked',
    '100 C\r\nContent-Length: 0\r\nContent-Length: 0',
    '101 S\r\nUpgrade: h2c',
  ])
    t.equal(
      reasonOf(() => begin().reader.read(bytesOf(`HTTP/1.1 ${head}\r\n\r\n`))),
      'response-malformed',
      head,
    )
  t.end()
})

void t.test('an upstream that ends early is told apart by how far it came', (t) => {
  const end = (text: string): string | undefined => {
    const { reader } = begin()
    reader.read(bytesOf(text))
    return reasonOf(() => reader.end())
  }
  t.equal(end(''), 'response-incomplete')
  t.equal(end('HTTP/1.1 100 C\r\n\r\n'), 'response-incomplete')
  t.equal(end('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab'), 'upstream-gone')
  t.equal(end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n'), 'upstream-gone')
  t.equal(end('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc'), undefined)
  const { reader, responses } = begin()
  reader.read(bytesOf('HTTP/1.1 200 OK\r\n\r\nabc'))
  t.ok(reader.isLast)
  t.notOk(reader.isDone)
  reader.end()
  t.ok(reader.isDone)
  t.equal(textOf(responses[0]!.body), 'abc')
  t.end()
})
