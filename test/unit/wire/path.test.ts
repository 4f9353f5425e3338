// The readings of a path. The table is the specification: what it says is what rules are matched against.

import * as fc from 'fast-check'
import t from 'tap'

import { readPath } from '../../../src/wire/path.ts'
import { orUndefined, reasonOf } from './support.ts'

type Readings = readonly (readonly string[])[]

const TABLE: readonly (readonly [raw: string, ...readings: Readings])[] = [
  ['/', []],
  ['/a', ['a']],
  ['/a/b', ['a', 'b']],
  ['/repos/acme/widgets/issues/7', ['repos', 'acme', 'widgets', 'issues', '7']],
  ["/~u/a.b-c_d!$&'()*+,=:@e", ['~u', "a.b-c_d!$&'()*+,=:@e"]],
  ['/.well-known/x', ['.well-known', 'x']],
  ['/...', ['...']],
  // An escape of an ordinary character is that character.
  ['/%61%62', ['ab']],
  ['/a%20b', ['a b']],
  ['/a%3Fb', ['a?b']],
  ['/b%C3%BCcher', ['bücher']],
  ['/b\xc3\xbccher', ['bücher']],
  ['/%EF%BB%BFadmin', ['\uFEFFadmin']],
  // An encoded slash separates for some: npm's scoped names.
  ['/@scope%2fname', ['@scope/name'], ['@scope', 'name']],
  ['/a%2F', ['a/'], ['a', ''], ['a']],
  ['/%2Fa', ['/a'], ['', 'a'], ['a']],
  // Decoded twice.
  ['/%2561', ['%61'], ['a']],
  ['/a%252Fb', ['a%2Fb'], ['a', 'b']],
  ['/a%25b', ['a%b']],
  ['/100%25', ['100%']],
  // Empty segments.
  ['//', ['', ''], []],
  ['//a', ['', 'a'], ['a']],
  ['/a//b', ['a', '', 'b'], ['a', 'b']],
  ['/a///b', ['a', '', '', 'b'], ['a', 'b']],
  ['/a/', ['a', ''], ['a']],
  ['/a//', ['a', '', ''], ['a', ''], ['a']],
  // Parameters.
  ['/a;b', ['a;b'], ['a']],
  ['/a;b=c/d', ['a;b=c', 'd'], ['a', 'd']],
  ['/a%3Bb', ['a;b'], ['a']],
  ['/;a', [';a'], []],
  ['/a/;x/b', ['a', ';x', 'b'], ['a', '', 'b'], ['a', 'b']],
  ['/a;b/', ['a;b', ''], ['a', ''], ['a;b'], ['a']],
  ['/a;b%2Fc', ['a;b/c'], ['a;b', 'c'], ['a'], ['a', 'c']],
]

const cleanSegment = fc
  .string({
    unit: fc.constantFrom(...Array.from("abzAZ09_~!$&'()*+,=:@-.")),
    minLength: 1,
    maxLength: 6,
  })
  .filter((segment) => !segment.startsWith('.'))

// Pieces from which evasions are made.
// prettier-ignore
const hostilePath = fc
  .array(
    fc.constantFrom(
      'a', 'admin', '/', '/', '//', '.', '..', ';', ';x=1', '%2f', '%2F', '%252f', '%2e', '%252e',
      '%3b', '%253b', '%25', '%', '%5c', '\\', '%00', '%61', '%2561', '\xc3\xa9', '%c3%a9', '%ff', '%25ff',
    ),
    { maxLength: 12 },
  )
  .map((parts) => `/${parts.join('')}`)

void t.test('a path has these readings and no others', (t) => {
  for (const [raw, first, ...others] of TABLE) {
    const { readings } = readPath(raw)
    t.same(readings[0], first, `${raw} is first split, then decoded`)
    t.same(sorted(readings), sorted([first!, ...others]), `${raw} has its readings`)
    t.equal(readPath(raw).raw, raw)
  }
  t.end()
})

void t.test('a path that could mean anything is refused', (t) => {
  // prettier-ignore
  const refused = [
    '', 'a', '*', '?', '%2Fa', ' /a',
    // Dot segments, plain and in every disguise of the table.
    '/.', '/..', '/a/../b', '/a/./b', '/a/..', '/a/.', '/../a', '//..//a',
    '/%2e%2e/a', '/%2E./a', '/.%2e/a', '/%2e', '/a%2f..%2fb', '/a%2F%2E%2E%2Fb', '/a/..%2fb',
    '/%252e%252e/a', '/%252e', '/.%252e/a', '/a%252f..%252fb', '/a%252f%252e%252e%252fb',
    '/..;/a', '/..;x=y/a', '/.;/a', '/..%3b/a', '/..%253bx/a', '/%2e%2e;x/a',
    // Separators of another system.
    '/a\\b', '/a\\..\\b', '/a%5cb', '/a%5Cb', '/a%255cb', '/..%5ca',
    // Characters that end, cut or hide.
    '/a\0', '/a%00', '/a%00.html', '/a%2500', '/a\tb', '/a%09b', '/a%0d%0aX: y', '/a%250ab',
    '/a\x7f', '/a%7f', '/a%C2%85', '/a\xc2\x85',
    // Escapes and bytes that are none.
    '/%', '/a%', '/a%2', '/%zz', '/%u0061', '/a%2 f', '/%%36%31',
    '/%ff', '/%c0%ae%c0%ae/a', '/%c0%af', '/%e0%80%af', '/%ed%a0%80', '/%f4%90%80%80', '/a\xff',
    '/%c3', '/%c3/%a9', '/\xc3%a9', '/%c3\xa9',
    // The second decoding hides nothing behind a byte that is no UTF-8.
    '/%252e%252e%252f%25ff', '/%25ff', '/%25c0%25ae',
  ]
  for (const raw of refused)
    t.equal(
      reasonOf(() => readPath(raw)),
      'malformed-path',
      JSON.stringify(raw),
    )
  t.end()
})

