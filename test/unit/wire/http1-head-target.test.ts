// Heads whose lines are sound: what is wrong with them is the target, or a field that is not there.

import t from 'tap'

import { RequestHeadReader, looksLikeHttp } from '../../../src/wire/http1-head.ts'
import { explainRequest as explain, reasonOf } from './support.ts'

void t.test('a sound line with an unsound target is refused for the target', (t) => {
  const table: readonly (readonly [line: string, reason: string])[] = [
    ['CONNECT ::1:443', 'malformed-target'],
    ['CONNECT [::1]', 'malformed-target'],
    ['CONNECT 127.0.0.1', 'malformed-target'],
    ['CONNECT user@127.0.0.1:443', 'malformed-target'],
    ['CONNECT 127.0.0.1:443/admin', 'malformed-target'],
    ['CONNECT 127.0.0.1:443?x=1', 'malformed-target'],
    ['CONNECT http://127.0.0.1:443', 'malformed-target'],
    ['CONNECT 127.0.0.1:0', 'malformed-port'],
    ['CONNECT 127.0.0.1:65536', 'malformed-port'],
    ['CONNECT 127.0.0.1:http', 'malformed-port'],
    ['CONNECT [fe80::1%25eth0]:443', 'scoped-ip'],
    ['GET a.test', 'malformed-target'],
    ['GET a.test:443', 'malformed-target'],
    ['GET *', 'malformed-target'],
    ['GET /a#b', 'malformed-target'],
    ['GET http://a.test:x/', 'malformed-port'],
    ['GET /a/../b', 'malformed-path'],
  ]
  for (const [line, reason] of table)
    t.equal(explain(`${line} HTTP/1.1\r\nHost: a.test\r\n\r\n`), reason, line)
  t.end()
})

void t.test('a line that claims HTTP/0.9 is no request line', (t) => {
  t.equal(explain('GET / HTTP/0.9\r\n\r\n'), 'malformed-request-line')
  t.equal(explain('CONNECT a.test:443 HTTP/0.9\r\n\r\n'), 'malformed-request-line')
  t.end()
})

void t.test('a sound head without Host lacks it in HTTP/1.1 only', (t) => {
  t.equal(explain('CONNECT a.test:443 HTTP/1.1\r\n\r\n'), 'missing-host')
  t.equal(explain('GET http://a.test/ HTTP/1.1\r\nAccept: a\r\n\r\n'), 'missing-host')
  t.equal(explain('GET http://a.test/ HTTP/1.0\r\nAccept: a\r\n\r\n'), undefined)
  t.end()
})

void t.test('bytes are read where they lie in a larger buffer', (t) => {
  const large = Buffer.from('xxxxGET / HTTP/2.0\r\n\r\nyyyy')
  const heads = new RequestHeadReader(1024)
  t.equal(
    reasonOf(() => heads.read(large.subarray(4, -4), 0)),
    'unsupported-version',
  )
  const behind = Buffer.from('xxxxGET / HTTP/1.1\r\n\r\nyyyy')
  const others = new RequestHeadReader(1024)
  t.equal(others.read(behind, 4), behind.length - 4)
  t.match(others.take(), { method: 'GET', target: '/', version: '1.1', headers: [] })
  t.equal(looksLikeHttp(large.subarray(4, 9)), true)
  t.equal(looksLikeHttp(large.subarray(4, 7)), undefined)
  t.end()
})
