// The NATS sink against a real nats-server with JetStream: nothing lost and nothing stored twice, whatever happens to the
// server, the way to it and the sidecar.

import t from 'tap'

import { NatsReader, noNats } from '../fixtures/nats-server.ts'
import { compareStream, logged, natsOptions, SINK, startNatsServer } from '../fixtures/nats-sink.ts'
import { startRelay } from '../fixtures/relay.ts'
import { request, scenario, sleep, until } from '../fixtures/scenario.ts'
import { callRefused, callRefusedWhile } from '../fixtures/sink-records.ts'

void t.test('NATS JetStream', { skip: noNats }, async (t) => {
  const { port, reader } = await startNatsServer(t)
  const relay = await startRelay(port)
  t.teardown(() => relay.close())
  t.beforeEach(() => reader.purge(SINK))

  scenario(
    t,
    'R54: each record is stored once under its id, in order, its action in the subject',
    natsOptions(`nats://127.0.0.1:${port}`),
    async (cx, t) => {
      await callRefused(cx, 20)
      await cx.raw(request('GET', 'http://nobody.test/a.b>*%00%0d%0aPUB%20x', 'nobody.test'))
      await compareStream(t, cx, reader)
      t.strictSame(
        [...new Set((await reader.messages(SINK)).map(({ subject }) => subject))].toSorted(),
        ['sallyport.call-denied', 'sallyport.rules-loaded', 'sallyport.task-created'],
      )
    },
  )

  scenario(
    t,
    'R54: a connection that is reset half-way costs no record and stores none twice',
    natsOptions(`nats://127.0.0.1:${relay.port}`),
    async (cx, t) => {
      await compareStream(t, cx, reader)
      for (const [at, bytes] of [500, 1500, 4000, 9000, 20_000].entries()) {
        relay.cutAfter(bytes)
        await callRefused(cx, 25)
        await until(() => relay.cuts() === at + 1, `a connection is cut after ${bytes} bytes`)
        await compareStream(t, cx, reader)
      }
    },
  )

  scenario(
    t,
    'R54: what was stored and not yet known to be when the sidecar was killed is not stored again',
    natsOptions(`nats://127.0.0.1:${relay.port}`, '', 'sinkTimeoutMs: 20000'),
    async (cx, t) => {
      await callRefused(cx, 5)
      await compareStream(t, cx, reader)
      await until(
        async () => (await cx.metric('sallyport_sink_backlog_records')) === 0,
        'it is known',
      )
      const before = await reader.count(SINK)
      relay.mute(true)
      await callRefused(cx, 20)
      await until(async () => (await reader.count(SINK)) > before, 'more is stored')
      await cx.stop('SIGKILL')
      relay.mute(false)
      await cx.start()
      await callRefused(cx, 5)
      await compareStream(t, cx, reader)
    },
  )

  scenario(
    t,
    'R54: a sidecar killed again and again stores each record once',
    natsOptions(`nats://127.0.0.1:${port}`),
    async (cx, t) => {
      for (let round = 0; round < 5; round += 1) {
        await callRefused(cx, 15 + 7 * round)
        await cx.stop('SIGKILL')
        await cx.start()
      }
      await compareStream(t, cx, reader)
    },
  )
})

void t.test('NATS through failures of the server', { skip: noNats }, async (t) => {
  const away = await startNatsServer(t)
  scenario(
    t,
    'R54: a server that was killed, and one that was stopped, gets what it missed, each record once',
    natsOptions(`nats://127.0.0.1:${away.port}`),
    async (cx, t) => {
      for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
        await callRefusedWhile(cx, async () => {
          await sleep(200)
          await away.server.end(signal)
          await sleep(200)
          await away.server.start()
        })
      }
      await callRefused(cx, 5)
      const reader = await NatsReader.connect(away.port)
      await compareStream(t, cx, reader)
      reader.close()
    },
  )

  const frozen = await startNatsServer(t)
  scenario(
    t,
    'R54: one that is frozen holds up no call, and gets all once it goes on, each record once',
    natsOptions(`nats://127.0.0.1:${frozen.port}`, '', 'sinkTimeoutMs: 500'),
    async (cx, t) => {
      await callRefused(cx, 5)
      frozen.server.signal('SIGSTOP')
      await callRefused(cx, 40)
      await logged(cx, 'sink does not take records')
      await callRefused(cx, 5)
      await until(() => cx.terminal().length === 50, 'calls go on')
      frozen.server.signal('SIGCONT')
      await compareStream(t, cx, frozen.reader)
    },
  )
})
