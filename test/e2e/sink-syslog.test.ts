// The syslog sink against a real rsyslogd: what is in its file is what is in the journal, at least once, whatever happens to
// rsyslogd, the way to it and the sidecar. What can be lost is shown as well: what rsyslogd had read and not yet written.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t, { type Test } from 'tap'

import { makePki, type Issued } from '../fixtures/pki.ts'
import { startRelay } from '../fixtures/relay.ts'
import { makeRsyslog, noRsyslog, type Rsyslog, type RsyslogOptions } from '../fixtures/rsyslog.ts'
import {
  freePort,
  pki,
  request,
  ruleSet,
  scenario,
  sleep,
  until,
  type Scenario,
} from '../fixtures/scenario.ts'
import { callRefused, callRefusedWhile, wantedIds } from '../fixtures/sink-records.ts'

const rules = ruleSet("id: other, allow: 'http://other.test:81'")
const options = (
  port: number,
  more = 'insecurePlaintext: true',
  limits = 'sinkTimeoutMs: 500',
): Exclude<Parameters<typeof scenario>[2], () => unknown> => ({
  hosts: ['nobody.test', 'log.test'],
  rules,
  limits,
  config: `sinks: [{ syslog: { address: 'log.test:${port}', ${more} } }]\njournal: { denialsPerTaskPerSecond: 100000 }`,
})

const idsOf = (rsyslog: Rsyslog): string[] =>
  rsyslog.lines().map(({ record }) => JSON.parse(record).event.id)

/** Gathering, delivery, and what a busy machine adds: a record that is older than this at a kill was confirmed. */
const WINDOW_MS = 1000

/** Everything arrives in order; what arrives again is the same. @param isOwn whether the receiver has had one sidecar only */
async function compare(
  t: Test,
  cx: Scenario,
  rsyslog: Rsyslog,
  { isOwn = true }: { readonly isOwn?: boolean } = {},
): Promise<void> {
  await until(() => {
    const arrived = new Set(idsOf(rsyslog))
    return wantedIds(cx).every((id) => arrived.has(id))
  }, 'all are written')
  const records = new Map(cx.records().map((record) => [record.event.id, record]))
  const ids = idsOf(rsyslog).filter((id) => isOwn || records.has(id))
  t.strictSame([...new Set(ids)], wantedIds(cx), 'all, in the order of the journal')
  t.comment(`${ids.length} messages of ${new Set(ids).size} records`)
  for (const { record } of rsyslog.lines()) {
    const read = JSON.parse(record)
    if (!ids.includes(read.event.id)) continue
    if (JSON.stringify(read) !== JSON.stringify(records.get(read.event.id)))
      t.fail('a record is not what it is in the journal', { record })
  }
}

/** From the record to the time that the file was written by: bounded by when the line is first seen. */
function* lagsOf(rsyslog: Rsyslog): Generator<number> {
  for (const { record, received } of rsyslog.lines())
    yield Date.parse(received) - Date.parse(JSON.parse(record)['@timestamp'])
}

