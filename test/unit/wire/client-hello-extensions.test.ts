// The extensions of a ClientHello besides the name: protocols, what hides another hello, and lengths; and what reading
// one costs when it comes in crumbs.

import t from 'tap'

import { sniffClientHello, type Sniffed } from '../../../src/wire/client-hello.ts'

type Extension = readonly [type: number, body: Buffer]

const PLAIN: Sniffed = { kind: 'hello', serverName: undefined, alpn: [], ech: false }
const MALFORMED: Sniffed = { kind: 'malformed' }

void t.test('protocols are read in order, and a list that is none is malformed', (t) => {
  t.strictSame(sniff([protocols('h2', 'http/1.1')]), { ...PLAIN, alpn: ['h2', 'http/1.1'] })
  t.strictSame(sniff([protocols('')]), MALFORMED)
  t.strictSame(sniff([protocols('h2', '')]), MALFORMED)
  t.strictSame(sniff([protocols()]), MALFORMED)
  t.strictSame(sniff([[16, Buffer.from([0, 2, 9, 97])]]), MALFORMED, 'longer than the list')
  t.strictSame(sniff([[16, Buffer.from([0, 2, 1, 97, 0])]]), MALFORMED, 'bytes behind the list')
  t.strictSame(sniff([protocols('h2'), protocols('http/1.1')]), MALFORMED, 'two lists')
  t.end()
})

void t.test('a hidden hello is known by every number it has had', (t) => {
  for (const type of [0xfe0d, 0xfe0c, 0xfe0a, 0xfe08, 0xffce])
    t.strictSame(sniff([[type, Buffer.from([0])]]), { ...PLAIN, ech: true }, type.toString(16))
  for (const type of [0x1a1a, 0xfe07, 0xfe0e, 0x0033])
    t.strictSame(sniff([[type, Buffer.from([0])]]), PLAIN, type.toString(16))
  t.end()
})

void t.test('the block of extensions ends where the hello ends', (t) => {
  t.strictSame(sniff([]), PLAIN)
  t.strictSame(sniff([], Buffer.from([0])), MALFORMED, 'a byte behind it')
  t.strictSame(sniff(undefined), PLAIN, 'no block')
  t.strictSame(sniff(undefined, Buffer.from([0])), MALFORMED, 'half a length')
  t.strictSame(sniff(undefined, Buffer.from([0, 9, 0, 0])), MALFORMED, 'longer than the hello')
  t.strictSame(sniff(undefined, Buffer.from([0, 3, 0, 16, 0])), MALFORMED, 'half an extension')
  t.end()
})

void t.test('a hello in records of one byte costs no more than a moment', (t) => {
  const long = Buffer.concat([Buffer.from([1, 0, 0xff, 0xff]), Buffer.alloc(2700)])
  const crumbs = Buffer.concat(Array.from(long, (byte) => Buffer.from([22, 3, 1, 0, 1, byte])))
  const started = process.cpuUsage()
  for (let times = 0; times < 100; times += 1)
    if (sniffClientHello(crumbs).kind !== 'more') t.fail('no answer is due yet')
  const { user } = process.cpuUsage(started)
  t.ok(user < 2_000_000, `${user} µs`)
  t.end()
})

function sniff(extensions: readonly Extension[] | undefined, tail = Buffer.alloc(0)): Sniffed {
  const block =
    extensions === undefined
      ? Buffer.alloc(0)
      : vector(
          2,
          ...extensions.map(([type, body]) => Buffer.concat([uint(2, type), vector(2, body)])),
        )
  const hello = Buffer.concat([
    uint(2, 0x0303),
    Buffer.alloc(32, 7),
    vector(1, Buffer.alloc(32, 8)),
    vector(2, uint(2, 0x1301)),
    vector(1, Buffer.from([0])),
    block,
    tail,
  ])
  const message = Buffer.concat([Buffer.from([1]), vector(3, hello)])
  return sniffClientHello(Buffer.concat([Buffer.from([22, 3, 1]), vector(2, message)]))
}

function protocols(...names: readonly string[]): Extension {
  return [16, vector(2, ...names.map((name) => vector(1, Buffer.from(name, 'latin1'))))]
}

function uint(size: number, value: number): Buffer {
  const bytes = Buffer.alloc(size)
  bytes.writeUIntBE(value, 0, size)
  return bytes
}

function vector(size: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([uint(size, body.length), body])
}
