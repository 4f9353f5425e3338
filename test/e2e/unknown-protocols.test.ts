// What is neither TLS nor HTTP in a tunnel that rules of HTTP stand for, and what is neither inside TLS: closed, and on record
// with its reason, while nothing of it reaches the upstream. What has a rule of its own passes.

import t from 'tap'

import {
  exchange,
  request,
  ruleSet,
  scenario,
  startSecure,
  until,
  type Scenario,
} from '../fixtures/scenario.ts'
import { startTcp } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'

const web = await startSecure(['web.test'], () => ({ body: 'ok' }))
const echo = await startTcp((socket) => socket.pipe(socket))
t.teardown(() => Promise.all([web.close(), echo.close()]))
const host = `web.test:${web.port}`
const opaque = `opaque.test:${echo.port}`

const options = {
  hosts: ['web.test', 'opaque.test'],
  rules: ruleSet(
    `id: web, allow: ['https://${host}', 'http://${host}'], ${LOOPBACK}`,
    `id: opaque, allow: 'tcp://${opaque}', ${LOOPBACK}`,
  ),
}

const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex')

/** How protocols begin that have no business in such a tunnel. */
const BEGINNINGS: Readonly<Record<string, string | Buffer>> = {
  SSH: 'SSH-2.0-OpenSSH_9.7\r\n',
  IMAP: 'a1 LOGIN someone secret\r\n',
  Redis: '*1\r\n$4\r\nPING\r\n',
  'HTTP/2 by prior knowledge': Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    bytes('000000040000000000'),
  ]),
  'a QUIC Initial': Buffer.concat([
    bytes('c0 00000001 08 8394c8f03e515708 00 00 449e 00000002'),
    Buffer.alloc(1182, 0xa5),
  ]),
  'a DNS query over TCP': bytes(
    '001d 1234 0100 0001 0000 0000 0000 07 6578616d706c65 03 636f6d 00 0001 0001',
  ),
  'an SSL 2 hello': bytes(
    '802e 01 0002 0015 0000 0010 010080 020080 030080 040080 050080 060040 0700c0',
  ),
  SOCKS5: bytes('05 01 00'),
  SOCKS4: bytes('04 01 0050 7f000001 00'),
  BitTorrent: Buffer.concat([bytes('13'), Buffer.from('BitTorrent protocol'), Buffer.alloc(48)]),
  RDP: bytes('0300 0013 0ee0 0000 0000 0001 0008 0003 0000 00'),
  PostgreSQL: bytes('0000 0008 04d2 162f'),
  WireGuard: Buffer.concat([bytes('01000000'), Buffer.alloc(144, 0x5a)]),
  'frames of a WebSocket without a handshake': bytes('81 85 37fa213d 7f9f4d5158'),
  zeros: Buffer.alloc(64),
  ones: Buffer.alloc(64, 0xff),
  'what looks random': bytes('9f3c a17e 55d0 02bb e8c4 6d11 f09a 7b3e 4c28 d6f5 813a 0e97'),
}

/** Those whose first word could be a method of HTTP: they are answered as such, and refused as one that nobody can read. */
const WORDS: Readonly<Record<string, string>> = {
  SMTP: 'EHLO client.example\r\nMAIL FROM:<a@client.example>\r\n',
  FTP: 'USER anonymous\r\nPASS guest\r\n',
}

scenario(
  t,
  'R41: an unknown protocol in a tunnel is closed, on record as `protocol-not-allowed`, and dials nothing',
  options,
  async (cx, t) => {
    t.match(await exchange(await cx.secure(host), request('GET', '/', host)), /^HTTP\/1\.1 200/)
    await until(
      () => refused(cx).length === 0 && cx.terminal().length >= 1,
      'the twin is on record',
    )
    const before = web.connections()
    let count = 0
    for (const [name, begins] of Object.entries(BEGINNINGS)) {
      t.equal(await exchange(await cx.connect(host), begins), '', `${name}: nothing comes back`)
      count += 1
      await until(() => refused(cx).length === count, `${name} is on record:\n${cx.summary()}`)
    }
    count = 0
    for (const [name, begins] of Object.entries(WORDS)) {
      const answer = await exchange(await cx.connect(host), begins)
      t.match(answer, /^HTTP\/1\.1 400 Sallyport: malformed-request-line/, name)
      count += 1
      await until(
        () => refused(cx, 'malformed-request-line').length === count,
        `${name} is on record`,
      )
    }
    t.equal(web.connections(), before, 'the upstream saw none of it')
  },
)

scenario(
  t,
  'R41: a byte at a time, or behind the head of the CONNECT, it is the same',
  options,
  async (cx, t) => {
    const before = web.connections()
    const slow = await cx.connect(host)
    slow.setNoDelay(true)
    for (const byte of Buffer.from('SSH-')) slow.write(Buffer.from([byte]))
    t.equal(await exchange(slow, '2.0-x\r\n'), '')
    await until(() => refused(cx).length === 1, 'it is on record')
    const joined = `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\nSSH-2.0-x\r\n`
    t.match(await cx.raw(joined), /^HTTP\/1\.1 200 [^]*\r\n\r\n$/)
    await until(() => refused(cx).length === 2, 'and so is the other')
    t.equal(web.connections(), before)
  },
)

scenario(t, 'R41: inside TLS that is intercepted only HTTP is spoken', options, async (cx, t) => {
  const before = web.connections()
  const all = Object.entries({ ...BEGINNINGS, ...WORDS })
  for (const [name, begins] of all) {
    const answer = await exchange(await cx.secure(host), begins)
    t.match(answer, /^$|^HTTP\/1\.1 [45]/, `${name}: ${answer.slice(0, 60)}`)
  }
  const denied = (): number =>
    cx.terminal().filter(({ event }) => event.action === 'call-denied').length
  await until(() => denied() === all.length, `each is on record:\n${cx.summary()}`)
  t.equal(web.connections(), before, 'the upstream saw none of it')
  t.match(await exchange(await cx.secure(host), request('GET', '/', host)), /^HTTP\/1\.1 200/)
})

scenario(t, 'R41: raw bytes pass where a tcp:// rule says so', options, async (cx, t) => {
  for (const [name, begins] of Object.entries({ ...BEGINNINGS, ...WORDS })) {
    const sent = Buffer.from(begins)
    const socket = await cx.connect(opaque)
    const back = await new Promise<Buffer>((resolve) => {
      const chunks: Buffer[] = []
      socket.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        if (Buffer.concat(chunks).length >= sent.length) resolve(Buffer.concat(chunks))
      })
      socket.resume()
      socket.write(sent)
    })
    t.ok(back.equals(sent), name)
    socket.destroy()
  }
  t.match(await cx.record(({ rule }) => rule?.id === 'opaque'), {
    sallyport: { inspection: 'none' },
  })
})

function refused(cx: Scenario, reason = 'protocol-not-allowed'): unknown[] {
  return cx.terminal().filter(({ event }) => event.reason === reason)
}
