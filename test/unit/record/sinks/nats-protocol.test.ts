import { array, assert, constantFrom, integer, property, uint8Array } from 'fast-check'
import t from 'tap'

import {
  messageBytes,
  publication,
  ServerReader,
  type ServerOperation,
} from '../../../../src/record/sinks/nats-protocol.ts'

const read = (...chunks: string[]): ServerOperation[] => {
  const reader = new ServerReader()
  return chunks.flatMap((chunk) => reader.read(Buffer.from(chunk)))
}

void t.test('what a server says is read, wherever it is cut', async (t) => {
  const said =
    'INFO {"headers":true,"jetstream":true,"max_payload":2048,"nonce":"abc","auth_required":true}\r\n' +
    "+OK\r\nping\r\nPONG\r\n-ERR 'Authorization Violation'\r\n" +
    'MSG _INBOX.a.1 1 3\r\n\r\nx\r\nHMSG _INBOX.a.2 1 reply 16 18\r\nNATS/1.0 503\r\n\r\nyz\r\n'
  const whole = read(said)
  t.match(whole, [
    {
      kind: 'info',
      info: {
        headers: true,
        tlsRequired: false,
        maxPayload: 2048,
        nonce: 'abc',
      },
    },
    { kind: 'ping' },
    { kind: 'pong' },
    { kind: 'error', text: "'Authorization Violation'" },
    { kind: 'message', subject: '_INBOX.a.1', status: undefined, payload: Buffer.from('\r\nx') },
    { kind: 'message', subject: '_INBOX.a.2', status: '503', payload: Buffer.from('yz') },
  ])
  t.equal(whole.length, 6)
  t.strictSame(read(...said.split('')), whole, 'byte by byte')
})

void t.test('what is no NATS, or more than is read, is an error', async (t) => {
  for (const said of [
    'HTTP/1.1 400 Bad Request\r\n',
    'MSG a 1\r\n',
    'MSG a 1 -5\r\n',
    'MSG a 1 99999999\r\n',
    'MSG a 1 b c 4\r\n',
    'HMSG a 1 5 3\r\n',
    'INFO {\r\n',
    'x'.repeat(70_000),
  ])
    t.throws(() => read(said), said.slice(0, 20))
})

void t.test('no words make the reader hang, or fail otherwise than by an error', async (t) => {
  const words = ['MSG a 1 ', '3\r\n', 'HMSG a 1 2 3\r\n', 'INFO {}\r\n', '\r\n', '-ERR', '\r', 'x']
  assert(
    property(array(constantFrom(...words), { maxLength: 30 }), (said) => {
      try {
        read(...said)
      } catch (error) {
        if (!(error instanceof Error)) throw error
      }
    }),
    { numRuns: 2000 },
  )
  t.pass()
})

void t.test('a publication says its lengths exactly, whatever it holds', async (t) => {
  assert(
    property(uint8Array({ maxLength: 300 }), integer({ min: 0, max: 9 }), (bytes, n) => {
      const message = {
        subject: 'a.b',
        headers: { 'Nats-Msg-Id': `id${n}` },
        payload: Buffer.from(bytes),
      }
      const [line, rest] = publication(message, '_INBOX.x.1')
      const [, block, total] =
        /^HPUB a\.b _INBOX\.x\.1 (\d+) (\d+)\r\n$/.exec(line.toString()) ?? []
      if (Number(total) + 2 !== rest.length) throw new Error('the total is another')
      if (Number(total) !== messageBytes(message)) throw new Error('the sizes differ')
      if (!rest.subarray(Number(block), -2).equals(message.payload)) throw new Error('another')
      const headers = rest.toString('latin1', 0, Number(block))
      if (headers !== `NATS/1.0\r\nNats-Msg-Id: id${n}\r\n\r\n`) throw new Error(headers)
    }),
  )
  t.pass()
})
