// Holds the reader of DNS queries and the writer of answers to any bytes, and to another implementation of the format.

import assert from 'node:assert'

import { decode, encode, RECURSION_DESIRED, type Packet } from 'dns-packet'
import * as fc from 'fast-check'
import t from 'tap'

import {
  DNS_ANSWER_BYTES_MAX,
  EXTENDED_ERROR,
  RCODE,
  writeDnsAnswer,
  type DnsReply,
} from '../../../src/wire/dns-answer.ts'
import { DNS_QUERY_BYTES_MAX, readDnsQuery } from '../../../src/wire/dns-query.ts'
import { dnsClassName, dnsTypeName } from '../../../src/wire/dns-types.ts'

const TEXT = 'sallyport: not-on-allowlist: '.padEnd(500, '\u00e9')

function queryOf(name: string, change: Partial<Packet> = {}): Buffer {
  return encode({
    type: 'query',
    id: 0x1234,
    flags: RECURSION_DESIRED,
    questions: [{ type: 'A', name }],
    ...change,
  })
}

function answerTo(bytes: Uint8Array, reply: DnsReply): Buffer {
  const query = readDnsQuery(bytes)
  if (query === undefined) throw new Error('it is no query')
  return Buffer.from(writeDnsAnswer(query, reply))
}

void t.test('a query is read as it was meant', (t) => {
  t.match(readDnsQuery(queryOf('aPi.Example.COM')), {
    id: 0x1234,
    opcode: 0,
    recursionDesired: true,
    checkingDisabled: false,
    question: { name: 'aPi.Example.COM', host: 'api.example.com', type: 1, class: 1 },
    edns: undefined,
    fault: undefined,
  })
  const edns = readDnsQuery(
    queryOf('a.test', {
      additionals: [
        {
          type: 'OPT',
          name: '.',
          udpPayloadSize: 4096,
          extendedRcode: 0,
          ednsVersion: 1,
          flags: 0x8000,
          flag_do: true,
          options: [{ code: 12, length: 31 }],
        },
      ],
    }),
  )
  t.match(edns, { edns: { version: 1, wantsSignatures: true }, fault: undefined })
  t.equal(dnsTypeName(65), 'HTTPS')
  t.equal(dnsTypeName(65_280), 'TYPE65280')
  t.equal(dnsClassName(7), 'CLASS7')
  t.end()
})

void t.test('names that no host has are told, and are the names of no host', (t) => {
  const names: readonly [hex: string, name: string][] = [
    ['00', ''],
    ['03610062047465737400', String.raw`a\000b.test`],
    ['03612e62047465737400', String.raw`a\046b.test`],
    ['02c3a9047465737400', String.raw`\195\169.test`],
    ['015c047465737400', String.raw`\092.test`],
    ['0120047465737400', String.raw`\032.test`],
    ['012a047465737400', '*.test'],
    ['0331302e047465737400', String.raw`10\046.test`],
    ['013101320133013400', '1.2.3.4'],
    ['05786e2d2d61047465737400', 'xn--a.test'],
  ]
  for (const [hex, name] of names) {
    const bytes = Buffer.from(`000100000001000000000000${hex}00010001`, 'hex')
    t.match(readDnsQuery(bytes), { question: { name, host: undefined }, fault: undefined }, name)
  }
  t.end()
})

void t.test('what is not one plain question has a fault, and what is an answer is nothing', (t) => {
  const head = (counts: string): string => `00010000${counts}`
  const one = '01610000010001'
  const faults: readonly [hex: string, fault: string][] = [
    [head('0000000000000000'), 'questions'],
    [head('0002000000000000') + one + one, 'questions'],
    [head('0001000000000000') + 'c00c00010001', 'pointer'],
    [head('0001000000000000') + '80', 'label'],
    [head('0001000000000000') + '0561', 'name'],
    [head('0001000000000000') + '016100', 'question'],
    [head('0001000000000000') + '3f'.padEnd(128, '61').repeat(4) + '0000010001', 'name'],
    [head('0001000100000000') + one, 'sections'],
    [head('0001000000010000') + one, 'sections'],
    [head('0001000000000002') + one, 'additional'],
    [head('0001000000000001') + one, 'additional'],
    [head('0001000000000001') + one + '0000fa00ff000000000000', 'additional'],
    [head('0001000000000001') + one + '000029100000000000ffff', 'edns'],
    [head('0001000000000000') + one + '00', 'trailing'],
  ]
  for (const [hex, fault] of faults)
    t.equal(readDnsQuery(Buffer.from(hex, 'hex'))?.fault, fault, `${fault} ${hex.slice(0, 40)}`)
  const long = Buffer.concat([queryOf('a.test'), Buffer.alloc(DNS_QUERY_BYTES_MAX)])
  t.equal(readDnsQuery(long)?.fault, 'length')
  t.equal(readDnsQuery(queryOf('a.test').subarray(0, 11)), undefined)
  t.equal(readDnsQuery(queryOf('a.test', { type: 'response' })), undefined)
  t.end()
})

