// The syslog sink against a real rsyslogd: what is in its file is what is in the journal, at least once, whatever happens to
// rsyslogd, the way to it and the sidecar. What can be lost is shown as well: what rsyslogd had read and not yet written.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t, { type Test } from 'tap'

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

async function callRefused(cx: Scenario, count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1)
    await cx.raw(request('GET', 'http://nobody.test/', 'nobody.test'))
}

function wanted(cx: Scenario): string[] {
  return cx
    .records()
    .filter(({ event }) => !/^call-(started|progress)$/.test(event.action))
    .map(({ event }) => event.id)
}

const idsOf = (rsyslog: Rsyslog): string[] =>
  rsyslog.lines().map(({ record }) => JSON.parse(record).event.id)

/** Everything arrives in order; what arrives again is the same. */
async function compare(t: Test, cx: Scenario, rsyslog: Rsyslog): Promise<void> {
  await until(() => {
    const arrived = new Set(idsOf(rsyslog))
    return wanted(cx).every((id) => arrived.has(id))
  }, 'all are written')
  const records = new Map(cx.records().map((record) => [record.event.id, record]))
  const ids = idsOf(rsyslog)
  t.strictSame([...new Set(ids)], wanted(cx), 'all, in the order of the journal')
  t.comment(`${ids.length} messages of ${new Set(ids).size} records`)
  for (const { record } of rsyslog.lines()) {
    const read = JSON.parse(record)
    if (JSON.stringify(read) !== JSON.stringify(records.get(read.event.id)))
      t.fail('a record is not what it is in the journal', { record })
  }
}

function makeReceiver(t: Test, options: RsyslogOptions): Rsyslog {
  const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-syslog-'))
  const rsyslog = makeRsyslog(directory, options)
  t.teardown(async () => {
    await rsyslog.program.end('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  })
  return rsyslog
}

void t.test('syslog', { skip: noRsyslog }, async (t) => {
  const port = await freePort()
  const rsyslog = makeReceiver(t, { port, identity: pki.issue({ names: ['log.test'] }) })
  await rsyslog.program.start()
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
      void [sleep, startRelay]
    },
  )
})
