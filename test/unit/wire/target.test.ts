// Request targets: the two forms a proxied request has, and the refusal of every other.

import * as fc from 'fast-check'
import t from 'tap'

import { parseRequestTarget } from '../../../src/wire/target.ts'
import { reasonOf } from './support.ts'

void t.test('a target in absolute or origin form is taken apart', (t) => {
  const table: readonly (readonly [
    target: string,
    scheme: string | undefined,
    authority: string | undefined,
    path: string,
    query?: string,
  ])[] = [
    ['/', undefined, undefined, '/'],
    ['/a/b?c=d', undefined, undefined, '/a/b', 'c=d'],
    ['/a?', undefined, undefined, '/a', ''],
    ['/a?b?c', undefined, undefined, '/a', 'b?c'],
    ['/a?\\', undefined, undefined, '/a', '\\'],
    ['//evil.test/a', undefined, undefined, '//evil.test/a'],
    ['/http://evil.test/', undefined, undefined, '/http://evil.test/'],
    ['http://a.test/b?c', 'http', 'a.test:80', '/b', 'c'],
    ['HTTP://A.TEST./', 'http', 'a.test:80', '/'],
    ['http://a.test', 'http', 'a.test:80', '/'],
    ['http://a.test?b', 'http', 'a.test:80', '/', 'b'],
    ['http://a.test/?b=http://c.test/@d', 'http', 'a.test:80', '/', 'b=http://c.test/@d'],
    ['https://a.test:8443/', 'https', 'a.test:8443', '/'],
    ['https://a.test/', 'https', 'a.test:443', '/'],
    ['ws://a.test/', 'http', 'a.test:80', '/'],
    ['wss://a.test/', 'https', 'a.test:443', '/'],
    ['http://[::1]:8080/', 'http', '::1:8080', '/'],
    ['http://127.0.0.1/', 'http', '127.0.0.1:80', '/'],
  ]
  for (const [text, scheme, authority, path, query] of table) {
    const target = parseRequestTarget(text)
    const { endpoint } = target
    t.equal(target.scheme, scheme, text)
    t.equal(endpoint && `${endpoint.host}:${endpoint.port}`, authority, text)
    t.equal(target.path.raw, path, text)
    t.equal(target.query, query, text)
  }
  t.end()
})

void t.test('every other target is refused', (t) => {
  const target = 'malformed-target'
  const table: readonly (readonly [target: string, reason: string])[] = [
    ['', target],
    ['*', target],
    ['a.test:443', target],
    ['a.test', target],
    ['a/b', target],
    ['?a', target],
    // Schemes.
    ['ftp://a.test/', target],
    ['file:///etc/passwd', target],
    ['constructor://a.test/', target],
    ['__proto__://a.test/', target],
    ['://a.test/', target],
    [' http://a.test/', target],
    ['xhttp://a.test/', target],
    ['http:a.test', target],
    ['http:/a.test', target],
    ['http:\\\\a.test', target],
    ['javascript:http://a.test/', target],
    // Authorities.
    ['http://', target],
    ['http:///a', target],
    ['http://?a', target],
    ['http://user@a.test/', target],
    ['http://user:password@a.test/', target],
    ['http://a.test\\@evil.test/', target],
    ['http://a.test\\/', target],
    ['http://a.test%2f@evil.test/', target],
    ['http://127.1/', target],
    ['http://%65vil.test/', target],
    ['http://[::1/', target],
    ['http://a.test:/', 'malformed-port'],
    ['http://a.test:0/', 'malformed-port'],
    ['http://[fe80::1%25eth0]/', 'scoped-ip'],
    // Fragments, blanks, controls.
    ['/a#b', target],
    ['/a?b#c', target],
    ['http://a.test#b', target],
    ['http://a.test/#', target],
    ['/a b', target],
    ['/a?b c', target],
    ['/a\tb', target],
    ['/a?b\r\nHost: c', target],
    ['/a?b\0', target],
    ['/a?\x7f', target],
    // Paths.
    ['/a/../b', 'malformed-path'],
    ['http://a.test/..', 'malformed-path'],
    ['http://a.test/%2e%2e/b', 'malformed-path'],
    ['/a\\b', 'malformed-path'],
    ['/%ff?a', 'malformed-path'],
  ]
  for (const [text, reason] of table)
    t.equal(
      reasonOf(() => parseRequestTarget(text)),
      reason,
      JSON.stringify(text),
    )
  t.end()
})

const anyTarget = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        'http',
        'https',
        'ws',
        ':',
        '//',
        '/',
        '?',
        '#',
        '@',
        '\\',
        '[::1]',
        'a.test',
        ':80',
        '%',
      ),
      fc.string({ unit: 'binary', maxLength: 3 }),
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join(''))

void t.test('whatever the target, the answer is its parts or a refusal', (t) => {
  const reasons = new Set([
    undefined,
    'malformed-target',
    'malformed-port',
    'scoped-ip',
    'malformed-path',
  ])
  fc.assert(
    fc.property(anyTarget, (text) => reasons.has(reasonOf(() => parseRequestTarget(text)))),
    { numRuns: 3000 },
  )
  t.end()
})

void t.test('path and query are the bytes that were sent', (t) => {
  fc.assert(
    fc.property(
      fc.stringMatching(/^(?:\/[a-z%23]{0,3}){1,4}(?:\?[\x21-\x22\x24-\x7e]{0,8})?$/),
      (text) => {
        if (reasonOf(() => parseRequestTarget(text)) !== undefined) return
        for (const prefix of ['', 'http://a.test', 'https://a.test:8443']) {
          const { path, query } = parseRequestTarget(prefix + text)
          t.equal(query === undefined ? path.raw : `${path.raw}?${query}`, text)
        }
      },
    ),
  )
  t.end()
})
