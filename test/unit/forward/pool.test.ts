// Proves which kept connections another call may use: never one to an address that its own rules, or those of an ancestor of
// its task, do not allow.

import t, { type Test } from 'tap'

import { UpstreamPool } from '../../../src/forward/pool.ts'
import type { UpstreamConnection } from '../../../src/forward/upstream.ts'
import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import type { CallPermit } from '../../../src/net/permit.ts'
import { listen, makeDialer, permitFor, type PermitOptions } from '../net/support.ts'

const ANSWER = 'HTTP/1.1 204 No Content\r\n\r\n'

/** Makes one exchange over a connection, which is idle afterwards. */
async function exchangeOver(pool: UpstreamPool, connection: UpstreamConnection): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    connection.begin(
      {
        method: 'GET',
        body: pool.body,
        bufferBytesMax: 1024,
        onInformational: () => undefined,
        onHead: () => undefined,
      },
      { onDone: resolve, onFailure: reject },
    )
    connection.write('GET / HTTP/1.1\r\nHost: kept.test\r\n\r\n')
    connection.sent(pool.responseDueSweep)
  })
}

/** Whether a call may use the connection that a call before it has left. */
async function isReused(t: Test, before: PermitOptions, after: PermitOptions): Promise<boolean> {
  const server = await listen(t, {
    onSocket: (socket) => socket.on('data', () => socket.write(ANSWER)),
  })
  const dialer = makeDialer({ hosts: { 'kept.test': ['127.0.0.1'] }, allow: [] })
  const pool = new UpstreamPool({ dialer, limits: DEFAULT_LIMITS })
  t.teardown(() => pool.stop())
  const permit = (options: PermitOptions): CallPermit =>
    permitFor('kept.test', server.port, options)
  const connection = await pool.open(permit(before), new AbortController().signal)
  await exchangeOver(pool, connection)
  return pool.takeIdle(permit(after)) === connection
}

const LOCAL = { allowed: ['127.0.0.0/8'] }

void t.test('R36: a connection serves calls whose rules allow its address', async (t) => {
  t.ok(await isReused(t, LOCAL, LOCAL))
  t.ok(await isReused(t, LOCAL, { allowed: ['127.0.0.1'] }), 'by another range')
  t.notOk(await isReused(t, LOCAL, {}))
  t.notOk(await isReused(t, LOCAL, { ...LOCAL, denied: ['127.0.0.1'] }))
})

void t.test('R69: and those of which the rules of every ancestor do', async (t) => {
  t.ok(await isReused(t, LOCAL, { ...LOCAL, also: [LOCAL] }))
  t.ok(await isReused(t, { ...LOCAL, also: [LOCAL] }, { ...LOCAL, also: [LOCAL, LOCAL] }))
  t.notOk(await isReused(t, LOCAL, { ...LOCAL, also: [{}] }))
  t.notOk(
    await isReused(
      t,
      { ...LOCAL, also: [LOCAL] },
      { ...LOCAL, also: [LOCAL, { denied: ['127.0.0.1'] }] },
    ),
  )
})
