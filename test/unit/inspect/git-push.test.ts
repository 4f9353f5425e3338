// The commands of a push by hand: what the grammar has, and what it has not.

import { spawnSync } from 'node:child_process'

import * as fc from 'fast-check'
import t from 'tap'

import { EgressError } from '../../../src/errors.ts'
import { PUSH_BOUNDS } from '../../../src/inspect/git/bounds.ts'
import { formatPktLine } from '../../../src/inspect/git/pkt-line.ts'
import { PushReader } from '../../../src/inspect/git/push.ts'
import { readRefName } from '../../../src/inspect/git/ref-name.ts'
import { formatLines, makePack, PUSH_REQUEST, readPush, reasonOf, tell } from './git-support.ts'

const ZERO = '0'.repeat(40)
const A = 'a'.repeat(40)
const B = 'b'.repeat(40)
const CAPABILITIES = ' report-status-v2 side-band-64k object-format=sha1 agent=git/2.39.5-Linux'
const FIRST = `${ZERO} ${A} refs/heads/x\0${CAPABILITIES}`

void t.test('commands, capabilities and what is shallow are read in any pieces', (t) => {
  const lines = formatLines(
    `shallow ${B}\n`,
    FIRST,
    `${A} ${B} refs/heads/y\n`,
    `${A} ${ZERO} refs/heads/z`,
  )
  const body = Buffer.concat([lines, makePack([])])
  for (let pieceBytes = 1; pieceBytes < body.length; pieceBytes += 1) {
    const push = readPush(body, pieceBytes)
    t.strictSame(push, {
      subject: {
        repo: 'acme/widgets',
        service: 'receive-pack',
        commands: [
          { ref: 'refs/heads/x', change: 'create' },
          { ref: 'refs/heads/y', change: 'update', update: 'unproven' },
          { ref: 'refs/heads/z', change: 'delete' },
        ],
      },
      capabilities: { reportStatus: true, sideBand: true, atomic: false },
      options: [],
      commandBytes: lines.length,
      hasPack: true,
    })
  }
  t.end()
})

void t.test('a push of no commands, also from a shallow clone, is one', (t) => {
  for (const body of [Buffer.from('0000'), formatLines(`shallow ${A}`)]) {
    const push = readPush(body, 1)
    t.strictSame(push.subject.commands, [])
    t.equal(push.hasPack, false)
    t.equal(push.commandBytes, body.length)
  }
  t.end()
})

void t.test('without commands to prove nothing of the pack is waited for', (t) => {
  const reader = new PushReader(PUSH_REQUEST)
  const push = reader.push(formatLines(FIRST))
  t.not(push, 'more')
  t.equal(reader.push(Buffer.from('PACK')), push)
  t.equal(reader.end(), push)
  t.end()
})

void t.test('options stand between the commands and the pack', (t) => {
  const list = formatLines(`${FIRST} push-options`)
  const options = formatLines('ci.skip\n', '', 'two words')
  const push = readPush(Buffer.concat([list, options, makePack([])]), 3)
  t.strictSame(push.options, ['ci.skip', '', 'two words'])
  t.equal(push.commandBytes, list.length + options.length)
  const long = (bytes: number): Buffer =>
    Buffer.concat([list, formatLines('x'.repeat(bytes)), makePack([])])
  t.equal(readPush(long(65_516)).options[0]?.length, 65_516)
  t.equal(
    reasonOf(() => readPush(long(65_517))),
    'malformed-body',
  )
  t.equal(
    reasonOf(() => readPush(list)),
    'malformed-body',
  )
  t.equal(
    reasonOf(() => readPush(Buffer.concat([list, formatLines('a\0b')]))),
    'malformed-body',
  )
  t.equal(
    reasonOf(() => readPush(Buffer.concat([list, formatLines('a\nb')]))),
    'malformed-body',
  )
  t.end()
})

void t.test('lines that the grammar does not have are refused', (t) => {
  const second = (line: string): Buffer => formatLines(FIRST, line)
  const first = (line: string): Buffer => formatLines(`${line}\0 report-status`)
  const bodies: Record<string, Buffer> = {
    'nothing at all': Buffer.alloc(0),
    'no flush': formatPktLine(FIRST),
    'an empty line': second(''),
    'a length of 1': Buffer.from('0001'),
    'a length of 2': Buffer.from('0002'),
    'a length of 3': Buffer.from('0003'),
    'a length that is no number': Buffer.from('00 4'),
    'a length with a sign': Buffer.from('+004'),
    'a length beyond the largest': Buffer.from('fff1'),
    'a signed push': formatLines(`push-cert\0 report-status`, 'certificate version 0.1\n'),
    'no capabilities': formatLines(`${ZERO} ${A} refs/heads/xy`),
    'capabilities on a later line': second(`${ZERO} ${A} refs/heads/y\0 atomic`),
    'capabilities twice': second(`${ZERO} ${A} refs/heads/y\0 atomic`),
    'NUL twice': formatLines(`${FIRST}\0 atomic`),
    'NUL in a name': second(`${ZERO} ${A} refs/heads/a\0b`),
    'a tab among capabilities': formatLines(`${FIRST}\tpush-options`),
    'a line within the first': formatLines(`${FIRST}\n${ZERO} ${A} refs/heads/y`),
    'a capability with a value that has none': formatLines(`${FIRST} push-options=x`),
    'the same format twice': formatLines(`${FIRST} object-format=sha1`),
    'two formats': formatLines(`${FIRST} object-format=sha256`),
    'an unknown format': formatLines(`${ZERO} ${A} refs/heads/x\0 object-format=md5`),
    'a name twice': second(`${A} ${ZERO} refs/heads/x`),
    'no change': first(`${ZERO} ${ZERO} refs/heads/x`),
    'a short id': first(`${ZERO} ${A.slice(1)} refs/heads/x`),
    'a long id': first(`${ZERO} ${A}a refs/heads/x`),
    'an id in upper case': first(`${ZERO} ${A.toUpperCase()} refs/heads/x`),
    'an id of another format': first(`${ZERO} ${'a'.repeat(64)} refs/heads/x`),
    'two spaces': first(`${ZERO}  ${A} refs/heads/x`),
    'a tab': first(`${ZERO}\t${A} refs/heads/x`),
    'a space in front': first(` ${ZERO} ${A} refs/heads/x`),
    'a space behind': first(`${ZERO} ${A} refs/heads/x `),
    'a return behind': first(`${ZERO} ${A} refs/heads/x\r`),
    'two newlines': second(`${ZERO} ${A} refs/heads/y\n\n`),
    'no name': first(`${ZERO} ${A} `),
    HEAD: first(`${ZERO} ${A} HEAD`),
    'shallow behind a command': second(`shallow ${A}`),
    'shallow of nothing': formatLines('shallow ', FIRST),
    'shallow of another format': formatLines(`shallow ${'a'.repeat(64)}`, FIRST),
    'an unshallow line': formatLines(`unshallow ${A}`, FIRST),
  }
  for (const [what, body] of Object.entries(bodies))
    t.equal(
      reasonOf(() => readPush(body, 5)),
      'malformed-body',
      what,
    )
  t.strictSame(tell(readPush(second(`${A} ${ZERO} refs/heads/X`))), [
    'create refs/heads/x',
    'delete refs/heads/X',
  ])
  t.end()
})

