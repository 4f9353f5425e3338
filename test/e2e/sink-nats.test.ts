// The NATS sink against a real nats-server with JetStream: nothing lost and nothing stored twice, whatever happens to the
// server, the way to it and the sidecar.

import t from 'tap'

import { noNats } from '../fixtures/nats-server.ts'
import { compareStream, natsOptions, SINK, startNatsServer } from '../fixtures/nats-sink.ts'
import { startRelay } from '../fixtures/relay.ts'
import { request, scenario, until } from '../fixtures/scenario.ts'
import { callRefused } from '../fixtures/sink-records.ts'

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
      for (const { subject, text } of await reader.messages(SINK))
        t.equal(subject, `sallyport.${JSON.parse(text).event.action}`)
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
