import t from 'tap'

import { bodyPlacesOf, dropFromBody } from '../../../src/inject/drop-from-body.ts'
import { BEARER, define, reasonOf } from './support.ts'

const FORM = define({ kind: 'form', field: 'key' })
const JSON_KEY = define({ kind: 'json', pointer: ['key'] })
const TWIN = define({ kind: 'json', pointer: ['key'] }, { name: 'twin' })
const ALL = [BEARER, FORM, JSON_KEY, TWIN]

const type = (...types: string[]): string[] => types.flatMap((one) => ['Content-Type', one])

void t.test('R22: places in bodies are looked at where the head speaks of such a body', (t) => {
  const kinds = (headers: string[], own?: typeof BEARER): string[] =>
    bodyPlacesOf(ALL, headers, own).map(({ kind }) => kind)
  t.strictSame(kinds(type('application/json'), BEARER), ['json', 'json'])
  t.strictSame(kinds(type('application/json'), JSON_KEY), [], 'its own place is written anew')
  t.strictSame(kinds(type('text/JSON;x', 'Application/X-WWW-Form-UrlEncoded')), [
    'form',
    'json',
    'json',
  ])
  t.strictSame(kinds(type('text/plain')), [])
  t.strictSame(kinds([]), [])
  t.end()
})

void t.test('R22: a body that nobody can read for sure is refused', async (t) => {
  const drop = (headers: string[], body: string): string =>
    Buffer.from(
      dropFromBody(bodyPlacesOf(ALL, headers, undefined), headers, Buffer.from(body)).bytes,
    ).toString()
  const json = type('application/json')
  t.equal(drop(json, '{"key":1,"a":2}'), '{"a":2}')
  t.equal(drop(json, ''), '')
  t.equal(drop(type('application/x-www-form-urlencoded'), 'key=1&a=2'), 'a=2')
  for (const [headers, body] of [
    [type('text/json'), '{}'],
    [type('application/json; charset=utf-16'), '{}'],
    [[...json, 'Content-Encoding', 'gzip'], '{}'],
    [json, '{"key":1,"key":2}'],
    [json, 'key'],
    [[...json, 'Digest', 'x'], '{"key":1}'],
  ] as const)
    t.equal(await reasonOf(() => drop([...headers], body)), 'malformed-body', String(headers))
  t.equal(
    drop([...json, 'Digest', 'x'], '{"a":1}'),
    '{"a":1}',
    'what is not changed keeps its digest',
  )
})
