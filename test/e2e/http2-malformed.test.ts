// What is no request of HTTP/2, frame by frame: refused, on record once, and the proxy and the next connection go on. What the
// library that decodes frames refuses by itself ends its stream; what only we refuse is answered.

import t from 'tap'

import {
  block,
  frame,
  headersFrame,
  pseudo,
  PREFACE,
  RawHttp2,
  secureHttp2,
} from '../fixtures/http2-client.ts'
import { ruleSet, scenario, startSecure, until, type Scenario } from '../fixtures/scenario.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const PROTOCOL_ERROR = 1

type Fields = readonly (readonly [string, string])[]

interface Malformed {
  readonly what: string
  /** Of stream 1. */
  readonly fields: (authority: string) => Fields
  readonly reason: string
  /** What is answered; undefined: the stream is reset. */
  readonly status?: number
}

const replaced = (fields: Fields, name: string, value?: string): Fields =>
  fields.flatMap((field) =>
    field[0] === name ? (value === undefined ? [] : [[name, value] as const]) : [field],
  )

const withField =
  (name: string, value: string) =>
  (authority: string): Fields => [...pseudo(authority), [name, value]]

const withPseudo =
  (name: string, value?: string) =>
  (authority: string): Fields =>
    replaced(pseudo(authority), name, value)

const MALFORMED: readonly Malformed[] = [
  ...[':method', ':scheme', ':path'].map((name): Malformed => ({
    what: `no ${name}`,
    fields: withPseudo(name),
    reason: 'malformed-header',
  })),
  ...[':method', ':scheme', ':path', ':authority'].map((name): Malformed => ({
    what: `${name} twice`,
    fields: (authority) => [...pseudo(authority), pseudo(authority).find(([one]) => one === name)!],
    reason: 'malformed-header',
  })),
  {
    what: 'an unknown pseudo-header field',
    fields: (authority) => [...pseudo(authority), [':other', 'x']],
    reason: 'malformed-header',
  },
  {
    what: 'a pseudo-header field behind a field',
    fields: (authority) => [['accept', '*/*'], ...pseudo(authority)],
    reason: 'malformed-header',
  },
  {
    what: ':status in a request',
    fields: (authority) => [...pseudo(authority), [':status', '200']],
    reason: 'malformed-header',
  },
  { what: 'upper case', fields: withField('X-Upper', 'x'), reason: 'malformed-header' },
  ...['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'].map(
    (name): Malformed => ({
      what: `the field ${name}`,
      fields: withField(name, name === 'transfer-encoding' ? 'chunked' : 'close'),
      reason: 'malformed-header',
    }),
  ),
  { what: 'te: gzip', fields: withField('te', 'trailers, gzip'), reason: 'malformed-header' },
  {
    what: 'a twin of content-length',
    fields: withField('content_length', '3'),
    reason: 'malformed-header',
    status: 400,
  },
  {
    what: 'a length that is none',
    fields: withField('content-length', '3x'),
    reason: 'malformed-header',
  },
  {
    what: 'a length where the stream ends',
    fields: withField('content-length', '3'),
    reason: 'malformed-header',
  },
  {
    what: 'two lengths',
    fields: (authority) => [...pseudo(authority), ['content-length', '0'], ['content-length', '0']],
    reason: 'malformed-header',
  },
  {
    what: 'an expectation that nobody knows',
    fields: withField('expect', 'miracles'),
    reason: 'malformed-header',
    status: 400,
  },
  {
    what: 'a method in lower case',
    fields: withPseudo(':method', 'get'),
    reason: 'malformed-header',
    status: 400,
  },
  { what: 'no authority at all', fields: withPseudo(':authority'), reason: 'malformed-header' },
  {
    what: 'an empty authority',
    fields: withPseudo(':authority', ''),
    reason: 'malformed-header',
  },
  {
    what: 'two Host fields',
    fields: (authority) => [...pseudo(authority), ['host', authority], ['host', authority]],
    reason: 'malformed-header',
  },
  {
    what: 'another Host',
    fields: withField('host', 'other.test'),
    reason: 'authority-mismatch',
    status: 400,
  },
  {
    what: 'http for its scheme',
    fields: withPseudo(':scheme', 'http'),
    reason: 'authority-mismatch',
    status: 400,
  },
  { what: 'asterisk-form', fields: withPseudo(':path', '*'), reason: 'malformed-header' },
  {
    what: 'asterisk-form with OPTIONS',
    fields: (authority) => pseudo(authority, '*', 'OPTIONS'),
    reason: 'malformed-target',
    status: 400,
  },
  { what: 'an empty path', fields: withPseudo(':path', ''), reason: 'malformed-header' },
  {
    what: 'absolute form',
    fields: (authority) => replaced(pseudo(authority), ':path', `https://${authority}/ok/a`),
    reason: 'malformed-header',
  },
  {
    what: 'a path with dot segments',
    fields: withPseudo(':path', '/ok/../no'),
    reason: 'malformed-path',
    status: 400,
  },
  {
    what: 'a fragment',
    fields: withPseudo(':path', '/ok/a#b'),
    reason: 'malformed-target',
    status: 400,
  },
  {
    what: 'TRACE',
    fields: withPseudo(':method', 'TRACE'),
    reason: 'method-not-allowed',
    status: 403,
  },
  {
    what: 'CONNECT',
    fields: (authority) => [
      [':method', 'CONNECT'],
      [':authority', authority],
    ],
    reason: 'protocol-not-allowed',
    status: 403,
  },
  {
    what: 'extended CONNECT',
    fields: (authority) => [...pseudo(authority, '/ok/a', 'CONNECT'), [':protocol', 'websocket']],
    reason: 'malformed-header',
  },
  ...[
    'other.test',
    'up.test.evil.test',
    'user@up.test',
    'user:pw@up.test',
    'up.test:1',
    'up.test:0443',
    'up.test:',
    'up.test%00',
    '127.0.0.1',
    '[::1]',
    'up..test',
  ].map((authority): Malformed => ({
    what: `:authority ${authority}`,
    fields: withPseudo(':authority', authority),
    reason: 'authority-mismatch|malformed-target|malformed-port|malformed-header',
  })),
]

