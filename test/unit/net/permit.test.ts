// Proves that permits cannot be made but by those who issue them, and that nothing is dialed without one (I1).

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { issueCallPermit } from '../../../src/net/issue-call.ts'
import { issueOperatorPermit } from '../../../src/net/issue-operator.ts'
import { CallPermit, isPermit, OperatorPermit } from '../../../src/net/permit.ts'
import { normalizeHost } from '../../../src/wire/authority.ts'
import { dial, listen, makeDialer, permitFor, reasonOf } from './support.ts'

const fields = {
  callId: 'c',
  taskId: 't',
  rootId: 't',
  isNameWritten: () => true,
  endpoint: { ...normalizeHost('127.0.0.1'), port: 80 },
  addresses: { allowed: [], denied: [] },
  tls: false,
}

void t.test('I1: what is issued is a permit and what is made elsewhere is none', (t) => {
  const call = issueCallPermit(fields)
  const operator = issueOperatorPermit({ purpose: 'sinks', endpoint: fields.endpoint, tls: false })
  t.ok(isPermit(call))
  t.ok(isPermit(operator))
  t.ok(CallPermit.is(call))
  t.notOk(CallPermit.is(operator), 'an operator permit is no call permit')
  t.notOk(OperatorPermit.is(call))
  t.throws(() => new CallPermit(fields), /issued, not made/)
  t.throws(() => new OperatorPermit({ ...fields, purpose: 'x' }), /issued, not made/)
  for (const forged of [
    Object.assign({}, call),
    Object.create(CallPermit.prototype),
    Object.create(call),
    new Proxy(call, {}),
    structuredClone({ ...call, isNameWritten: undefined }),
    undefined,
    null,
    'permit',
  ])
    t.notOk(isPermit(forged))
  t.end()
})

void t.test('I1: an issued permit cannot be turned to another destination', (t) => {
  const permit = issueCallPermit(fields)
  t.throws(() => Object.assign(permit, { endpoint: { ...fields.endpoint, port: 81 } }), TypeError)
  t.throws(() => Object.assign(permit, { tls: true }), TypeError)
  t.equal(permit.endpoint.port, 80)
  t.end()
})

void t.test('I1: nothing is dialed without a permit', async (t) => {
  const server = await listen(t)
  const dialer = makeDialer()
  const permit = permitFor('127.0.0.1', server.port)
  const forged: unknown = Object.assign({}, permit)
  // A caller that turns the compiler off is still held at run time.
  await t.rejects(
    Reflect.apply(dialer.dial.bind(dialer), dialer, [forged, { tls: false, signal: never() }]),
    {
      code: 'ERR_ASSERTION',
    },
  )
  t.equal(server.connections(), 0)
  t.equal(await reasonOf(dial(dialer, permit)), 'connected', 'with a permit it is')
})

void t.test('I1: a permit for verified TLS is not used for a cleartext connection', async (t) => {
  const server = await listen(t)
  const dialer = makeDialer()
  const permit = permitFor('127.0.0.1', server.port, { tls: true })
  await t.rejects(dialer.dial(permit, { tls: false, signal: never() }), { code: 'ERR_ASSERTION' })
  t.equal(server.connections(), 0)
})

void t.test('I1: only the two issuing modules can mark a permit', (t) => {
  const root = path.join(import.meta.dirname, '../../../src')
  const issuers = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .filter((file) =>
      /import \{[^}]*\bissue\b[^}]*\} from '[^']*permit\.ts'/.test(
        readFileSync(path.join(root, file), 'utf8'),
      ),
    )
  t.strictSame(issuers.sort(), ['net/issue-call.ts', 'net/issue-operator.ts'])
  t.end()
})

function never(): AbortSignal {
  return new AbortController().signal
}
