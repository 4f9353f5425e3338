// Proves that ids in paths stand as `*` only where enough of them were seen in one place, and that nothing seen is lost.

import * as fc from 'fast-check'
import t from 'tap'

import { bindPath, matchPath, parsePathPattern } from '../../../../src/policy/path-pattern.ts'
import { generalizePaths } from '../../../../src/record/suggest/paths.ts'

const texts = (...paths: string[]): string[] => generalizePaths(paths).map(({ text }) => text)

void t.test('three different ids in one place are any id, two are two', (t) => {
  t.strictSame(texts('/items/1', '/items/2'), ['/items/1', '/items/2'])
  t.strictSame(texts('/items/1', '/items/2', '/items/2', '/items/1'), ['/items/1', '/items/2'])
  t.strictSame(generalizePaths(['/items/1', '/items/2', '/items/3']), [
    { text: '/items/*', paths: 3 },
  ])
  t.strictSame(texts('/a/1', '/b/2', '/c/3'), ['/a/1', '/b/2', '/c/3'], 'elsewhere')
  t.strictSame(texts('/a/1', '/a/2/x', '/a/3/y'), ['/a/1', '/a/2/x', '/a/3/y'], 'another shape')
  t.end()
})

void t.test('ids are numbers, UUIDs, ULIDs and hashes; a word is none', (t) => {
  const ulids = [
    '01JC0000000000000000000001',
    '01JC0000000000000000000002',
    '01jc0000000000000000000003',
  ]
  const uuids = ['1', '2', '3'].map((end) => `123e4567-e89b-12d3-a456-42661417400${end}`)
  const hashes = [
    '9f86d08',
    'a3bf4f1b2b0b822cd15d6c15b0f00a08',
    '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b',
  ]
  for (const ids of [ulids, uuids, hashes])
    t.strictSame(texts(...ids.map((id) => `/x/${id}/y`)), ['/x/*/y'])
  const mixed = [ulids[0]!, uuids[0]!, hashes[0]!].map((id) => `/x/${id}`)
  t.strictSame(texts(...mixed), mixed.toSorted(), 'of different kinds')
  t.strictSame(texts('/users/ann', '/users/bob', '/users/eve'), [
    '/users/ann',
    '/users/bob',
    '/users/eve',
  ])
  t.strictSame(texts('/defaced', '/acceded', '/effaced'), ['/acceded', '/defaced', '/effaced'])
  t.end()
})

void t.test('each place shows enough by itself, all else being equal', (t) => {
  t.strictSame(
    texts('/r/1/i/1', '/r/1/i/2', '/r/1/i/3', '/r/2/i/9'),
    ['/r/1/i/*', '/r/2/i/9'],
    'one example elsewhere is one example',
  )
  t.strictSame(texts('/r/1/i/1', '/r/2/i/2', '/r/3/i/3'), ['/r/*/i/*'])
  t.strictSame(texts('/r/1/i/7', '/r/2/i/7', '/r/3/i/7'), ['/r/*/i/7'])
  t.end()
})

void t.test('whatever was seen is matched, in whatever order, and only ids are any', (t) => {
  const segment = fc.oneof(
    fc.constantFrom('items', 'users', 'v1'),
    fc.nat(5).map(String),
    fc.constantFrom('9f86d08a', '9f86d08b', '9f86d08c'),
  )
  const path = fc
    .array(segment, { minLength: 1, maxLength: 4 })
    .map((parts) => `/${parts.join('/')}`)
  fc.assert(
    fc.property(fc.array(path, { maxLength: 30 }), (paths) => {
      const patterns = generalizePaths(paths)
      const bound = patterns.map(({ text }) => {
        const pattern = parsePathPattern(text)
        if ('fault' in pattern) throw new Error(pattern.fault)
        return bindPath(pattern, {})
      })
      const isMatched = paths.every((each) =>
        bound.some((pattern) => matchPath(pattern, each.slice(1).split('/'))),
      )
      const backwards = generalizePaths(paths.toReversed())
      const isWide = patterns.every(({ text, paths: seen }) => !text.includes('*') || seen >= 3)
      return isMatched && isWide && JSON.stringify(backwards) === JSON.stringify(patterns)
    }),
  )
  t.end()
})
