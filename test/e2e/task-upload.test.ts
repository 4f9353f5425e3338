// What a task has handed to the system and has not left when the task ends does not leave any more.

import net, { type Socket } from 'node:net'

import t from 'tap'

import { ruleSet, scenario, until } from '../fixtures/scenario.ts'
import { makeTask, revoke } from '../fixtures/tasks.ts'
import { startTcp } from '../fixtures/upstreams.ts'

const LOOPBACK = `addresses: ['127.0.0.0/8']`
const PIECE = Buffer.alloc(64 * 1024)

void t.test('an upload that waits in buffers', async (t) => {
  const slow: Socket[] = []
  const up = await startTcp((socket) => {
    socket.pause()
    slow.push(socket)
  })
  t.teardown(() => up.close())
  const rules = {
    ...ruleSet(`id: up, allow: 'http://up.test:${up.port}', ${LOOPBACK}`),
    raw: `ruleset: raw\nrules:\n  - { id: raw, allow: 'tcp://up.test:${up.port}', ${LOOPBACK} }\n`,
  }
  const options = { rules, expires: null, hosts: ['up.test'] }

  scenario(t, 'ends with its task', options, async (cx, t) => {
    const host = `up.test:${up.port}`
    const heads = {
      set: (login: string) =>
        `POST http://${host}/ HTTP/1.1\r\nHost: ${host}\r\n${login}\r\nContent-Length: 1000000000\r\n\r\n`,
      raw: (login: string) => `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n${login}\r\n\r\n`,
    }
    for (const [name, head] of Object.entries(heads)) {
      slow.length = 0
      const task = await makeTask(cx, { rules: [name] })
      const client = net.connect(cx.proxyPort, '127.0.0.1')
      client.on('error', () => undefined)
      client.resume()
      client.write(head(task.login))
      await until(() => slow.length === 1, 'it is dialed')
      // Until every buffer on the way is full.
      while (client.write(PIECE) || (await isDrained(client)));
      t.ok((await revoke(cx, task.id)).complete)
      const ended = new Promise((resolve) => {
        slow[0]!.once('end', () => resolve('end'))
        slow[0]!.once('error', (error) => resolve('code' in error ? error.code : error))
      })
      slow[0]!.resume()
      t.equal(await ended, 'ECONNRESET', `${name}: what was left of it was thrown away`)
      client.destroy()
    }
  })
})

/** Whether a socket takes more within a while. */
function isDrained(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), 300)
    socket.once('drain', () => {
      clearTimeout(timer)
      resolve(true)
    })
  })
}