const up = await startSecure(['up.test'])
const authority = `up.test:${up.port}`
const options = {
  hosts: ['up.test'],
  rules: ruleSet(`id: up, allow: 'https://${authority}', paths: ['/ok/**'], ${LOOPBACK}`),
}
t.teardown(() => up.close())

/** The reason of the next record of a call inside the tunnel. */
async function nextReason(cx: Scenario, before: number): Promise<string | undefined> {
  const inside = (): string[] =>
    cx
      .terminal()
      .filter(({ sallyport }) => sallyport.call?.kind === 'intercepted')
      .map(({ event }) => event.reason)
  await until(() => inside().length > before, `a record is written:\n${cx.summary()}`)
  return inside()[before]
}

const countOf = (cx: Scenario): number =>
  cx.terminal().filter(({ sallyport }) => sallyport.call?.kind === 'intercepted').length

scenario(t, 'R31, R37: no head that could be read in two ways passes', options, async (cx, t) => {
  for (const { what, fields, reason, status } of MALFORMED) {
    const before = countOf(cx)
    const raw = await RawHttp2.open(cx, authority)
    raw.send(headersFrame(1, fields(authority)))
    t.match(await nextReason(cx, before), new RegExp(`^(?:${reason})$`), what)
    await until(
      () => raw.isEnded(1) || raw.resetOf(1) !== undefined || raw.isClosed,
      `${what} is told`,
    )
    if (status === undefined && reason === 'malformed-header')
      t.equal(raw.resetOf(1), PROTOCOL_ERROR, `${what}: the stream is reset`)
    if (status !== undefined) t.ok(raw.isEnded(1), `${what}: the stream is answered`)
    // The same connection goes on.
    raw.send(headersFrame(3, pseudo(authority)))
    await until(() => raw.isEnded(3) || raw.isClosed, `${what}: the next stream is answered`)
    t.ok(raw.isEnded(3), `${what}: the next stream is answered`)
    t.equal(await nextReason(cx, before + 1), 'allowed', `${what}: the next one is allowed`)
    raw.socket.destroy()
  }
  t.equal(up.seen.length, MALFORMED.length, 'nothing of what was refused arrived')
})

// The library leaves such a field out and goes on, and so do we: what is not there is not sent.
const LEFT_OUT: Fields = [
  ['x bad', 'x-left-out'],
  ['', 'x-left-out'],
  ['x-end', 'x-left-out\r\nb: c'],
  ['x-zero', 'x-left-out\0b'],
  ['x-before', ' x-left-out'],
  ['x-behind', 'x-left-out\t'],
]

scenario(t, 'R37: no field that is not one is sent on', options, async (cx, t) => {
  const raw = await RawHttp2.open(cx, authority)
  raw.send(headersFrame(1, [...pseudo(authority, '/ok/fields'), ...LEFT_OUT, ['x-good', 'y']]))
  await until(() => raw.isEnded(1), 'it is answered')
  const [seen] = up.seen.filter(({ url }) => url === '/ok/fields')
  t.strictSame(seen?.rawHeaders, ['Host', authority, 'x-good', 'y'])
  raw.socket.destroy()
})

scenario(t, 'R31: an authority in another spelling is the same one', options, async (cx, t) => {
  for (const spelling of [`UP.test:${up.port}`, `up.test.:${up.port}`]) {
    const before = countOf(cx)
    const raw = await RawHttp2.open(cx, authority)
    raw.send(headersFrame(1, replaced(pseudo(authority), ':authority', spelling)))
    t.equal(await nextReason(cx, before), 'allowed', spelling)
    raw.socket.destroy()
  }
})

