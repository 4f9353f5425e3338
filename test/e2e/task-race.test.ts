// A task ends in the middle of its calls, wherever each of them is: nothing is asked upstream any more, nothing stays open.

import net from 'node:net'

import t from 'tap'

import { ruleSet, scenario, sleep, until } from '../fixtures/scenario.ts'
import { makeTask, revoke } from '../fixtures/tasks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const CLIENTS = 60
const ROUNDS = 3
const WARM_MS = 300

void t.test('a task that ends while its calls are on their way', async (t) => {
  let isHanging = false
  // Once it hangs, whatever still gets through keeps its connection.
  const up = await startHttp({
    raw: (_request, response) => {
      if (!isHanging) response.end('ok')
    },
  })
  t.teardown(() => up.close())
  const host = `up.test:${up.port}`
  const options = {
    expires: null,
    hosts: ['up.test'],
    rules: ruleSet(`id: up, allow: 'http://${host}', addresses: ['127.0.0.0/8'], credential: key`),
    config: `credentials: { key: { source: { file: key.secret }, inject: { header: { name: x-key } }, hosts: ['${host}'], insecurePlaintext: true } }`,
  }

  scenario(t, 'leaves no connection behind its receipt', options, async (cx, t) => {
    cx.file('key.secret', 'canary-of-the-race-0123456789')
    for (let round = 0; round < ROUNDS; round += 1) {
      isHanging = false
      const task = await makeTask(cx)
      const ask = `GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\n${task.login}\r\n\r\n`
      const clients = Array.from({ length: CLIENTS }, () => {
        const client = net.connect(cx.proxyPort, '127.0.0.1')
        client.on('error', () => undefined)
        client.on('data', (chunk: Buffer) => {
          if (chunk.includes('HTTP/1.1 200')) client.write(ask)
        })
        client.write(ask)
        return client
      })
      await sleep(WARM_MS)
      isHanging = true
      const { complete } = await revoke(cx, task.id)
      t.ok(complete)
      await until(() => up.open() === 0, `${up.open()} connections are closed`)
      for (const client of clients) client.destroy()
    }
  })
})