void t.test('too many commands, and too many bytes of them, are refused', (t) => {
  const line = (at: number): string =>
    `${ZERO} ${A} refs/heads/x${at}${at === 0 ? '\0 atomic' : ''}`
  const lines = Array.from({ length: 1001 }, (_, at) => line(at))
  t.equal(readPush(formatLines(...lines.slice(1).with(0, line(0)))).subject.commands.length, 1000)
  t.equal(
    reasonOf(() => readPush(formatLines(...lines))),
    'body-too-large',
  )
  const shallow = Array.from(
    { length: 30_000 },
    (_, at) => `shallow ${at.toString(16).padStart(40, '0')}`,
  )
  t.equal(
    reasonOf(() => readPush(formatLines(...shallow, FIRST), 4096)),
    'body-too-large',
  )
  t.equal(readPush(formatLines(...shallow.slice(20_000), FIRST)).subject.commands.length, 1)
  t.end()
})

void t.test('a push that breaks off within its commands is refused wherever it does', (t) => {
  const body = formatLines(FIRST, `${A} ${B} refs/heads/y`)
  for (let end = 0; end < body.length; end += 1)
    t.equal(
      reasonOf(() => readPush(body.subarray(0, end), 7)),
      'malformed-body',
      `${end}`,
    )
  t.strictSame(tell(readPush(body)), ['create refs/heads/x', 'update refs/heads/y unproven'])
  t.end()
})

void t.test('no bytes make the reader fail in any other way', (t) => {
  const piece = fc.oneof(
    fc.constantFrom(
      ZERO,
      A,
      B,
      ' ',
      '\0',
      '\n',
      'refs/heads/x',
      'shallow ',
      '0000',
      'PACK',
      CAPABILITIES,
    ),
    fc.string({ unit: 'binary', maxLength: 8 }),
  )
  const line = fc.array(piece, { maxLength: 8 }).map((pieces) => formatPktLine(pieces.join('')))
  const body = fc.array(
    fc.oneof(
      line,
      piece.map((text) => Buffer.from(text)),
    ),
    { maxLength: 8 },
  )
  fc.assert(
    fc.property(body, fc.integer({ min: 1, max: 50 }), (parts, pieceBytes) => {
      try {
        const push = readPush(Buffer.concat(parts), pieceBytes)
        return push.subject.commands.length <= PUSH_BOUNDS.commandsMax
      } catch (error) {
        return error instanceof EgressError && error.reason === 'malformed-body'
      }
    }),
    { numRuns: 2000 },
  )
  t.end()
})

void t.test('names of references are those that git has', { skip: !hasGit() }, (t) => {
  const odd = [
    '.',
    '..',
    '/',
    '//',
    '@',
    '@{',
    '{',
    '~',
    '^',
    ':',
    '?',
    '*',
    '[',
    '\\',
    ' ',
    '\t',
    '\u007f',
    '.lock',
    '-',
    'ä',
    '.lock/',
    '/.',
    './',
    '\u200b',
  ]
  const names = odd.flatMap((text) => [
    `refs/heads/${text}`,
    `refs/heads/a${text}`,
    `refs/heads/${text}a`,
    `refs/heads/a${text}b`,
    `refs/${text}/b`,
    `refs/a${text}/b`,
  ])
  for (const name of [
    ...names,
    'refs/heads/x',
    'refs/stash',
    'refs',
    'refs/',
    'refs/heads/@',
    'refs/heads/a.lockb',
  ]) {
    const { status } = spawnSync('git', ['check-ref-format', name])
    t.equal(readRefName(Buffer.from(name)), status === 0 ? name : undefined, name)
  }
  for (const name of ['HEAD', 'heads/x', 'Refs/heads/x', `refs/heads/${'a'.repeat(1100)}`])
    t.equal(readRefName(Buffer.from(name)), undefined, name)
  t.equal(readRefName(Buffer.from('refs/heads/\xff', 'latin1')), undefined)
  t.equal(readRefName(Buffer.from('refs/heads/\ufeffx')), 'refs/heads/\ufeffx')
  t.end()
})

function hasGit(): boolean {
  return spawnSync('git', ['--version']).status === 0
}