void t.test('a path near a refused one passes', (t) => {
  for (const raw of [
    '/..a',
    '/a..',
    '/a..b/c',
    '/.a',
    '/%2e%2ea',
    '/...;x',
    '/a/%252e.x',
    '/a%25',
    '/%2525',
  ])
    t.equal(
      reasonOf(() => readPath(raw)),
      undefined,
      raw,
    )
  t.end()
})

void t.test('a clean path has exactly one reading', (t) => {
  fc.assert(
    fc.property(fc.array(cleanSegment, { minLength: 1 }), (segments) => {
      t.same(readPath(`/${segments.join('/')}`).readings, [segments])
    }),
  )
  t.end()
})

void t.test('the cheap way and the slow way read alike', (t) => {
  fc.assert(
    fc.property(fc.array(cleanSegment, { minLength: 1 }), fc.nat(), (segments, seed) => {
      const plain = `/${segments.join('/')}`
      // The same path with one character escaped, which takes the slow way.
      const places = plain
        .split('')
        .flatMap((character, at) => (/[a-z0-9]/i.test(character) ? [at] : []))
      if (places.length === 0) return
      const at = places[seed % places.length]!
      const escaped = `${plain.slice(0, at)}%${plain.charCodeAt(at).toString(16)}${plain.slice(at + 1)}`
      t.same(readPath(escaped).readings, readPath(plain).readings, escaped)
    }),
  )
  t.end()
})

void t.test('whatever the bytes, the answer is readings or malformed-path', (t) => {
  fc.assert(
    fc.property(fc.oneof(hostilePath, fc.string({ unit: 'binary' })), (raw) => {
      const reason = reasonOf(() => readPath(raw))
      return reason === undefined || reason === 'malformed-path'
    }),
    { numRuns: 3000 },
  )
  t.end()
})

void t.test('every reading of a taken path is one that a plain model of servers has too', (t) => {
  fc.assert(
    fc.property(hostilePath, (raw) => {
      const path = orUndefined(() => readPath(raw))
      if (path === undefined) return
      t.same(sorted(path.readings), sorted(modelReadings(raw)), raw)
      for (const segments of path.readings)
        for (const segment of segments)
          if (segment === '.' || segment === '..' || segment.includes('\\'))
            t.fail(`${raw} reads as ${JSON.stringify(segments)}`)
    }),
    { numRuns: 3000 },
  )
  t.end()
})

void t.test('a long path costs no more than a moment', (t) => {
  const started = process.cpuUsage()
  for (const piece of ['/', ';/', 'a/', '%2f;', '/;%252f%3b', '%61', '%25', '%c3%a9'])
    reasonOf(() => readPath(`/${piece.repeat(64_000 / piece.length)}`))
  const { user } = process.cpuUsage(started)
  t.ok(user < 2_000_000, `${user} µs`)
  t.end()
})

function sorted(readings: Readings): string[] {
  return readings.map((segments) => JSON.stringify(segments)).sort()
}

/** Every order of the servers' habits, written down without a thought for speed. */
function modelReadings(raw: string): Readings {
  const text = Buffer.from(raw, 'latin1').toString('utf8').slice(1)
  const once = decodeURIComponent(text)
  const twice = once.replaceAll(/(?:%[0-9a-f]{2})+/gi, (run) => decodeURIComponent(run))
  const bases = [
    text.split('/').map((segment) => decodeURIComponent(segment)),
    once.split('/'),
    twice.split('/'),
  ]
  const flags = [false, true]
  const found = new Map<string, string[]>()
  for (const base of bases)
    for (const early of flags)
      for (const bare of flags)
        for (const late of flags)
          for (const trim of flags) {
            let segments = base
            if (early) segments = withoutEmpty(segments)
            if (bare) segments = segments.map((segment) => segment.replace(/;.*$/s, ''))
            if (late) segments = withoutEmpty(segments)
            if (trim && segments.at(-1) === '') segments = segments.slice(0, -1)
            if (segments.length === 1 && segments[0] === '') segments = []
            found.set(JSON.stringify(segments), segments)
          }
  return [...found.values()]
}

function withoutEmpty(segments: readonly string[]): string[] {
  return segments.filter((segment, at) => segment !== '' || at === segments.length - 1)
}
