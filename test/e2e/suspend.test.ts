// What becomes of open calls when a task, or one above it, is suspended.

import net from 'node:net'

import t from 'tap'

import { readHead, ruleSet, scenario, until } from '../fixtures/scenario.ts'
import { api, connectAs, getAs, makeTask, stateOf } from '../fixtures/tasks.ts'
import { startEcho, startHttp } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'

void t.test('suspending', async (t) => {
  const echo = await startEcho()
  const slow = await startHttp({
    raw: (_request, response) => {
      response.writeHead(200)
      const timer = setInterval(() => response.write('more'), 50)
      response.on('close', () => clearInterval(timer))
    },
  })
  t.teardown(() => Promise.all([echo, slow].map((one) => one.close())))
  const at = { echo: `echo.test:${echo.port}`, slow: `slow.test:${slow.port}` }
  const options = {
    expires: null,
    hosts: ['echo.test', 'slow.test'],
    rules: ruleSet(
      `id: echo, allow: 'tcp://${at.echo}', ${LOOPBACK}`,
      `id: slow, allow: 'http://${at.slow}', ${LOOPBACK}`,
    ),
  }

  for (const suspended of ['the task', 'the task above it'] as const)
    scenario(
      t,
      `I5: where ${suspended} is suspended no byte leaves: streams and tunnels are cut`,
      options,
      async (cx, t) => {
        const root = await makeTask(cx)
        const task = await makeTask(cx, { expires: '10m' }, root.id)
        const other = await makeTask(cx)
        const tunnel = await connectAs(cx, task, at.echo)
        const others = await connectAs(cx, other, at.echo)
        const stream = net.connect(cx.proxyPort, '127.0.0.1')
        stream.write(`GET http://${at.slow}/ HTTP/1.1\r\nHost: ${at.slow}\r\n${task.login}\r\n\r\n`)
        t.match(await readHead(stream), /^HTTP\/1\.1 200/)
        const cut = [tunnel, stream].map((socket) => {
          socket.on('error', () => undefined).resume()
          return new Promise<void>((resolve) => socket.once('close', () => resolve()))
        })
        others.resume()
        await until(() => echo.open() === 2, 'both tunnels are open')
        const from = Date.now()
        const halted = suspended === 'the task' ? task : root
        await api(cx, 'POST', `/v1/tasks/${halted.id}/suspend`)
        await Promise.all(cut)
        t.ok(Date.now() - from < 1000, 'at once')
        await until(() => slow.open() === 0, 'the stream is closed upstream')
        await until(() => echo.open() === 1, 'the tunnel is closed upstream')
        for (const kind of ['tunnel', 'forward'])
          await cx.record(
            ({ event, sallyport }) =>
              event.reason === 'task-not-active' &&
              sallyport.task?.id === task.id &&
              sallyport.call?.kind === kind,
          )
        t.match(
          await getAs(cx, task, `http://${at.slow}/`),
          /^HTTP\/1\.1 403 Sallyport: task-not-active/,
        )
        others.write('still here')
        const echoed = await new Promise((resolve) => others.once('data', resolve))
        t.match(String(echoed), 'still here', 'another task’s tunnel goes on')
        others.destroy()
        await api(cx, 'POST', `/v1/tasks/${halted.id}/resume`)
        t.equal(await stateOf(cx, task.id), 'active')
        const again = await connectAs(cx, task, at.echo)
        t.ok(again.writable, 'once it is resumed it may call again')
        again.destroy()
      },
    )
})
