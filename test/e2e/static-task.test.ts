// The one task of a sidecar: it ends when it expires, takes what is open with it, and stays ended over restarts.
// And what a refused agent learns: enough to stop, nothing of the rules.

import { readFileSync } from 'node:fs'
import net from 'node:net'

import t from 'tap'

import { readHead, request, ruleSet, scenario, sleep, until } from '../fixtures/scenario.ts'
import { startEcho, startHttp } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'

void t.test('the static task', async (t) => {
  const upstream = await startHttp({ handler: () => ({ body: 'ok' }) })
  const echo = await startEcho()
  const slow = await startHttp({
    raw: (_request, response) => {
      response.writeHead(200)
      response.write('begun')
    },
  })
  t.teardown(() => Promise.all([upstream, echo, slow].map((one) => one.close())))
  const host = `up.test:${upstream.port}`
  const options = {
    hosts: ['up.test', 'echo.test', 'slow.test'],
    rules: ruleSet(
      `id: up, allow: 'http://${host}', ${LOOPBACK}`,
      `id: slow, allow: 'http://slow.test:${slow.port}', ${LOOPBACK}`,
      `id: echo, allow: 'tcp://echo.test:${echo.port}', ${LOOPBACK}`,
    ),
  }
  const get = request('GET', `http://${host}/`, host)

  scenario(
    t,
    'an ended task lets nothing out, and stays ended over restarts until it is renewed',
    { ...options, expires: '2s' },
    async (cx, t) => {
      t.match(await cx.raw(get), /^HTTP\/1\.1 200/)
      const running = net.connect(cx.proxyPort, '127.0.0.1')
      running.write(request('GET', `http://slow.test:${slow.port}/`, `slow.test:${slow.port}`))
      await readHead(running)
      running.resume()
      const tunnel = await cx.connect(`echo.test:${echo.port}`)
      tunnel.resume()
      await until(() => cx.records().some(({ event }) => event.action === 'task-ended'), 'it ends')
      await until(() => running.closed && tunnel.closed, 'what was open is cut')
      t.match(await cx.raw(get), /^HTTP\/1\.1 403 Sallyport: task-ended/)
      t.match(
        await cx.raw(
          `CONNECT echo.test:${echo.port} HTTP/1.1\r\nHost: echo.test:${echo.port}\r\n\r\n`,
        ),
        /^HTTP\/1\.1 403 Sallyport: task-ended/,
      )
      await until(() => echo.open() === 0 && slow.open() === 0, 'no upstream connection is left')
      t.equal(cx.terminal().filter(({ event }) => event.reason === 'task-ended-midway').length, 2)
      await cx.stop()
      await cx.start()
      t.match(
        await cx.raw(get),
        /^HTTP\/1\.1 403 Sallyport: task-ended/,
        'a restart does not bring it back',
      )
      await cx.stop()
      await cx.start('--renew')
      t.match(await cx.raw(get), /^HTTP\/1\.1 200/)
      t.equal(
        cx.records().filter(({ event }) => event.action === 'task-renewed').length,
        1,
        'which is on record',
      )
      const ids = new Set(cx.records().flatMap(({ sallyport }) => sallyport.task?.id ?? []))
      t.equal(ids.size, 1, 'the same definition is the same task')
    },
  )

  scenario(
    t,
    'a running task goes on after a restart with the end that it had',
    options,
    async (cx, t) => {
      t.match(await cx.raw(get), /^HTTP\/1\.1 200/)
      await cx.stop()
      await cx.start()
      t.match(await cx.raw(get), /^HTTP\/1\.1 200/)
      t.equal(cx.records().filter(({ event }) => event.action === 'task-created').length, 1)
      cx.file(
        'sallyport.yaml',
        readFileSync(cx.configFile, 'utf8').replace('intent: e2e', 'intent: other'),
      )
      await cx.stop()
      await cx.start()
      t.equal(
        cx.records().filter(({ event }) => event.action === 'task-created').length,
        2,
        'another definition is another task',
      )
    },
  )

  scenario(
    t,
    'SIGTERM lets what is open end, takes nothing new, and exits with 0',
    { ...options, limits: 'drainTimeoutMs: 1500' },
    async (cx, t) => {
      const tunnel = await cx.connect(`echo.test:${echo.port}`)
      const stopping = cx.stop()
      await sleep(300)
      tunnel.resume()
      tunnel.write('still here')
      const echoed = await new Promise<string>((resolve) =>
        tunnel.once('data', (chunk: Buffer) => resolve(chunk.toString())),
      )
      t.equal(echoed, 'still here')
      t.notOk((await cx.raw(get, 500)).startsWith('HTTP/1.1 200'), 'nothing new')
      tunnel.end()
      t.equal(await stopping, 0)
      await cx.start()
    },
  )
})

void t.test('what a refusal gives away', async (t) => {
  const upstream = await startHttp({})
  t.teardown(() => upstream.close())
  const host = `up.test:${upstream.port}`
  scenario(
    t,
    'R83: refusals by different hidden rules look the same, and are made for a program to read',
    {
      hosts: ['up.test'],
      rules: ruleSet(
        `id: all, allow: 'http://${host}', methods: [GET], paths: ['/one/**', '/two/**', '/open'], ${LOOPBACK}`,
        `id: hidden-one, deny: 'http://${host}', paths: ['/one/internal-name-*']`,
        `id: hidden-two, deny: 'http://${host}', methods: [GET], paths: ['/two/**']`,
      ),
    },
    async (cx, t) => {
      const ask = async (target: string): Promise<string> =>
        (await cx.raw(request('GET', `http://${host}${target}`, host)))
          .replaceAll(/"call":"[0-9A-Z]{26}"/g, '"call":"ID"')
          .replaceAll(/content-length: \d+/gi, 'Content-Length: N')
      const one = await ask('/one/internal-name-7')
      t.equal(one, await ask('/two/x'))
      t.notMatch(one, /hidden|internal|set|\/one|\/two/)
      t.equal(await ask('/no-such'), await ask('/nor-this'))
      const [head = '', body = ''] = one.split('\r\n\r\n')
      t.match(head, /^HTTP\/1\.1 403 Sallyport: denied-by-rule\r\n/)
      t.match(
        head,
        /\r\nProxy-Status: sallyport; error=http_request_denied; reason=denied-by-rule\r\n/,
      )
      t.match(head, /\r\nContent-Type: application\/problem\+json\r\n/)
      t.match(JSON.parse(body), {
        status: 403,
        reason: 'denied-by-rule',
        retry: 'no',
        remedy: /^Do not retry\./,
      })
      t.match(await ask('/open'), /^HTTP\/1\.1 200/)
      t.match(
        await cx.record(({ rule }) => rule?.id === 'hidden-two'),
        { event: { reason: 'denied-by-rule' } },
        'the record names the rule',
      )
    },
  )
})
