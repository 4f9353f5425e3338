// One principal keeps no other from the control API: what takes long it may have a few times at once.

import net, { type Socket } from 'node:net'

import t from 'tap'

import { startControl, tokenOf } from './support.ts'

const STREAMS_EACH_MAX = 16

void t.test(
  'a principal has so many streams of calls at once, and others have theirs',
  async (t) => {
    const control = await startControl(t, {
      principals: [
        { name: 'viewer', roles: ['viewer'] },
        { name: 'other', roles: ['viewer'] },
      ],
    })
    const follow = (name: string): Promise<{ status: string; socket: Socket }> =>
      new Promise((resolve) => {
        const socket = net.connect(control.port, '127.0.0.1')
        socket.on('error', () => undefined)
        t.teardown(() => socket.destroy())
        socket.once('data', (chunk: Buffer) =>
          resolve({ status: chunk.toString().slice(9, 12), socket }),
        )
        const fields = [
          `Host: 127.0.0.1:${control.port}`,
          `Authorization: Bearer ${tokenOf(name)}`,
          'Accept: text/event-stream',
        ]
        socket.write(`GET /v1/calls HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n`)
      })
    const all = await Promise.all(Array.from({ length: STREAMS_EACH_MAX }, () => follow('viewer')))
    t.ok(all.every(({ status }) => status === '200'))
    t.equal((await follow('viewer')).status, '503', 'no more')
    t.equal((await follow('other')).status, '200')
    t.match(await control.ask('GET', '/v1/calls', undefined, { as: 'viewer' }), { status: 200 })
    for (const { socket } of all) socket.destroy()
    while (control.followers() > 1) await new Promise((resolve) => setTimeout(resolve, 20))
    t.equal((await follow('viewer')).status, '200', 'those that ended do not count')
  },
)
