// What is lost when a real rsyslogd is killed: what it had read and not kept, and nothing else.

import t from 'tap'

import { noRsyslog, type Rsyslog } from '../fixtures/rsyslog.ts'
import { pki, scenario, sleep, until, type Scenario } from '../fixtures/scenario.ts'
import { callRefused, callRefusedWhile, wantedIds } from '../fixtures/sink-records.ts'
import { idsOf, startRsyslog, syslogOptions } from '../fixtures/syslog-sink.ts'

/** Gathering, delivery, and what a busy machine adds: a record that is older than this at a kill was confirmed. */
const WINDOW_MS = 1000

void t.test('rsyslogd killed', { skip: noRsyslog }, async (t) => {
  const killed = await startRsyslog(t, { identity: pki.issue({ names: ['log.test'] }) })
  scenario(
    t,
    'R54: rsyslogd killed outright loses at most what it had read and not written',
    syslogOptions(killed.port, ''),
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
      const due = new Set(wantedIds(cx).slice(0, wantedIds(cx).indexOf(last ?? '') + 1))
      const lost = cx.records().filter(({ event }) => due.has(event.id) && !arrived.has(event.id))
      const beyond = lost.filter(({ '@timestamp': time }) => {
        const at = Date.parse(time)
        return !kills.some((kill) => at <= kill + 50 && at > kill - WINDOW_MS)
      })
      t.comment(`${lost.length} of ${cx.records().length} records lost by 5 kills of rsyslogd`)
      t.strictSame(beyond, [], 'none but those delivered at the moment of a kill')
    },
  )

  // Writes its first batch and then nothing for seconds: what it reads meanwhile is in its queue.
  const slow = 'queue.dequeueSlowdown="5000000"'
  const inMemory = 'queue.type="LinkedList"'
  const onDisk =
    'queue.type="Disk" queue.filename="kept" queue.syncQueueFiles="on" queue.checkpointInterval="1"'
  const forgetful = await startRsyslog(t, { queue: `${inMemory} ${slow}` })
  const careful = await startRsyslog(t, { queue: `${onDisk} ${slow}` })
  /** Kills a rsyslogd that has read records, confirmed them so, and written few. @returns how many never come */
  const killHolding = async (cx: Scenario, rsyslog: Rsyslog, queue: string): Promise<number> => {
    await until(() => idsOf(rsyslog).length > 0, 'the first batch is written')
    await callRefused(cx, 20)
    await until(
      async () => (await cx.metric('sallyport_sink_backlog_records')) === 0,
      'all is read',
    )
    await rsyslog.program.end('SIGKILL')
    rsyslog.setQueue(queue)
    await rsyslog.program.start()
    const before = wantedIds(cx).length
    await callRefused(cx, 1)
    await until(() => wantedIds(cx).length > before, 'it is on record')
    const last = wantedIds(cx).at(-1) ?? ''
    await until(() => idsOf(rsyslog).includes(last), 'what comes later is written')
    const arrived = new Set(idsOf(rsyslog))
    return wantedIds(cx).filter((id) => !arrived.has(id)).length
  }
  scenario(
    t,
    'R54: what rsyslogd has read and keeps in its memory dies with it: no sender can know',
    syslogOptions(forgetful.port),
    async (cx, t) => {
      const lost = await killHolding(cx, forgetful.rsyslog, inMemory)
      t.comment(`${lost} of ${wantedIds(cx).length} records lost`)
      t.ok(lost > 0)
    },
  )
  scenario(
    t,
    'R54: what rsyslogd has read and keeps in a queue on disk outlives it',
    syslogOptions(careful.port),
    async (cx, t) => {
      t.equal(await killHolding(cx, careful.rsyslog, onDisk), 0)
    },
  )
})
