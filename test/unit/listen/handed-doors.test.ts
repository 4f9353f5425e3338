// Listeners that were opened elsewhere, handed to a whole sidecar that opens none: every address that leads to one was dialed.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net, { type Server } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t from 'tap'

import { loadConfig } from '../../../src/config/load.ts'
import { makeLog } from '../../../src/record/log.ts'
import { Sidecar } from '../../../src/sidecar.ts'
import { loadOrMakeCa } from '../../../src/tls/ca.ts'
import { portOf } from '../../fixtures/port.ts'
import { exchange, request } from '../../fixtures/scenario.ts'
import { greeting, socksRequest } from '../../fixtures/socks.ts'

const TASK = `task:
  intent: unit
  owner: { name: ann, team: test }
  agent: { account: bot, instance: bot/1 }
  sandbox: { id: box }
  rules: [set]
  environment: test
  ceiling: confidential
  expires: 30m
`

function startSidecar(directory: string): Promise<Sidecar> {
  const file = path.join(directory, 'sallyport.yaml')
  writeFileSync(file, TASK)
  mkdirSync(path.join(directory, 'rules'))
  const rule = '{ id: one, allow: "https://allowed.test" }'
  writeFileSync(
    path.join(directory, 'rules/set.yaml'),
    `ruleset: set\nowner: a@example.com\nrules: [${rule}]\n`,
  )
  const { config } = loadConfig({ file, environment: {} })
  if (config === undefined) throw new Error('the configuration is not one')
  return Sidecar.start({
    config,
    ca: loadOrMakeCa({ ...config.ca, now: Date.now }),
    environment: {},
    renew: false,
    handed: true,
    log: makeLog({ level: 'silent', mask: (line) => line }),
    guard: { mask: (line) => line },
    version: '0',
  })
}

async function listenAnywhere(): Promise<{ listener: Server; port: number }> {
  // As a listener comes out of another process: with the options of nobody.
  const listener = net.createServer()
  await new Promise<void>((resolve) => {
    listener.listen(0, '0.0.0.0', resolve)
  })
  return { listener, port: portOf(listener) }
}

void t.test('what comes by them is served as by our own, until the sidecar stops', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-handed-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const sidecar = await startSidecar(directory)
  const doors = { proxy: 0, socks: 0, http: 0, tls: 0 }
  for (const door of ['proxy', 'socks', 'http', 'tls'] as const) {
    const { listener, port } = await listenAnywhere()
    sidecar.adopt({ door, listener })
    doors[door] = port
  }
  const say = (port: number, bytes: string | Buffer): Promise<string> => {
    const socket = net.connect({ port, host: '127.0.0.7', allowHalfOpen: true })
    socket.once('connect', () => socket.end(bytes))
    return exchange(socket, '')
  }
  const port = doors.http
  t.match(
    await exchange(
      net.connect(doors.proxy, '127.0.0.7'),
      request('GET', 'http://a.test/', 'a.test'),
    ),
    /Sallyport: not-on-allowlist/,
  )
  t.match(
    await exchange(net.connect(port, '127.0.0.7'), request('GET', '/', `a.test:${port}`)),
    /Sallyport: not-on-allowlist/,
  )
  t.match(
    await exchange(net.connect(port, '127.0.0.7'), 'GET / HTTP/1.0\r\n\r\n'),
    /Sallyport: ip-not-on-allowlist/,
    'loopback too was dialed',
  )
  const socks = Buffer.concat([greeting(0), socksRequest('a.test', 443)])
  t.match(Buffer.from(await say(doors.socks, socks), 'latin1').toString('hex'), /^05000502/)
  t.equal(await say(doors.tls, 'SSH-2.0-x\r\n'), '')
  await sidecar.stop(0)
  for (const each of Object.values(doors))
    t.match(
      await new Promise((resolve) => {
        net.connect(each, '127.0.0.1').once('error', resolve).once('connect', resolve)
      }),
      { code: 'ECONNREFUSED' },
      'no listener is left',
    )
  const journal = path.join(directory, 'journal')
  const calls = readdirSync(journal)
    .filter((name) => name.endsWith('.ndjson'))
    .flatMap((name) => readFileSync(path.join(journal, name), 'utf8').trim().split('\n'))
    .map((line) => JSON.parse(line))
    .filter(({ event }) => event.action === 'call-denied')
    .map(({ event, sallyport: { call, dialed } }) => [event.reason, call.door, dialed?.ip])
  t.strictSame(calls, [
    ['not-on-allowlist', undefined, undefined],
    ['not-on-allowlist', 'transparent', '127.0.0.7'],
    ['ip-not-on-allowlist', 'transparent', '127.0.0.7'],
    ['not-on-allowlist', 'socks', undefined],
    ['protocol-not-allowed', 'transparent', '127.0.0.7'],
  ])
})