void t.test('another implementation reads the answers', (t) => {
  const found = decode(
    answerTo(queryOf('API.test'), { rcode: RCODE.noError, address: '198.18.0.7', ttlSeconds: 5 }),
  )
  t.match(found, {
    id: 0x1234,
    type: 'response',
    rcode: 'NOERROR',
    flag_aa: false,
    flag_rd: true,
    flag_ra: true,
    flag_tc: false,
    questions: [{ name: 'API.test', type: 'A' }],
    answers: [{ name: 'API.test', type: 'A', ttl: 5, data: '198.18.0.7' }],
  })
  const six = queryOf('a.test', { questions: [{ type: 'AAAA', name: 'a.test' }] })
  t.match(decode(answerTo(six, { rcode: RCODE.noError, address: '2001:2::1', ttlSeconds: 1 })), {
    answers: [{ type: 'AAAA', data: '2001:2::1' }],
  })
  const extended = { code: EXTENDED_ERROR.blocked, text: 'sallyport: no' }
  const plain = decode(answerTo(six, { rcode: RCODE.nameError, extended }))
  t.match(plain, { rcode: 'NXDOMAIN', answers: [], additionals: [] }, 'no EDNS, no extended error')
  t.end()
})

const labels = fc.array(fc.uint8Array({ minLength: 1, maxLength: 63 }), { maxLength: 6 })
const type = fc.constantFrom(1, 28, 16, 255, 65, 12)
const options = fc.uint8Array({ maxLength: 64 })

/** Queries that are well formed, but for what a few turned octets make of them. */
const mutated = fc
  .record({
    labels,
    type,
    options: fc.option(options),
    turned: fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
    cut: fc.option(fc.nat()),
    more: fc.uint8Array({ maxLength: 8 }),
  })
  .map(({ labels: parts, type: asked, options: opt, turned, cut, more }) => {
    const name = parts.flatMap((label) => [label.length, ...label])
    const edns = opt && [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, opt.length, ...opt]
    const head = [0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, edns ? 1 : 0]
    const bytes = Buffer.from([...head, ...name, 0, 0, asked, 0, 1, ...(edns ?? []), ...more])
    for (const [at, value] of turned) bytes[at % bytes.length] = value
    return cut === null ? bytes : bytes.subarray(0, cut % (bytes.length + 1))
  })

void t.test('R36: whatever is sent, an answer is small and echoes what was asked', (t) => {
  const replies: readonly DnsReply[] = [
    { rcode: RCODE.noError, address: '2001:2::1:fffe', ttlSeconds: 5 },
    { rcode: RCODE.badVersion, extended: { code: EXTENDED_ERROR.blocked, text: TEXT } },
  ]
  let answered = 0
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 600 })), (bytes) => {
      const query = readDnsQuery(bytes)
      if (query === undefined) return
      for (const reply of replies) {
        const answer = Buffer.from(writeDnsAnswer(query, reply))
        answered += 1
        assert(answer.length <= DNS_ANSWER_BYTES_MAX)
        assert.equal(answer.readUInt16BE(0), query.id)
        assert.equal(answer.readUInt16BE(2) >> 15, 1)
        const question = query.questionBytes ?? new Uint8Array()
        assert(answer.subarray(12, 12 + question.length).equals(question))
        if (query.question === undefined) continue
        // The other reader knows no more than the format; what it reads is where this one wrote it.
        if (query.fault === undefined) assert.equal(decode(answer).questions?.length, 1)
      }
    }),
    { numRuns: 2000 },
  )
  t.ok(answered > 500)
  t.end()
})
