// Clients that break their connection off before it is taken: what they sent can still be read, and nothing says any more where
// they were. At no door is it taken for what a client of the task sent.

import net from 'node:net'

import t from 'tap'

import {
  exchange,
  freePort,
  request,
  ruleSet,
  scenario,
  until,
  type Scenario,
} from '../fixtures/scenario.ts'
import { greeting, socksRequest } from '../fixtures/socks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const [socks, http, tls, dns] = [
  await freePort(),
  await freePort(),
  await freePort(),
  await freePort(),
]
const plain = await startHttp({})
t.teardown(() => plain.close())
const host = `plain.test:${plain.port}`
const query = Buffer.from('001c000701000001000000000000046576696c04746573740000010001', 'hex')

/** Sends bytes and breaks off, all before the sidecar looks at it. */
async function breakOff(cx: Scenario, port: number, bytes: string | Buffer): Promise<void> {
  process.kill(cx.pid(), 'SIGSTOP')
  try {
    const socket = net.connect(port, '127.0.0.1')
    await new Promise((resolve) => socket.once('connect', resolve))
    await new Promise((resolve) => socket.write(bytes, resolve))
    socket.resetAndDestroy()
    await new Promise((resolve) => socket.once('close', resolve))
  } finally {
    process.kill(cx.pid(), 'SIGCONT')
  }
}

scenario(
  t,
  'R04: a client of elsewhere that is gone before it is looked at is nobody, at every door',
  {
    listen: `socks: '127.0.0.1:${socks}', transparent: { http: '127.0.0.1:${http}', tls: '127.0.0.1:${tls}', dns: '127.0.0.1:${dns}' }`,
    sources: ['10.99.0.0/16'],
    hosts: ['plain.test'],
    rules: ruleSet(`id: plain, allow: 'http://plain.test:${plain.port}', addresses: [127.0.0.0/8]`),
  },
  async (cx, t) => {
    const ask = request('GET', `http://${host}/`, host)
    const inside = request('GET', '/', host)
    const tunnel = [greeting(0), socksRequest('plain.test', plain.port), Buffer.from(inside)]
    await breakOff(cx, cx.proxyPort, ask)
    await breakOff(cx, cx.proxyPort, `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n${inside}`)
    await breakOff(cx, socks, Buffer.concat(tunnel))
    await breakOff(cx, http, inside)
    await breakOff(cx, tls, inside)
    await breakOff(cx, dns, query)
    t.match(
      await exchange(net.connect(cx.proxyPort, '127.0.0.1'), ask),
      /unknown-client/,
      'one that stays is told',
    )
    await until(() => cx.terminal().length > 0, 'it is on record')
    t.strictSame(
      cx.records().flatMap(({ event }) => (event.reason === undefined ? [] : [event.reason])),
      ['unknown-client'],
    )
    t.equal(plain.seen.length, 0, 'nothing has left')
  },
)
