// The NATS sink while its server is killed, stopped and frozen: nothing lost, nothing stored twice.

import t from 'tap'

import { NatsReader, noNats } from '../fixtures/nats-server.ts'
import { compareStream, logged, natsOptions, startNatsServer } from '../fixtures/nats-sink.ts'
import { scenario, sleep, until } from '../fixtures/scenario.ts'
import { callRefused, callRefusedWhile } from '../fixtures/sink-records.ts'

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
