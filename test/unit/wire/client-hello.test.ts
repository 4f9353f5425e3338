// ClientHellos: those of real clients, however they arrive; crafted ones; and bytes that are none.

import net from 'node:net'
import tls from 'node:tls'

import * as fc from 'fast-check'
import t from 'tap'

import { sniffClientHello, type Sniffed } from '../../../src/wire/client-hello.ts'

const HEADER_BYTES = 5

/** The first bytes that a real client sends. */
async function captureHello(options: tls.ConnectionOptions): Promise<Buffer> {
  const server = net.createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const captured = new Promise<Buffer>((resolve) => {
    server.once('connection', (socket) => {
      socket.on('error', () => undefined)
      let bytes = Buffer.alloc(0)
      socket.on('data', (chunk: Buffer) => {
        bytes = Buffer.concat([bytes, chunk])
        if (bytes.length < HEADER_BYTES + bytes.readUInt16BE(3)) return
        resolve(bytes)
        socket.destroy()
      })
    })
  })
  const client = tls.connect({ host: '127.0.0.1', port, ...options })
  client.on('error', () => undefined)
  const bytes = await captured
  await new Promise((resolve) => server.close(resolve))
  return bytes
}

const uint16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255])
const sized = (body: Buffer): Buffer => Buffer.concat([uint16(body.length), body])
const extension = (type: number, body: Buffer): Buffer => Buffer.concat([uint16(type), sized(body)])
const nameEntry = (name: string, type = 0): Buffer =>
  Buffer.concat([Buffer.from([type]), sized(Buffer.from(name, 'latin1'))])
const serverName = (...names: string[]): Buffer =>
  extension(0, sized(Buffer.concat(names.map((name) => nameEntry(name)))))
const record = (body: Buffer): Buffer => Buffer.concat([Buffer.from([22, 3, 1]), sized(body)])

function message(extensions: Buffer | undefined): Buffer {
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 7),
    Buffer.from([0]),
    sized(Buffer.from([0x13, 0x01])),
    Buffer.from([1, 0]),
    ...(extensions ? [sized(extensions)] : []),
  ])
  return Buffer.concat([Buffer.from([1, 0]), uint16(body.length), body])
}

const hello = (...extensions: Buffer[]): Buffer => record(message(Buffer.concat(extensions)))
const ALLOWED: Sniffed = { kind: 'hello', serverName: 'a.test', alpn: [], ech: false }

void t.test("real clients' hellos are read, name and protocols", async (t) => {
  const named = await captureHello({ servername: 'api.test', ALPNProtocols: ['h2', 'http/1.1'] })
  t.strictSame(sniffClientHello(named), {
    kind: 'hello',
    serverName: 'api.test',
    alpn: ['h2', 'http/1.1'],
    ech: false,
  })
  const nameless = await captureHello({ maxVersion: 'TLSv1.2' })
  t.match(sniffClientHello(nameless), { kind: 'hello', serverName: undefined, alpn: [] })
})

void t.test(
  'every beginning of a hello asks for more, every continuation changes nothing',
  async (t) => {
    const real = await captureHello({ servername: 'api.test', ALPNProtocols: ['http/1.1'] })
    const whole = sniffClientHello(real)
    for (let at = 0; at < real.length; at += 1)
      if (sniffClientHello(real.subarray(0, at)).kind !== 'more') t.fail(`${at} bytes`)
    for (const more of [
      '',
      'x',
      'GET / HTTP/1.1\r\n',
      '\x14\x03\x03\0\x01\x01',
      '\x16\x03\x01\0\0',
    ])
      t.strictSame(sniffClientHello(Buffer.concat([real, Buffer.from(more, 'latin1')])), whole)
  },
)

void t.test('a hello says the same over however many records', async (t) => {
  const real = await captureHello({ servername: 'api.test', ALPNProtocols: ['http/1.1'] })
  const whole = sniffClientHello(real)
  const body = real.subarray(HEADER_BYTES)
  const cuts = fc.uniqueArray(fc.integer({ min: 1, max: body.length - 1 }), { maxLength: 12 })
  fc.assert(
    fc.property(cuts, (list) => {
      const ends = [...list.sort((one, other) => one - other), body.length]
      const records = ends.map((end, at) => record(body.subarray(ends[at - 1] ?? 0, end)))
      const split = Buffer.concat(records)
      for (let at = 0; at < split.length; at += 7)
        if (sniffClientHello(split.subarray(0, at)).kind !== 'more') return false
      return JSON.stringify(sniffClientHello(split)) === JSON.stringify(whole)
    }),
    { numRuns: 50 },
  )
  const bytewise = Buffer.concat([...body].map((byte) => record(Buffer.from([byte]))))
  t.strictSame(sniffClientHello(bytewise), whole)
})

