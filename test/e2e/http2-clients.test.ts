// Real clients of HTTP/2 through the proxy: curl by itself, nghttp and h2load by a tunnel that the test opens for them, as they
// know no proxy. And a task that ends beneath them.

import { spawnSync } from 'node:child_process'
import http2, { type ServerHttp2Session } from 'node:http2'
import net, { type Socket } from 'node:net'

import t from 'tap'

import { ask, openHttp2 } from '../fixtures/http2-client.ts'
import { portOf } from '../fixtures/port.ts'
import { pki, ruleSet, scenario, until, type Scenario } from '../fixtures/scenario.ts'
import { connectAs, makeTask, revoke } from '../fixtures/tasks.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const has = (command: string): boolean => spawnSync(command, ['--version']).status === 0
const skipWithout = (command: string): { skip?: string } =>
  has(command) ? {} : { skip: `${command} is not installed` }

// It speaks both, and clients are offered what it speaks.
const { certPem: cert, keyPem: key } = pki.issue({ names: ['up.test'] })
const up = http2.createSecureServer({ cert, key, allowHTTP1: true }, (request, response) => {
  if (request.url === '/ok/echo') request.pipe(response)
  else if (request.url === '/ok/slow') response.write('begun')
  else request.resume().on('end', () => response.end(`hello ${request.method}`))
})
up.on('sessionError', () => undefined)
const sessions = new Set<ServerHttp2Session>()
up.on('session', (session) => sessions.add(session))
await new Promise<void>((resolve) => up.listen(0, '127.0.0.1', resolve))
t.teardown(() => {
  for (const session of sessions) session.destroy()
  up.close()
})
const authority = `up.test:${portOf(up)}`
const options = {
  hosts: ['up.test'],
  rules: ruleSet(`id: up, allow: 'https://${authority}', paths: ['/ok/**'], ${LOOPBACK}`),
}

/** A port of loopback that is the inside of a new tunnel for each connection. */
async function withTunnels(cx: Scenario, body: (port: number) => Promise<void>): Promise<void> {
  const open = new Set<Socket>()
  const join = async (near: Socket): Promise<void> => {
    const far = await cx.connect(authority)
    open.add(far)
    far.on('close', () => near.destroy())
    near.on('close', () => far.destroy())
    near.pipe(far)
    far.pipe(near)
  }
  const server = net.createServer((near) => {
    near.on('error', () => undefined)
    near.pause()
    open.add(near)
    void join(near)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    await body(portOf(server))
  } finally {
    for (const socket of open) socket.destroy()
    server.close()
  }
}

void t.test('R41: curl', skipWithout('curl'), (t) => {
  scenario(t, 'curl speaks HTTP/2 to the inside of its tunnel', options, async (cx, t) => {
    const url = `https://${authority}`
    const words = ['-sS', '-w', ' %{http_version} %{http_code}']
    for (const flag of ['--http2', '--http2-prior-knowledge']) {
      t.match(await cx.client('curl', [...words, flag, `${url}/ok/a`]), {
        status: 0,
        stdout: 'hello GET 2 200',
      })
      t.match(await cx.client('curl', [...words, flag, '-d', 'a=b', `${url}/ok/echo`]), {
        status: 0,
        stdout: 'a=b 2 200',
      })
      t.match(await cx.client('curl', [...words, flag, `${url}/no`]), {
        status: 0,
        stdout: /path-not-allowed[^]* 2 403$/,
      })
    }
    const file = cx.file('large.bin', 'x'.repeat(20 * 1024 * 1024))
    const sent = await cx.client('curl', [
      ...words,
      '--http2',
      '-o',
      'back.bin',
      '--data-binary',
      `@${file}`,
      `${url}/ok/echo`,
    ])
    t.match(sent, { status: 0, stdout: ' 2 200' })
    t.match(
      await cx.client('curl', [...words, '--http1.1', `${url}/ok/a`]),
      { stdout: 'hello GET 1.1 200' },
      'and HTTP/1.1 where it wants that',
    )
  })
  t.end()
})

void t.test('R41: nghttp', skipWithout('nghttp'), (t) => {
  scenario(t, 'nghttp asks for many things on one connection', options, (cx, t) =>
    withTunnels(cx, async (port) => {
      const urls = ['/ok/a', '/ok/b', '/no'].map((path) => `https://127.0.0.1:${port}${path}`)
      const answer = await cx.client('nghttp', [
        '-v',
        '--no-verify-peer',
        '-H',
        `:authority: ${authority}`,
        ...urls,
      ])
      t.match(answer, { status: 0 })
      t.equal(answer.stdout.match(/:status: 200/g)?.length, 2)
      t.equal(answer.stdout.match(/:status: 403/g)?.length, 1)
      t.notMatch(answer.stdout, /RST_STREAM/)
    }),
  )
  t.end()
})

void t.test('R41: h2load', skipWithout('h2load'), (t) => {
  scenario(t, 'h2load asks for much at once', options, (cx, t) =>
    withTunnels(cx, async (port) => {
      const answer = await cx.client('h2load', [
        '-n',
        '2000',
        '-c',
        '4',
        '-m',
        '25',
        '-H',
        `:authority: ${authority}`,
        `https://127.0.0.1:${port}/ok/a`,
      ])
      t.match(answer, { status: 0, stdout: /2000 succeeded, 0 failed, 0 errored, 0 timeout/ })
      await until(() => cx.terminal().length >= 2004, 'every one is on record')
    }),
  )
  t.end()
})

scenario(
  t,
  'I10: a task that ends cuts its streams, and says so',
  { ...options, expires: null },
  async (cx, t) => {
    const task = await makeTask(cx)
    const socket = await connectAs(cx, task, authority)
    const session = await openHttp2(cx, authority, { socket, ca: task.caPem })
    t.match(await ask(session, { ':path': '/ok/a' }), { status: 200 })
    const streams = Array.from({ length: 5 }, () => ask(session, { ':path': '/ok/slow' }))
    await until(
      () => cx.records().filter(({ url }) => url?.path === '/ok/slow').length === 5,
      'they are under way',
    )
    await revoke(cx, task.id)
    for (const { code, status } of await Promise.all(streams))
      t.ok(code !== 0 || status === 0, 'no end in order')
    await until(() => session.destroyed, 'the connection is gone')
    t.strictSame(
      cx
        .terminal()
        .filter(({ url }) => url?.path === '/ok/slow')
        .map(({ event }) => event.reason),
      Array.from({ length: 5 }, () => 'task-ended-midway'),
    )
  },
)
