// Inputs by a seed: messages of a grammar that leans towards what parsers disagree about, and mutations of the corpus. Not a
// test itself; used by `run.ts`.

import { REQUESTS, RESPONSES } from './corpus.ts'

/** Numbers that a seed determines (mulberry32). */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 to below `bound`. */
  below(bound: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound)
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0
  }

  /** The usual, and once in `times` one of the others. */
  usually<T>(usual: T, times: number, others: readonly T[]): T {
    return this.once(times) ? this.pick(others) : usual
  }
}

const METHODS = ['GET', 'POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'QUERY', 'REPORT']
const ODD_METHODS = ['CONNECT', 'TRACE', 'get', 'FOO', 'M-SEARCH', 'G_T', '', 'PRI', 'SOURCE']
const TARGETS = ['/', '/a/b?c=d&e', 'http://a.test/', 'https://a.test:8443/x?y', '*', 'a.test:443']
const ODD_TARGETS = ['/\xff', '/%zz', '/#', '/a b', '//', '', '/\0', '/"<>\\^`{|}', 'x', '?', '/\t']
const ODD_VERSIONS = ['1.0', '1.0', '2.0', '0.9', '1.2', '1.1 ', '1', '01.1', '1.10']
const NAMES = [
  'Accept',
  'X-A',
  'x-a',
  'User-Agent',
  'Cookie',
  'TE',
  'Connection',
  'Upgrade',
  'Expect',
]
const ODD_NAMES = [
  'X_A',
  'Content_Length',
  '',
  'X A',
  '~!',
  'Proxy-Connection',
  'Keep-Alive',
  'X-\xe4',
]
const VALUES = [
  '',
  'a',
  'keep-alive',
  'close',
  'a, b',
  '"q;\\""',
  '100-continue',
  'websocket',
  'Upgrade',
]
const ODD_VALUES = [
  '\xff',
  '\0',
  'a\tb',
  '\x7f',
  'a\r',
  'a\nb',
  '\x1b',
  'a\r\n b',
  '\v',
  'chunked',
  '5',
]
const SPACES = ['', '  ', '\t', ' \t ', '\v', '\r\n ']
const ODD_LENGTHS = ['+', '-', '0x', '0', '00', ' ', '1', ',', '_']
const EXTENSIONS = [
  '',
  '',
  '',
  ';a',
  ';a=b',
  ';a="b"',
  ';a="\\"',
  '; a',
  ' ;a',
  ';',
  ';a=',
  ';a;b=c',
  ' ',
]
const ODD_CODINGS = ['gzip, chunked', 'chunked, chunked', 'identity', 'chunkedx', '', 'chunked;q']
const LINE_ENDS = ['\n', '\r', '\r\r\n', '', '\n\r', '\r\n\r\n']
const STATUSES = ['200', '200', '200', '204', '304', '404', '500', '206', '205']
const ODD_STATUSES = ['99', '000', '600', '999', '2000', '+20', '101', '102', '1xx', '']
const PHRASES = [' OK', ' ', '', ' Not  Found', ' \xfc', ' \t']
const SNIPPETS = [
  '\r\n',
  '\r',
  '\n',
  '\0',
  ' ',
  '\t',
  ':',
  ';',
  ',',
  '0',
  '5',
  'chunked',
  'Content-Length: 3\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Connection: close\r\n',
  'HTTP/1.1',
  '\r\n\r\n',
  '0\r\n\r\n',
  '\xff',
  '\x80',
  '_',
  '-',
  '+',
  '"',
  '\\',
]

/** What a client might send, latin1. */
export function generateRequests(random: Random): string {
  if (!random.once(3)) return mutate(random, REQUESTS)
  let text = ''
  for (let count = 1 + random.below(3); count > 0; count -= 1) text += makeRequest(random)
  return random.once(3) ? change(random, text, REQUESTS) : text
}

/** What an upstream might send, latin1. */
export function generateResponse(random: Random): string {
  if (!random.once(3)) return mutate(random, RESPONSES)
  let text = ''
  while (random.once(4))
    text += `HTTP/1.1 10${random.below(4)} I${end(random)}${fields(random)}${end(random)}`
  text += makeResponse(random)
  return random.once(3) ? change(random, text, RESPONSES) : text
}

/** Offsets to cut at, in rising order. */
export function generateCuts(random: Random, length: number): number[] {
  const cuts: number[] = []
  for (let count = random.below(5); count > 0; count -= 1) cuts.push(random.below(length + 1))
  return cuts.sort((one, other) => one - other)
}

function makeRequest(random: Random): string {
  const method = random.usually(random.pick(METHODS), 20, ODD_METHODS)
  const target = random.usually(random.pick(TARGETS), 20, ODD_TARGETS)
  const version = random.usually('1.1', 12, ODD_VERSIONS)
  const space = random.usually(' ', 60, ['  ', '\t', ''])
  const host = random.usually(`Host: a.test${end(random)}`, 15, [
    '',
    'Host:a\r\nHost: b\r\n',
    'host: \r\n',
  ])
  return `${method}${space}${target} HTTP/${version}${end(random)}${host}${framed(random)}`
}

function makeResponse(random: Random): string {
  const version = random.usually('1.1', 12, ODD_VERSIONS)
  const status = random.usually(random.pick(STATUSES), 15, ODD_STATUSES)
  return `HTTP/${version} ${status}${random.pick(PHRASES)}${end(random)}${framed(random)}`
}

// The rest of a head, and a body that mostly fits.
function framed(random: Random): string {
  const before = fields(random)
  const after = fields(random)
  const body = 'abcdefghijklmnopqrstuvwxyz\r\n0'.slice(0, random.below(30))
  const kind = random.below(4)
  if (kind === 0) return before + after + end(random)
  if (kind === 1) {
    const sign = random.usually('', 12, ODD_LENGTHS)
    const length = random.usually(body.length, 15, [
      body.length + 1,
      Math.max(0, body.length - 1),
      1e15,
    ])
    return `${before}${named(random, 'Content-Length', `${sign}${length}`)}${after}${end(random)}${body}`
  }
  const coding = random.usually('chunked', 12, ODD_CODINGS)
  const also = random.once(20) ? named(random, 'Content-Length', '3') : ''
  const head = before + named(random, 'Transfer-Encoding', coding) + also + after + end(random)
  return head + chunks(random, body)
}

function chunks(random: Random, body: string): string {
  let text = ''
  for (let at = 0; at < body.length;) {
    const length = 1 + random.below(body.length - at)
    const size = random.usually(length, 30, [length + 1, length - 1, 0])
    const digits = size.toString(16)
    const written = random.usually(digits, 8, [
      digits.toUpperCase(),
      `0${digits}`,
      `0x${digits}`,
      `+${digits}`,
    ])
    text += `${written}${random.pick(EXTENSIONS)}${end(random)}${body.slice(at, at + length)}${end(random)}`
    at += length
  }
  const trailers = random.once(3) ? fields(random) : ''
  return `${text}${random.usually('0', 12, ['00', '', '000000', '0;a'])}${end(random)}${trailers}${end(random)}`
}

function fields(random: Random): string {
  let text = ''
  while (random.once(2)) {
    const name = random.usually(random.pick(NAMES), 20, ODD_NAMES)
    text += named(random, name, random.usually(random.pick(VALUES), 15, ODD_VALUES))
  }
  return text
}

function named(random: Random, name: string, value: string): string {
  const before = random.usually('', 60, [' ', '\t'])
  const space = random.usually(' ', 8, SPACES)
  return `${name}${before}:${space}${value}${random.usually('', 12, SPACES)}${end(random)}`
}

function end(random: Random): string {
  return random.usually('\r\n', 120, LINE_ENDS)
}

function mutate(random: Random, corpus: readonly string[]): string {
  let text = random.pick(corpus)
  if (random.once(3)) text += random.pick(corpus)
  for (let count = random.below(4); count > 0; count -= 1) text = change(random, text, corpus)
  return text
}

function change(random: Random, text: string, corpus: readonly string[]): string {
  const at = random.below(text.length + 1)
  const to = Math.min(text.length, at + 1 + random.below(8))
  const before = text.slice(0, at)
  switch (random.below(7)) {
    case 0:
      return before + String.fromCodePoint(random.below(256)) + text.slice(at + 1)
    case 1:
      return before + String.fromCodePoint(random.below(256)) + text.slice(at)
    case 2:
      return before + text.slice(random.once(2) ? at + 1 : to)
    case 3:
      return before + text.slice(at, to) + text.slice(at)
    case 4:
      return before + random.pick(SNIPPETS) + text.slice(at)
    case 5: {
      const other = random.pick(corpus)
      return before + other.slice(random.below(other.length + 1))
    }
    default: {
      const one = text.codePointAt(at) ?? 0
      return before + String.fromCodePoint(one ^ (1 << random.below(8))) + text.slice(at + 1)
    }
  }
}