void t.test('R37: a name that servers could read differently is malformed', (t) => {
  t.strictSame(sniffClientHello(hello(serverName('a.test'))), ALLOWED)
  t.match(sniffClientHello(hello()), { kind: 'hello', serverName: undefined })
  t.match(sniffClientHello(record(message(undefined))), { kind: 'hello', serverName: undefined })
  const malformed: Readonly<Record<string, Buffer>> = {
    'two names in one list': hello(serverName('a.test', 'b.test')),
    'the same name twice': hello(serverName('a.test', 'a.test')),
    'the extension twice': hello(serverName('a.test'), serverName('b.test')),
    'no name in the list': hello(extension(0, sized(Buffer.alloc(0)))),
    'an empty extension': hello(extension(0, Buffer.alloc(0))),
    'an empty name': hello(serverName('')),
    'another type of name': hello(extension(0, sized(nameEntry('a.test', 1)))),
    'NUL in the name': hello(serverName('a.test\0.evil.test')),
    'a space in the name': hello(serverName('a test')),
    'a byte above ASCII': hello(serverName('\xe4.test')),
    'bytes behind the list': hello(
      extension(0, Buffer.concat([sized(nameEntry('a.test')), Buffer.from([0])])),
    ),
    'a list longer than its extension': hello(extension(0, Buffer.from([0, 9, 0, 0, 1, 97]))),
    'a name longer than its list': hello(extension(0, Buffer.from([0, 4, 0, 0, 9, 97]))),
  }
  for (const [why, bytes] of Object.entries(malformed))
    t.strictSame(sniffClientHello(bytes), { kind: 'malformed' }, why)
  t.end()
})

void t.test('lengths that do not agree are malformed', (t) => {
  const body = message(serverName('a.test'))
  const longer = Buffer.from(body)
  longer.writeUInt16BE(longer.readUInt16BE(2) - 1, 2)
  t.strictSame(sniffClientHello(record(longer)), { kind: 'malformed' }, 'cut by its own length')
  t.strictSame(sniffClientHello(record(Buffer.from([2, 0, 0, 0]))), { kind: 'malformed' })
  t.strictSame(sniffClientHello(record(Buffer.from([1, 0, 0, 0]))), { kind: 'malformed' }, 'empty')
  t.strictSame(sniffClientHello(Buffer.from([22, 3, 1, 0, 0])), { kind: 'malformed' }, 'no record')
  t.strictSame(
    sniffClientHello(Buffer.from([22, 3, 1, 0x40, 1])),
    { kind: 'malformed' },
    'too long',
  )
  const half = body.subarray(0, 20)
  const interrupted = Buffer.concat([record(half), Buffer.from([23, 3, 3, 0, 1, 0])])
  t.strictSame(sniffClientHello(interrupted), { kind: 'malformed' }, 'another record inside')
  t.end()
})

void t.test('an encrypted hello shows itself, sincere or not', (t) => {
  const ech = extension(0xfe0d, Buffer.from([0]))
  t.match(sniffClientHello(hello(serverName('a.test'), ech)), { ech: true, serverName: 'a.test' })
  t.match(sniffClientHello(hello(ech, serverName('a.test'))), { ech: true, serverName: 'a.test' })
  t.end()
})

void t.test('what is no TLS is told at its first bytes', (t) => {
  for (const text of [
    'GET / HTTP/1.1\r\n',
    'SSH-2.0-x\r\n',
    '\0',
    '\x80\x2e\x01\x03\x01',
    '\x16\x02',
    '\x17\x03\x03',
  ])
    t.strictSame(sniffClientHello(Buffer.from(text, 'latin1')), { kind: 'not-tls' }, text)
  t.strictSame(sniffClientHello(Buffer.alloc(0)), { kind: 'more' })
  t.strictSame(sniffClientHello(Buffer.from([22])), { kind: 'more' })
  t.end()
})

void t.test('no bytes make it throw, and no answer is taken back', (t) => {
  const prefix = fc.constantFrom(
    Buffer.alloc(0),
    Buffer.from([22, 3]),
    Buffer.from([22, 3, 1, 0, 60, 1, 0, 0, 50]),
    hello(serverName('a.test')).subarray(0, 60),
  )
  const kindOf = (bytes: Uint8Array): string => JSON.stringify(sniffClientHello(bytes))
  fc.assert(
    fc.property(prefix, fc.uint8Array({ maxLength: 120 }), (start, rest) => {
      const bytes = Buffer.concat([start, rest])
      const last = kindOf(bytes)
      for (let at = 0; at <= bytes.length; at += 1) {
        const early = kindOf(bytes.subarray(0, at))
        if (early !== '{"kind":"more"}' && early !== last) return false
      }
      return true
    }),
    { numRuns: 500 },
  )
  const valid = hello(serverName('a.test'), extension(16, sized(Buffer.from('\x02h2', 'latin1'))))
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(valid.length - 1), fc.integer({ min: 0, max: 255 })), {
        maxLength: 4,
      }),
      (changes) => {
        const bytes = Buffer.from(valid)
        for (const [at, value] of changes) bytes[at] = value
        return ['more', 'not-tls', 'malformed', 'hello'].includes(sniffClientHello(bytes).kind)
      },
    ),
    { numRuns: 2000 },
  )
  t.end()
})