async function startReceiver(
  t: Test,
  listening: Omit<RsyslogOptions, 'port'>,
): Promise<{ rsyslog: Rsyslog; port: number }> {
  const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-syslog-'))
  const port = await freePort()
  const rsyslog = makeRsyslog(directory, { port, ...listening })
  t.teardown(async () => {
    await rsyslog.program.end('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  })
  await rsyslog.program.start()
  return { rsyslog, port }
}

void t.test('syslog', { skip: noRsyslog }, async (t) => {
  const { rsyslog, port } = await startReceiver(t, {
    identity: pki.issue({ names: ['log.test'] }),
  })
  scenario(
    t,
    'R54: rsyslogd writes each record by TLS, with its severity, id and place',
    options(port, 'facility: local3'),
    async (cx, t) => {
      await callRefused(cx, 20)
      await compare(t, cx, rsyslog)
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
    options(port, ''),
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
      await compare(t, cx, rsyslog, { isOwn: false })
    },
  )

  const strangers = makePki()
  const strange = await startReceiver(t, { identity: strangers.issue({ names: ['log.test'] }) })
  scenario(
    t,
    'R54: a receiver whose certificate is not trusted gets nothing',
    options(strange.port, ''),
    async (cx, t) => {
      await callRefused(cx, 5)
      await until(() => cx.log().includes('sink does not take records'), 'it is refused')
      t.strictSame(strange.rsyslog.lines(), [])
    },
  )
  scenario(
    t,
    'R54: with its root in `ca` it gets all',
    { ...options(strange.port, 'ca: strangers.pem'), files: { 'strangers.pem': strangers.caPem } },
    async (cx, t) => {
      await callRefused(cx, 5)
      await compare(t, cx, strange.rsyslog)
    },
  )

  const client = pki.issue({ names: ['sidecar.test'], usage: 'clientAuth' })
  const mutual = await startReceiver(t, {
    identity: pki.issue({ names: ['log.test'] }),
    clientCa: pki.caPem,
    permitted: ['sidecar.test'],
  })
  scenario(
    t,
    'R54: a receiver that asks for a certificate takes nothing without one',
    options(mutual.port, ''),
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
      ...options(mutual.port, 'clientCert: client.pem, clientKey: client.key.secret'),
      files: { 'client.pem': client.certPem, 'client.key.secret': client.keyPem },
    },
    async (cx, t) => {
      await callRefused(cx, 5)
      await compare(t, cx, mutual.rsyslog)
    },
  )
})

void t.test('syslog through failures', { skip: noRsyslog }, async (t) => {
  const secure = (): Issued => pki.issue({ names: ['log.test'] })

  const away = await startReceiver(t, { identity: secure() })
  scenario(
    t,
    'R54: rsyslogd that was away gets what it missed, in order',
    options(away.port, ''),
    async (cx, t) => {
      await callRefused(cx, 20)
      await away.rsyslog.program.end('SIGTERM')
      await callRefused(cx, 20)
      await away.rsyslog.program.start()
      await callRefused(cx, 20)
      await compare(t, cx, away.rsyslog)
    },
  )

  const frozen = await startReceiver(t, { identity: secure() })
  scenario(
    t,
    'R54: one that is frozen holds up no call, and gets all once it goes on',
    options(frozen.port, ''),
    async (cx, t) => {
      await callRefused(cx, 5)
      frozen.rsyslog.program.signal('SIGSTOP')
      await callRefused(cx, 40)
      await until(() => cx.log().includes('sink does not take records'), 'it is given up once')
      await callRefused(cx, 5)
      await until(() => cx.terminal().length === 50, 'calls go on')
      frozen.rsyslog.program.signal('SIGCONT')
      await compare(t, cx, frozen.rsyslog)
    },
  )

  const cut = await startReceiver(t, { identity: secure() })
  const relay = await startRelay(cut.port)
  t.teardown(() => relay.close())
  scenario(
    t,
    'R54: a connection that is reset half-way costs no record',
    options(relay.port, ''),
    async (cx, t) => {
      for (const [at, bytes] of [100, 1500, 4000, 9000, 20_000].entries()) {
        relay.cutAfter(bytes)
        await callRefused(cx, 25)
        await until(() => relay.cuts() === at + 1, `a connection is cut after ${bytes} bytes`)
        await compare(t, cx, cut.rsyslog)
      }
    },
  )

  const plain = await startReceiver(t, {})
  const silent = await startRelay(plain.port)
  t.teardown(() => silent.close())
  scenario(
    t,
    'R54: what a sidecar had sent and not seen confirmed when it was killed is sent again, told by its id',
    options(silent.port, 'insecurePlaintext: true', 'sinkTimeoutMs: 20000'),
    async (cx, t) => {
      await callRefused(cx, 10)
      await compare(t, cx, plain.rsyslog)
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
      await compare(t, cx, plain.rsyslog)
      const ids = idsOf(plain.rsyslog)
      t.ok(ids.length > new Set(ids).size, 'some came twice')
    },
  )

  const killed = await startReceiver(t, { identity: secure() })
  scenario(
    t,
    'R54: rsyslogd killed outright loses at most what it had read and not written',
    options(killed.port, ''),
    async (cx, t) => {
      const kills: number[] = []
      for (let round = 0; round < 5; round += 1) {
        await callRefusedWhile(cx, async () => {
          await sleep(250)
          kills.push(Date.now())
          await killed.rsyslog.program.end('SIGKILL')
          await killed.rsyslog.program.start()
        })
      }
      await callRefused(cx, 1)
      const last = wantedIds(cx).at(-1)
      await until(() => idsOf(killed.rsyslog).includes(last ?? ''), 'the last is written')
      const arrived = new Set(idsOf(killed.rsyslog))
      const lost = cx.records().filter(({ event }) => !arrived.has(event.id))
      const beyond = lost.filter(({ '@timestamp': time }) => {
        const at = Date.parse(time)
        return !kills.some((kill) => at <= kill + 50 && at > kill - WINDOW_MS)
      })
      t.comment(`${lost.length} of ${cx.records().length} records lost by 5 kills of rsyslogd`)
      t.strictSame(beyond, [], 'none but those delivered at the moment of a kill')
    },
  )

  const held = 'queue.type="LinkedList" queue.dequeueSlowdown="3000000"'
  const forgetful = await startReceiver(t, { queue: held })
  const onDisk = 'queue.filename="kept" queue.syncQueueFiles="on" queue.checkpointInterval="1"'
  const careful = await startReceiver(t, {
    queue: `${onDisk} ${held.replace('LinkedList', 'Disk')}`,
  })
  /** Kills a rsyslogd that has read records, confirmed them so, and written few. @returns how many never come */
  const killHolding = async (cx: Scenario, rsyslog: Rsyslog): Promise<number> => {
    await callRefused(cx, 20)
    await until(
      async () => (await cx.metric('sallyport_sink_backlog_records')) === 0,
      'all is read',
    )
    await rsyslog.program.end('SIGKILL')
    await rsyslog.program.start()
    await callRefused(cx, 1)
    const last = wantedIds(cx).at(-1) ?? ''
    await until(() => idsOf(rsyslog).includes(last), 'what comes later is written')
    const arrived = new Set(idsOf(rsyslog))
    return wantedIds(cx).filter((id) => !arrived.has(id)).length
  }
  scenario(
    t,
    'R54: what rsyslogd has read and keeps in its memory dies with it: no sender can know',
    options(forgetful.port),
    async (cx, t) => {
      const lost = await killHolding(cx, forgetful.rsyslog)
      t.comment(`${lost} of 23 records lost`)
      t.ok(lost > 0)
    },
  )
  scenario(
    t,
    'R54: what rsyslogd has read and keeps in a queue on disk outlives it',
    options(careful.port),
    async (cx, t) => {
      t.equal(await killHolding(cx, careful.rsyslog), 0)
    },
  )
})
