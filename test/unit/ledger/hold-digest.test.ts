// Proves what an approval is for: a call that differs in anything that could mean something has another digest, and one that a
// client only repeats has the same.

import * as fc from 'fast-check'
import t from 'tap'

import { digestCall, type DigestedCall } from '../../../src/ledger/holds/digest.ts'

const CALL: DigestedCall = {
  kind: 'request',
  method: 'POST',
  scheme: 'https',
  endpoint: { host: 'pay.test', port: 443 },
  path: '/pay/7',
  query: 'a=1',
  headers: [
    'Host',
    'pay.test',
    'Content-Type',
    'application/json',
    'Content-Length',
    '12',
    'X-A',
    '1',
  ],
  body: Buffer.from('{"amount":1}'),
}

void t.test('R75: whatever could mean something is part of what is approved', (t) => {
  const digests = new Set(
    [
      CALL,
      { ...CALL, kind: 'upgrade' as const },
      { ...CALL, method: 'PUT' },
      { ...CALL, scheme: 'http' },
      { ...CALL, endpoint: { host: 'pay.test', port: 444 } },
      { ...CALL, endpoint: { host: 'evil.test', port: 443 } },
      { ...CALL, path: '/pay/8' },
      { ...CALL, query: undefined },
      { ...CALL, query: '' },
      { ...CALL, body: Buffer.from('{"amount":2}') },
      { ...CALL, body: '{"amount":1}' },
      { ...CALL, headers: [...CALL.headers, 'X-A', '2'] },
      { ...CALL, headers: ['X-A', '2', 'X-A', '1'] },
      { ...CALL, headers: [...CALL.headers, 'Idempotency-Key', 'k'] },
      { ...CALL, headers: [...CALL.headers, 'X-HTTP-Method-Override', 'DELETE'] },
    ].map(digestCall),
  )
  t.equal(digests.size, 15)
  t.end()
})

void t.test('what clients change when they repeat a call is no part of it', (t) => {
  const headers = [
    'X-A',
    '1',
    'traceparent',
    '00-1-2-01',
    'X-Stainless-Retry-Count',
    '2',
    'Date',
    'now',
    'amz-sdk-request',
    'attempt=2',
    'Transfer-Encoding',
    'chunked',
    'Connection',
    'close, x-hop',
    'X-Hop',
    '1',
    'Proxy-Authorization',
    'Basic x',
    'Expect',
    '100-continue',
    'host',
    'PAY.test:443',
    'content-type',
    'application/json',
  ]
  t.equal(digestCall({ ...CALL, headers }), digestCall(CALL))
  t.end()
})

void t.test('a handshake of WebSocket that is made again is the same call', (t) => {
  const shake = (key: string, kind: DigestedCall['kind'] = 'upgrade'): DigestedCall => ({
    ...CALL,
    kind,
    headers: ['Sec-WebSocket-Key', key, 'Sec-WebSocket-Protocol', 'chat'],
  })
  t.equal(digestCall(shake('one')), digestCall(shake('two')))
  t.not(digestCall(shake('one', 'request')), digestCall(shake('two', 'request')))
  t.end()
})

void t.test('no two calls are told as one by how their parts are put together', (t) => {
  const text = fc.string({ maxLength: 6 })
  const call = fc.record({
    kind: fc.constant('request' as const),
    method: text,
    scheme: text,
    endpoint: fc.record({ host: text, port: fc.nat(3) }),
    path: text,
    query: fc.option(text, { nil: undefined }),
    headers: fc
      .array(fc.tuple(fc.constantFrom('a', 'b'), text), { maxLength: 3 })
      .map((all) => all.flat()),
    body: text,
  })
  const meaning = ({ headers, ...rest }: DigestedCall): string => {
    const of = (name: string): string[] =>
      headers.filter((_, at) => at % 2 === 1 && headers[at - 1] === name)
    return JSON.stringify([
      rest.method,
      rest.scheme,
      rest.endpoint.host,
      rest.endpoint.port,
      rest.path,
      rest.query ?? null,
      of('a'),
      of('b'),
      rest.body,
    ])
  }
  fc.assert(
    fc.property(call, call, (one, other) => {
      t.equal(digestCall(one) === digestCall(other), meaning(one) === meaning(other))
    }),
  )
  t.end()
})
