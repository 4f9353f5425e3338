// What counts as taken where no receiver says so: against receivers that end, stay, speak and break off as they like.

import type { Socket } from 'node:net'

import t, { type Test } from 'tap'

import { startSyslogSink } from '../../../../src/record/sinks/syslog.ts'
import { readFrames, readMessage } from '../../../fixtures/syslog.ts'
import { listen } from '../../net/support.ts'
import { until } from '../support.ts'
import { closeAfter, makeSetting, type Setting } from './support.ts'

type Behave = (socket: Socket, received: () => Buffer) => void

interface Run extends Setting {
  readonly sink: ReturnType<typeof startSyslogSink>
  /** What came over each connection. */
  readonly streams: Buffer[]
  behave: Behave
}

const obedient: Behave = (socket) => socket.on('end', () => socket.end())

/** A sink and a receiver that behaves as it is told, connection by connection. */
async function start(t: Test, first: Behave): Promise<Run> {
  const streams: Buffer[] = []
  const state = { behave: first }
  const { port } = await listen(t, {
    onSocket: (socket) => {
      const at = streams.push(Buffer.alloc(0)) - 1
      socket.on('data', (chunk: Buffer) => (streams[at] = Buffer.concat([streams[at]!, chunk])))
      state.behave(socket, () => streams[at]!)
    },
  })
  const setting = makeSetting(t, port)
  const sink = startSyslogSink({
    ...setting.feed,
    open: setting.open,
    sender: { facility: 16, hostname: 'box', appName: 'sallyport' },
  })
  closeAfter(t, sink, setting.journal)
  return Object.assign(state, { ...setting, sink, streams })
}

const pathsOf = (stream: Buffer): string[] =>
  readFrames(stream).map((frame) => JSON.parse(readMessage(frame).content.toString()).url.path)

void t.test('R54: a delivery is taken once the receiver has closed behind it', async (t) => {
  const run = await start(t, obedient)
  await run.write(['/a', '/b'])
  await until(() => run.sink.stats.backlog === 0, 'they are taken')
  t.strictSame(run.streams.map(pathsOf), [['/a', '/b']])
  t.match(run.sink.stats, { sent: 2, failures: 0 })
})

const refusing: readonly [string, Behave][] = [
  ['closes before our end, in good order', (socket) => socket.once('data', () => socket.end())],
  ['closes before it has read', (socket) => socket.end()],
  [
    'resets the connection behind our end',
    (socket) => socket.on('end', () => socket.resetAndDestroy()),
  ],
  ['resets it half-way', (socket) => socket.once('data', () => socket.resetAndDestroy())],
  ['reads to the end and stays', () => undefined],
  ['never reads', (socket) => socket.pause()],
]
for (const [what, behave] of refusing)
  void t.test(`R54: a delivery is not taken by a receiver that ${what}`, async (t) => {
    const run = await start(t, behave)
    await run.write(['/a'])
    await until(() => run.sink.stats.failures > 0, 'it has failed')
    t.match(run.sink.stats, { sent: 0, backlog: 1 })
    run.behave = obedient
    await until(() => run.sink.stats.backlog === 0, 'it is taken by one that closes')
    t.strictSame(pathsOf(run.streams.at(-1)!), ['/a'], 'and was sent again')
  })

void t.test('what a receiver says is dropped, and resets nothing', async (t) => {
  const run = await start(t, (socket) => {
    socket.write(Buffer.alloc(200_000, 'x'))
    socket.on('end', () => socket.end())
  })
  await run.write(['/a'])
  await until(() => run.sink.stats.backlog === 0, 'it is taken')
  t.match(run.sink.stats, { sent: 1, failures: 0 })
})

void t.test('a receiver that is slow but reads is waited for', async (t) => {
  const run = await start(t, (socket) => {
    const timer = setInterval(() => (socket.isPaused() ? socket.resume() : socket.pause()), 40)
    socket.on('close', () => clearInterval(timer)).on('end', () => socket.end())
  })
  const paths = Array.from({ length: 60 }, (_, at) => `/${at}/${'x'.repeat(30_000)}`)
  await run.write(paths)
  await until(() => run.sink.stats.backlog === 0, 'all is taken')
  t.strictSame(run.streams.flatMap(pathsOf), paths)
  t.equal(run.sink.stats.failures, 0)
})

void t.test('a form that has no word for a record passes it', async (t) => {
  const { port } = await listen(t, {
    onSocket: (socket) => socket.resume().on('end', () => socket.end()),
  })
  const { feed, open, write, journal } = makeSetting(t, port)
  const sink = startSyslogSink({
    ...feed,
    open,
    sender: { facility: 16, hostname: 'box', appName: 'sallyport' },
    loadForm:
      async () =>
      ({ url }) =>
        url?.path === '/b' ? { only: url.path } : undefined,
  })
  closeAfter(t, sink, journal)
  await write(['/a', '/b'])
  await until(() => sink.stats.backlog === 0, 'both are passed')
  t.equal(sink.stats.failures, 0)
})
