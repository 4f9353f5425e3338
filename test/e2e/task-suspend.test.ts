// A suspended task lets nothing out: what was under way when it was suspended is cut, its own and that of tasks below it.

import net from 'node:net'

import t from 'tap'

import { pki, readHead, ruleSet, scenario, until } from '../fixtures/scenario.ts'
import { api, connectAs, getAs, makeTask, secureAs } from '../fixtures/tasks.ts'
import { startHttp, startTcp } from '../fixtures/upstreams.ts'

const LOOPBACK = `addresses: ['127.0.0.0/8']`

void t.test('suspended', async (t) => {
  let received = ''
  const raw = await startTcp((socket) => {
    socket.on('end', () => socket.end())
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString()
      socket.write(chunk)
    })
  })
  const hanging = await startHttp({
    raw: (request) => {
      request.on('data', (chunk: Buffer) => (received += chunk.toString()))
    },
  })
  const secure = await startHttp({ tls: pki.issue({ names: ['secure.test'] }) })
  t.teardown(() => Promise.all([raw.close(), hanging.close(), secure.close()]))
  const rules = ruleSet(
    `id: raw, allow: 'tcp://raw.test:${raw.port}', ${LOOPBACK}`,
    `id: up, allow: 'http://up.test:${hanging.port}', ${LOOPBACK}`,
    `id: secure, allow: 'https://secure.test:${secure.port}', ${LOOPBACK}`,
  )
  const options = { rules, expires: null, hosts: ['raw.test', 'up.test', 'secure.test'] }

  scenario(t, 'what is under way is cut, that of children too', options, async (cx, t) => {
    const parent = await makeTask(cx)
    const child = await makeTask(cx, { parent: parent.id, expires: '5m' })
    const tunnels = [
      await connectAs(cx, parent, `raw.test:${raw.port}`),
      await connectAs(cx, child, `raw.test:${raw.port}`),
    ]
    const upload = net.connect(cx.proxyPort, '127.0.0.1')
    upload.on('error', () => undefined)
    const host = `up.test:${hanging.port}`
    upload.write(
      `POST http://${host}/ HTTP/1.1\r\nHost: ${host}\r\n${parent.login}\r\nContent-Length: 100\r\n\r\nbefore`,
    )
    const inspected = await secureAs(cx, parent, `secure.test:${secure.port}`)
    for (const tunnel of tunnels) {
      tunnel.resume()
      tunnel.write('before')
    }
    await until(() => received.length >= 3 * 'before'.length, 'all of them flow')
    const answered = readHead(upload).finally(() => upload.resume())

    const { body } = await api(cx, 'POST', `/v1/tasks/${parent.id}/suspend`, {})
    t.equal(body.state, 'suspended')
    received = ''
    for (const socket of [...tunnels, upload]) socket.write('after')
    await until(
      () => [...tunnels, upload].every(({ closed }) => closed) && raw.open() + hanging.open() === 0,
      'all of them are closed, on both sides',
    )
    t.equal(received, '', 'nothing more has left')
    t.match(await answered, /^HTTP\/1\.1 403 Sallyport: task-not-active/)
    t.match(await getAs(cx, parent, `http://${host}/`), /403 Sallyport: task-not-active/)
    const ends = cx.terminal().filter(({ event }) => event.action === 'call-ended')
    t.strictSame(
      ends.map(({ event }) => event.reason),
      ['task-not-active', 'task-not-active', 'task-not-active'],
    )

    const ask = (): string => `GET / HTTP/1.1\r\nHost: secure.test:${secure.port}\r\n\r\n`
    inspected.write(ask())
    t.match(await readHead(inspected), /^HTTP\/1\.1 403 Sallyport: task-not-active/, 'told inside')
    inspected.destroy()
    await api(cx, 'POST', `/v1/tasks/${parent.id}/resume`, {})
    const again = await connectAs(cx, child, `raw.test:${raw.port}`)
    again.resume()
    again.write('again')
    await until(() => received === 'again', 'it goes on')
    again.destroy()
  })

  const own = { rules, hosts: ['up.test'] }
  scenario(t, 'a start does not enable an owner who was disabled', own, async (cx, t) => {
    const owner = '/v1/owners/Test%20Owner'
    t.match(await api(cx, 'PUT', owner, { disabled: true }), { status: 200 })
    await cx.stop()
    await cx.start('--renew')
    const url = `http://up.test:${hanging.port}/`
    t.match(await getAs(cx, undefined, url), /^HTTP\/1\.1 403 Sallyport: task-not-active/)
  })
})
