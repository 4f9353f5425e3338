// SIGTERM: what is open may end, nothing new is taken, and the exit code says that all went well.

import t from 'tap'

import { request, ruleSet, scenario, sleep } from '../fixtures/scenario.ts'
import { startEcho, startHttp } from '../fixtures/upstreams.ts'

void t.test('stopping', async (t) => {
  const upstream = await startHttp({ handler: () => ({ body: 'ok' }) })
  const slow = await startHttp({
    raw: (_request, response) => {
      response.writeHead(200)
      response.write('begun')
      setTimeout(() => response.end('ended'), 800)
    },
  })
  const echo = await startEcho()
  t.teardown(() => Promise.all([upstream, slow, echo].map((one) => one.close())))
  const host = `up.test:${upstream.port}`
  scenario(
    t,
    'SIGTERM lets open calls and tunnels end, takes nothing new, and exits with 0',
    {
      hosts: ['up.test', 'slow.test', 'echo.test'],
      rules: ruleSet(
        `id: http, allow: ['http://${host}', 'http://slow.test:${slow.port}'], addresses: [127.0.0.0/8]`,
        `id: tcp, allow: 'tcp://echo.test:${echo.port}', addresses: [127.0.0.0/8]`,
      ),
    },
    async (cx, t) => {
      const get = request('GET', `http://${host}/`, host)
      t.match(await cx.raw(get), /^HTTP\/1\.1 200/)
      const tunnel = await cx.connect(`echo.test:${echo.port}`)
      const running = cx.raw(
        request('GET', `http://slow.test:${slow.port}/`, `slow.test:${slow.port}`),
        5000,
      )
      await sleep(200)
      const stopping = cx.stop()
      await sleep(200)
      t.notMatch(await cx.raw(get, 500), /^HTTP\/1\.1 200/, 'nothing new')
      t.match(await running, /begun[^]*ended/, 'what runs ends')
      const echoed = new Promise<string>((resolve) =>
        tunnel.once('data', (chunk: Buffer) => resolve(chunk.toString())),
      )
      tunnel.resume()
      tunnel.write('still here')
      t.equal(await echoed, 'still here')
      tunnel.end()
      t.equal(await stopping, 0)
      t.strictSame(
        cx
          .terminal()
          .map(({ event }) => event.reason)
          .filter((reason) => reason !== 'draining'),
        ['allowed', 'allowed', 'allowed'],
      )
      await cx.start()
      t.match(await cx.raw(get), /^HTTP\/1\.1 200/)
    },
  )
})
