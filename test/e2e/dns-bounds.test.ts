// Proves that the DNS door has its bounds and fails closed: floods are counted, connections and names have an end, and who
// proves no task, or asks while nothing can be recorded, is told nothing.

import { spawnSync } from 'node:child_process'
import dgram from 'node:dgram'
import net from 'node:net'

import { doorTest } from '../fixtures/dns-door.ts'
import { until } from '../fixtures/scenario.ts'

doorTest(
  'a flood of refused queries is counted exactly',
  { config: 'journal: { denialsPerTaskPerSecond: 5 }' },
  async (door, t) => {
    const query = Buffer.from('000101000001000000000000046576696c047465737400001c0001', 'hex')
    const sent = 400
    let answered = 0
    const socket = dgram.createSocket('udp4')
    socket.on('message', () => (answered += 1))
    for (let at = 0; at < sent; at += 1) {
      socket.send(query, door.port, '127.0.0.1')
      if (at % 20 === 19) await until(() => answered > at - 20, 'answers come')
    }
    await until(() => answered === sent, 'all are answered')
    socket.close()
    const told = (): number =>
      door.refused().length +
      door.cx
        .records()
        .filter(({ event }) => event.action === 'dns-denied-repeated')
        .reduce((sum, { sallyport }) => sum + Number(sallyport.detail?.['count']), 0)
    await until(() => told() === sent, 'each is told')
    t.ok(door.refused().length < sent)
  },
)

doorTest('a client whose task is over is told nothing', { expires: '2s' }, async (door, t) => {
  const isOver = async (): Promise<boolean> =>
    (await door.dig(['api.test A']))[0]?.status === 'NXDOMAIN'
  await until(isOver, 'it is over')
  const [answer] = await door.dig(['localhost A'])
  t.match(answer, { status: 'NXDOMAIN', error: /^15 \(Blocked\): \(sallyport: task-ended: / })
  t.match(door.refused().at(-1), {
    event: { reason: 'task-ended' },
    sallyport: { task: { id: /^t_/ } },
  })
})

const elsewhere = { sources: ['10.99.0.0/16'] }
doorTest('a client that is not of the task is told nothing', elsewhere, async (door, t) => {
  const [answer] = await door.dig(['api.test A'])
  t.match(answer, {
    status: 'NXDOMAIN',
    error: /^18 \(Prohibited\): \(sallyport: unknown-client: /,
  })
  t.match(door.refused(), [{ event: { reason: 'unknown-client' }, source: { ip: '127.0.0.1' } }])
})

doorTest(
  'several queries come over one connection, in pieces and half closed',
  {},
  async (door, t) => {
    const query = Buffer.from('0007010000010000000000000361706904746573740000010001', 'hex')
    const framed = Buffer.concat([Buffer.from([0, query.length]), query])
    const socket = net.connect({ port: door.port, host: '127.0.0.1', allowHalfOpen: true })
    let received = 0
    socket.on('data', (chunk: Buffer) => (received += chunk.length))
    socket.write(Buffer.concat([framed, framed.subarray(0, 5)]))
    const one = 2 + query.length + 16
    await until(() => received === one, 'one is answered')
    socket.end(Buffer.concat([framed.subarray(5), framed]))
    await new Promise((resolve) => socket.once('close', resolve))
    t.equal(received, 3 * one)
    const endless = net.connect(door.port, '127.0.0.1')
    endless.on('error', () => undefined)
    endless.write(Buffer.from([0xff, 0xff, ...query]))
    await new Promise((resolve) => endless.once('close', resolve))
    await until(() => door.refused().length > 0, 'it is on record')
    t.match(
      door.refused(),
      [{ event: { reason: 'malformed-header' }, sallyport: { detail: { fault: 'name' } } }],
      'one that announces too much is left, on record',
    )
  },
)

doorTest(
  'dnsAnswerMs, dnsNamesMax, dnsConnectionsMax: what is told has its bounds',
  { limits: 'dnsAnswerMs: 90s, dnsNamesMax: 2, dnsConnectionsMax: 2, headTimeoutMs: 1s' },
  async (door, t) => {
    const [first, second, third] = await door.dig([
      'a.wild.test A',
      'b.wild.test A',
      'c.wild.test A',
    ])
    t.match([first, second], [{ answers: [/ 90 IN A /] }, { answers: [/ 90 IN A /] }])
    t.match(third, { status: 'NXDOMAIN', error: /^15 .*quota-exceeded/ })
    t.match(await door.dig(['a.wild.test A']), [first], 'none is taken back')
    t.match(door.refused(), [{ sallyport: { detail: { limit: 'dnsNamesMax', max: 2 } } }])
    t.match(
      await door.dig(['api.test A', 'sallyport.internal A']),
      [{ answers: [/ IN A /] }, { answers: [/ IN A /] }],
      'names of an agent’s choice take no place of those that rules write out',
    )
    const open = [0, 1, 2].map(() => net.connect(door.port, '127.0.0.1'))
    const closed = open.map(
      (socket) =>
        new Promise((resolve) => {
          socket.on('error', () => undefined)
          socket.once('close', resolve)
          socket.resume()
        }),
    )
    await Promise.race(closed)
    t.pass('one too many is dropped')
    await Promise.all(closed)
    t.pass('and those that say nothing in time')
    t.match(await door.dig(['a.wild.test A'], '+tcp'), [first])
  },
)

if (spawnSync('prlimit', ['--version']).status === 0)
  doorTest(
    'I5: while nothing can be recorded, refusals are refused and nothing else is told',
    {},
    async (door, t) => {
      const limit = (bytes: number | 'unlimited'): void => {
        spawnSync('prlimit', ['--pid', String(door.cx.pid()), `--fsize=${bytes}:`])
      }
      const isTold = async (): Promise<boolean> =>
        (await door.dig(['api.test A']))[0]?.status === 'NOERROR'
      t.ok(await isTold())
      limit(1)
      t.match(await door.dig(['evil.test A']), [{ status: 'NXDOMAIN' }])
      t.match(await door.dig(['evil.test A', 'api.test A', 'localhost A']), [
        { status: 'NXDOMAIN', answers: [], error: /^14 \(Not Ready\): .*audit-unavailable/ },
        { status: 'NXDOMAIN', answers: [], error: /^14 \(Not Ready\): .*audit-unavailable/ },
        { status: 'NXDOMAIN', answers: [], error: /^14 \(Not Ready\): .*audit-unavailable/ },
      ])
      limit('unlimited')
      await until(isTold, 'names are told again')
      const told = door.cx
        .records()
        .filter(({ event }) => event.action.startsWith('dns-denied'))
        .reduce((sum, { sallyport }) => sum + Number(sallyport.detail?.['count'] ?? 1), 0)
      t.ok(told >= 4, 'what was refused meanwhile is told')
    },
  )
