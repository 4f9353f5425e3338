// Proves what is gRPC and how its clients are told a refusal: closed tables, and a message that they can read.

import t from 'tap'

import { REASONS, type Reason } from '../../../src/errors.ts'
import { grpcRefusal, grpcStatusName, grpcStatusOf, isGrpc } from '../../../src/wire/grpc.ts'

void t.test('a call is of gRPC by its content type', (t) => {
  const typed = (type: string): boolean => isGrpc(['Content-Type', type])
  for (const type of ['application/grpc', 'application/grpc+proto', 'Application/GRPC;a=b'])
    t.ok(typed(type), type)
  for (const type of ['application/grpc-web', 'application/grpcx', 'application/json', ''])
    t.notOk(typed(type), type)
  t.notOk(isGrpc([]))
  t.end()
})

void t.test('R41: every refusal is 7; what is none is what its status means', (t) => {
  const expected = new Map([
    [500, 13],
    [502, 14],
    [503, 14],
    [504, 4],
  ])
  for (const [reason, { status }] of Object.entries(REASONS)) {
    const known = Object.keys(REASONS).find((one): one is Reason => one === reason)!
    t.equal(grpcStatusOf(known), expected.get(status) ?? 7, reason)
  }
  t.end()
})

void t.test('the message carries token, what to do and the call, in printable ASCII', (t) => {
  const fields = grpcRefusal('path-not-allowed', '01J')
  t.strictSame(fields, [
    'Proxy-Status',
    'sallyport; error=http_request_denied; reason=path-not-allowed',
    'Content-Type',
    'application/grpc',
    'Cache-Control',
    'no-store',
    'grpc-status',
    '7',
    'grpc-message',
    `Sallyport: path-not-allowed: destination allowed, but not this path. ${REASONS['path-not-allowed'].remedy} (call 01J)`,
  ])
  const odd = grpcRefusal('busy', 'a%b\u2013\n').at(-1)!
  t.match(odd, /\(call a%25b%E2%80%93%0A\)$/)
  t.notMatch(odd, /[^\x20-\x7e]/)
  t.match(grpcRefusal('quota-exceeded', 'x', 'never').at(-1), /Do not retry/)
  t.end()
})

void t.test('codes have names', (t) => {
  t.equal(grpcStatusName('0'), 'OK')
  t.equal(grpcStatusName('16'), 'UNAUTHENTICATED')
  for (const none of [undefined, '', '17', '-1', '007', 'OK'])
    t.equal(grpcStatusName(none), undefined)
  t.end()
})
