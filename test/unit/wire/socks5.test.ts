// Messages of SOCKS5: whole ones are read the same however they arrive, and nothing else is read at all.

import * as fc from 'fast-check'
import t from 'tap'

import { EgressError } from '../../../src/errors.ts'
import { readProxyCredential } from '../../../src/identify/proxy-credential.ts'
import {
  chooseMethod,
  formatMethod,
  formatReply,
  readGreeting,
  readPassword,
  readSocksRequest,
  replyCodeOf,
  SocksRefusal,
  type SocksMessage,
} from '../../../src/wire/socks5.ts'

type Read = (bytes: Uint8Array) => SocksMessage<unknown> | undefined

function outcomeOf(read: Read, bytes: Uint8Array): unknown {
  try {
    const message = read(bytes)
    return message === undefined ? 'more' : [message.value, message.bytes]
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    return `${error.reason} ${error instanceof SocksRefusal ? error.code : ''}`
  }
}

function asked(type: number, address: number[], port = [1, 187]): Uint8Array {
  return Uint8Array.from([5, 1, 0, type, ...address, ...port])
}

function named(name: string | Buffer): Uint8Array {
  const bytes = Buffer.from(name)
  return asked(3, [bytes.length, ...bytes])
}

void t.test('targets are written as a CONNECT would', (t) => {
  const targets: [bytes: Uint8Array, target: string][] = [
    [named('a.test'), 'a.test:443'],
    [named(''), ':443'],
    [named('a\0b'), 'a\0b:443'],
    [named(Buffer.from([0xff, 0x20])), '\u{ff} :443'],
    [asked(1, [10, 0, 255, 1]), '10.0.255.1:443'],
    [asked(1, [10, 0, 0, 1], [0, 0]), '10.0.0.1:0'],
    [asked(1, [10, 0, 0, 1], [255, 255]), '10.0.0.1:65535'],
    [
      asked(4, [0x20, 1, 0xd, 0xb8, ...Array.from({ length: 11 }, () => 0), 1]),
      '[2001:0db8:0000:0000:0000:0000:0000:0001]:443',
    ],
  ]
  for (const [bytes, target] of targets) {
    t.strictSame(readSocksRequest(bytes), { value: target, bytes: bytes.length }, target)
    const more = Uint8Array.from([...bytes, 5, 1, 0])
    t.strictSame(readSocksRequest(more)?.bytes, bytes.length, 'what is behind is not its')
  }
  t.end()
})

void t.test(
  'no bytes whatever throw anything else, and no prefix says what the whole does not',
  (t) => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.uint8Array({ maxLength: 30 }).map((rest) => Uint8Array.from([5, ...rest])),
      fc.uint8Array({ maxLength: 30 }).map((rest) => Uint8Array.from([5, 1, 0, ...rest])),
      fc.uint8Array({ maxLength: 30 }).map((rest) => Uint8Array.from([1, ...rest])),
    )
    for (const read of [readGreeting, readPassword, readSocksRequest] satisfies Read[])
      fc.assert(
        fc.property(bytes, (all) => {
          const whole = JSON.stringify(outcomeOf(read, all))
          for (let length = 0; length <= all.length; length += 1) {
            const part = outcomeOf(read, all.subarray(0, length))
            if (part !== 'more' && typeof part === 'string' && JSON.stringify(part) !== whole)
              return false
            if (Array.isArray(part) && JSON.stringify(part) !== whole) return false
          }
          return true
        }),
        { numRuns: 2000 },
      )
    t.end()
  },
)

void t.test('methods', (t) => {
  const offers: [offered: number[], method: 'none' | 'password' | undefined, answer: string][] = [
    [[0], 'none', '0500'],
    [[2], 'password', '0502'],
    [[0, 1, 2], 'password', '0502'],
    [[1, 0], 'none', '0500'],
    [[1, 3, 0xff], undefined, '05ff'],
    [[], undefined, '05ff'],
  ]
  for (const [offered, method, answer] of offers) {
    t.equal(chooseMethod(new Set(offered)), method)
    t.equal(Buffer.from(formatMethod(method), 'latin1').toString('hex'), answer)
  }
  t.equal(outcomeOf(readGreeting, Uint8Array.from([5, 0])), 'malformed-request-line ')
  for (const version of [0, 4, 6, 0x16, 0x47, 0xff])
    t.equal(outcomeOf(readGreeting, Uint8Array.from([version])), 'protocol-not-allowed ')
  t.end()
})

void t.test('a name and password are what Proxy-Authorization says', (t) => {
  const text = fc.string({ unit: 'grapheme', maxLength: 60 })
  fc.assert(
    fc.property(text, text, (name, password) => {
      const [user, word] = [Buffer.from(name), Buffer.from(password)]
      const bytes = Buffer.concat([
        Buffer.from([1, user.length]),
        user,
        Buffer.from([word.length]),
        word,
      ])
      if (name.includes(':')) return outcomeOf(readPassword, bytes) === 'identity-unknown '
      const { value = '' } = readPassword(bytes) ?? {}
      const read = readProxyCredential(['Proxy-Authorization', value])
      return read?.secret === password && (read.id ?? '') === name
    }),
  )
  t.end()
})

void t.test('replies', (t) => {
  t.equal(Buffer.from(formatReply(2), 'latin1').toString('hex'), '05020001000000000000')
  const codes: [
    reason: Parameters<typeof replyCodeOf>[0],
    code: string | undefined,
    reply: number,
  ][] = [
    ['not-on-allowlist', undefined, 2],
    ['identity-missing', undefined, 2],
    ['resolved-address-denied', undefined, 2],
    ['task-ended', undefined, 2],
    ['quota-exceeded', undefined, 2],
    ['resolve-failed', undefined, 4],
    ['connect-timeout', undefined, 4],
    ['dial-failed', 'ECONNREFUSED', 5],
    ['dial-failed', 'ENETUNREACH', 3],
    ['dial-failed', 'EHOSTUNREACH', 4],
    ['dial-failed', 'toString', 1],
    ['dial-failed', undefined, 1],
    ['malformed-target', undefined, 1],
    ['busy', undefined, 1],
    ['draining', undefined, 1],
    ['internal', undefined, 1],
    ['loop-detected', undefined, 1],
  ]
  for (const [reason, code, reply] of codes) t.equal(replyCodeOf(reason, code), reply, reason)
  t.end()
})