scenario(t, 'R37: a body is as long as it says', options, async (cx, t) => {
  const head: Fields = [...pseudo(authority, '/ok/a', 'POST'), ['content-length', '3']]
  const bodies: [string, Buffer[], string][] = [
    ['shorter', [frame(0, 1, 1, 'ab')], 'malformed-body'],
    ['longer', [frame(0, 1, 1, 'abcd')], 'malformed-body'],
    ['longer, in two', [frame(0, 0, 1, 'abc'), frame(0, 1, 1, 'd')], 'malformed-body'],
    ['reset', [frame(0, 0, 1, 'a'), frame(3, 0, 1, Buffer.from([0, 0, 0, 8]))], 'client-gone'],
    ['reset as if in order', [frame(0, 0, 1, 'a'), frame(3, 0, 1, Buffer.alloc(4))], 'client-gone'],
    ['as long', [frame(0, 1, 1, 'abc')], 'allowed'],
  ]
  for (const [what, frames, reason] of bodies)
    for (const isCut of [false, true]) {
      const before = countOf(cx)
      const raw = await RawHttp2.open(cx, authority)
      if (isCut) {
        raw.send(headersFrame(1, head, false))
        await until(() => raw.frames.length > 1, 'the settings are there')
        for (const one of frames) raw.send(one)
      } else raw.send(headersFrame(1, head, false), ...frames)
      t.equal(await nextReason(cx, before), reason, `${what}${isCut ? ', frame by frame' : ''}`)
      raw.socket.destroy()
    }
  t.ok(
    up.seen.every(({ method, body }) => method !== 'POST' || body.toString() === 'abc'),
    'no upstream took a part for the whole',
  )
})

const CONNECTIONS: readonly [what: string, bytes: readonly (Uint8Array | string)[]][] = [
  ['no preface', ['GET / HTTP/1.1\r\nHost: up.test\r\n\r\n']],
  ['half a preface and garbage', ['PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n', frame(4, 0, 0)]],
  ['no SETTINGS first', [PREFACE, frame(6, 0, 0, Buffer.alloc(8))]],
  ['DATA on stream 0', [PREFACE, frame(4, 0, 0), frame(0, 0, 0, 'x')]],
  ['HEADERS on stream 0', [PREFACE, frame(4, 0, 0), headersFrame(0, pseudo('up.test'))]],
  ['HEADERS on an even stream', [PREFACE, frame(4, 0, 0), headersFrame(2, pseudo('up.test'))]],
  ['DATA on an idle stream', [PREFACE, frame(4, 0, 0), frame(0, 0, 5, 'x')]],
  ['a frame above the size', [PREFACE, frame(4, 0, 0), frame(0, 0, 1, Buffer.alloc(16_385))]],
  ['PING of three bytes', [PREFACE, frame(4, 0, 0), frame(6, 0, 0, 'abc')]],
  ['SETTINGS of five bytes', [PREFACE, frame(4, 0, 0, 'abcde')]],
  [
    'SETTINGS with an impossible window',
    [PREFACE, frame(4, 0, 0, Buffer.from([0, 4, 255, 255, 255, 255]))],
  ],
  ['WINDOW_UPDATE of nothing', [PREFACE, frame(4, 0, 0), frame(8, 0, 0, Buffer.alloc(4))]],
  [
    'a window beyond its bound',
    [PREFACE, frame(4, 0, 0), frame(8, 0, 0, Buffer.from([127, 255, 255, 255]))],
  ],
  ['RST_STREAM on an idle stream', [PREFACE, frame(4, 0, 0), frame(3, 0, 9, Buffer.alloc(4))]],
  ['CONTINUATION of nothing', [PREFACE, frame(4, 0, 0), frame(9, 4, 1, 'x')]],
  [
    'a frame within a header block',
    [
      PREFACE,
      frame(4, 0, 0),
      frame(1, 1, 1, block(pseudo('up.test'))),
      frame(6, 0, 0, Buffer.alloc(8)),
    ],
  ],
  ['PUSH_PROMISE', [PREFACE, frame(4, 0, 0), frame(5, 4, 1, Buffer.from([0, 0, 0, 2]))]],
  [
    'padding beyond the frame',
    [PREFACE, frame(4, 0, 0), frame(1, 0xd, 1, Buffer.from([255, 0x82]))],
  ],
  [
    'a header block that cannot be decoded',
    [PREFACE, frame(4, 0, 0), frame(1, 5, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff]))],
  ],
  ['an index beyond the table', [PREFACE, frame(4, 0, 0), frame(1, 5, 1, Buffer.from([0xfe]))]],
]

scenario(
  t,
  'R41: what is no HTTP/2 ends its connection, with one record',
  options,
  async (cx, t) => {
    for (const [what, bytes] of CONNECTIONS) {
      const before = countOf(cx)
      const bad = new RawHttp2(await secureHttp2(cx, authority))
      bad.send(...bytes)
      t.match(await nextReason(cx, before), /^malformed-(?:header|body)$/, what)
      await until(() => bad.isClosed, `${what}: the connection is closed`)
      const good = await RawHttp2.open(cx, authority)
      good.send(headersFrame(1, pseudo(authority)))
      await until(() => good.isEnded(1), `${what}: the next connection works`)
      t.equal(await nextReason(cx, before + 1), 'allowed', `${what}: one record`)
      good.socket.destroy()
    }
  },
)
