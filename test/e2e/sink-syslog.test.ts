// The syslog sink against a real rsyslogd: what is in its file is what is in the journal, and who may take it.

import t from 'tap'

import { makePki } from '../fixtures/pki.ts'
import { noRsyslog } from '../fixtures/rsyslog.ts'
import { pki, request, scenario, until } from '../fixtures/scenario.ts'
import { callRefused } from '../fixtures/sink-records.ts'
import { compareWritten, lagsOf, startRsyslog, syslogOptions } from '../fixtures/syslog-sink.ts'

void t.test('syslog', { skip: noRsyslog }, async (t) => {
  const { rsyslog, port } = await startRsyslog(t, {
    identity: pki.issue({ names: ['log.test'] }),
  })
  scenario(
    t,
    'R54: rsyslogd writes each record by TLS, with its severity, id and place',
    syslogOptions(port, 'facility: local3'),
    async (cx, t) => {
      await callRefused(cx, 20)
      await compareWritten(t, cx, rsyslog)
      t.match(rsyslog.lines().at(-1), {
        facility: '19',
        severity: '4',
        app: 'sallyport',
        action: 'call-denied',
        data: /^\[sallyport@32473 id="[0-9A-Z]{26}" seq="\d+" task="t_[0-9a-z]{26}" reason="not-on-allowlist"\]$/,
      })
      const lags = [...lagsOf(rsyslog)].toSorted((a, b) => a - b)
      t.comment(`from record to file in ms: median ${lags[lags.length >> 1]}, most ${lags.at(-1)}`)
    },
  )

  scenario(
    t,
    'R54: text of strangers and records beyond the usual size arrive as they are',
    syslogOptions(port, ''),
    async (cx, t) => {
      const hostile = [
        '/]"\\[x%00%0a%1b[31m',
        `/${'long/'.repeat(6000)}`,
        '/%E2%80%AE"}\n<14>1 - - - - - -',
      ]
      for (const at of hostile)
        await cx.raw(
          request('GET', `http://nobody.test${at}`, 'nobody.test', {
            headers: ['User-Agent: \u00e9]"\\ <34>1 2026-11-26T02:50:11Z evil su - - - x'],
          }),
        )
      await callRefused(cx, 1)
      await compareWritten(t, cx, rsyslog, { isOwn: false })
    },
  )

  const strangers = makePki()
  const strange = await startRsyslog(t, { identity: strangers.issue({ names: ['log.test'] }) })
  scenario(
    t,
    'R54: a receiver whose certificate is not trusted gets nothing',
    syslogOptions(strange.port, ''),
    async (cx, t) => {
      await callRefused(cx, 5)
      await until(() => cx.log().includes('sink does not take records'), 'it is refused')
      t.strictSame(strange.rsyslog.lines(), [])
    },
  )
  scenario(
    t,
    'R54: with its root in `ca` it gets all',
    {
      ...syslogOptions(strange.port, 'ca: strangers.pem'),
      files: { 'strangers.pem': strangers.caPem },
    },
    async (cx, t) => {
      await callRefused(cx, 5)
      await compareWritten(t, cx, strange.rsyslog)
    },
  )

  const client = pki.issue({ names: ['sidecar.test'], usage: 'clientAuth' })
  const mutual = await startRsyslog(t, {
    identity: pki.issue({ names: ['log.test'] }),
    clientCa: pki.caPem,
    permitted: ['sidecar.test'],
  })
  scenario(
    t,
    'R54: a receiver that asks for a certificate takes nothing without one',
    syslogOptions(mutual.port, ''),
    async (cx, t) => {
      await callRefused(cx, 5)
      await until(() => cx.log().includes('sink does not take records'), 'it is refused')
      t.strictSame(mutual.rsyslog.lines(), [])
    },
  )
  scenario(
    t,
    'R54: it takes the records of a sidecar that shows its certificate',
    {
      ...syslogOptions(mutual.port, 'clientCert: client.pem, clientKey: client.key.secret'),
      files: { 'client.pem': client.certPem, 'client.key.secret': client.keyPem },
    },
    async (cx, t) => {
      await callRefused(cx, 5)
      await compareWritten(t, cx, mutual.rsyslog)
    },
  )
})
