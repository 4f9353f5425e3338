// The syslog sink while its receiver is away and frozen, its connection is cut and its sidecar killed: at least once, in order.

import t from 'tap'

import type { Issued } from '../fixtures/pki.ts'
import { startRelay } from '../fixtures/relay.ts'
import { noRsyslog } from '../fixtures/rsyslog.ts'
import { pki, scenario, until } from '../fixtures/scenario.ts'
import { callRefused } from '../fixtures/sink-records.ts'
import { compareWritten, idsOf, startRsyslog, syslogOptions } from '../fixtures/syslog-sink.ts'

void t.test('syslog through failures', { skip: noRsyslog }, async (t) => {
  const secure = (): Issued => pki.issue({ names: ['log.test'] })

  const away = await startRsyslog(t, { identity: secure() })
  scenario(
    t,
    'R54: rsyslogd that was away gets what it missed, in order',
    syslogOptions(away.port, ''),
    async (cx, t) => {
      await callRefused(cx, 20)
      await away.rsyslog.program.end('SIGTERM')
      await callRefused(cx, 20)
      await away.rsyslog.program.start()
      await callRefused(cx, 20)
      await compareWritten(t, cx, away.rsyslog)
    },
  )

  const frozen = await startRsyslog(t, { identity: secure() })
  scenario(
    t,
    'R54: one that is frozen holds up no call, and gets all once it goes on',
    syslogOptions(frozen.port, ''),
    async (cx, t) => {
      await callRefused(cx, 5)
      frozen.rsyslog.program.signal('SIGSTOP')
      await callRefused(cx, 40)
      await until(() => cx.log().includes('sink does not take records'), 'it is given up once')
      await callRefused(cx, 5)
      await until(() => cx.terminal().length === 50, 'calls go on')
      frozen.rsyslog.program.signal('SIGCONT')
      await compareWritten(t, cx, frozen.rsyslog)
    },
  )

  const cut = await startRsyslog(t, { identity: secure() })
  const relay = await startRelay(cut.port)
  t.teardown(() => relay.close())
  scenario(
    t,
    'R54: a connection that is reset half-way costs no record',
    syslogOptions(relay.port, ''),
    async (cx, t) => {
      for (const [at, bytes] of [100, 1500, 4000, 9000, 20_000].entries()) {
        relay.cutAfter(bytes)
        await callRefused(cx, 25)
        await until(() => relay.cuts() === at + 1, `a connection is cut after ${bytes} bytes`)
        await compareWritten(t, cx, cut.rsyslog)
      }
    },
  )

  const plain = await startRsyslog(t, {})
  const silent = await startRelay(plain.port)
  t.teardown(() => silent.close())
  scenario(
    t,
    'R54: what a sidecar had sent and not seen confirmed when it was killed is sent again, told by its id',
    syslogOptions(silent.port, 'insecurePlaintext: true', 'sinkTimeoutMs: 20000'),
    async (cx, t) => {
      await callRefused(cx, 10)
      await compareWritten(t, cx, plain.rsyslog)
      await until(
        async () => (await cx.metric('sallyport_sink_backlog_records')) === 0,
        'it is confirmed',
      )
      const before = idsOf(plain.rsyslog).length
      silent.mute(true)
      await callRefused(cx, 10)
      await until(() => idsOf(plain.rsyslog).length > before, 'the next delivery is written')
      await cx.stop('SIGKILL')
      silent.mute(false)
      await cx.start()
      await compareWritten(t, cx, plain.rsyslog)
      const ids = idsOf(plain.rsyslog)
      t.ok(ids.length > new Set(ids).size, 'some came twice')
    },
  )
})
