// Proves `sallyport export`: every form, filtered, from the files alone.

import { appendFileSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import type { RecordBody } from '../../../src/record/body.ts'
import { eventRecord } from '../../../src/record/ecs.ts'
import { Journal } from '../../../src/record/journal/journal.ts'
import { FORMATS } from '../../../src/record/project/format.ts'
import { assertAuditLine } from '../../fixtures/agents-net-check.ts'
import { assertCloudEvent } from '../../fixtures/cloudevents-check.ts'
import { assertOtlp } from '../../fixtures/otlp-check.ts'
import { ocsfProblems } from '../../fixtures/ocsf-validator.ts'
import { SAMPLES } from '../record/project/samples.ts'
import { run } from './support.ts'

const silent = (): void => undefined

async function writeJournal(
  dir: string,
  records: readonly RecordBody[] = SAMPLES,
  times = 1,
): Promise<void> {
  const journal = Journal.open({
    dir,
    sync: 'process',
    segmentBytes: 64 * 1024,
    retainMs: 3_600_000,
    maxBytes: 1024 ** 3,
    limits: DEFAULT_LIMITS,
    now: Date.now,
    log: { info: silent, warn: silent, error: silent },
  })
  for (let time = 0; time < times; time += 1)
    for (const record of records) {
      const { chain: _, ...sallyport } = record.sallyport
      await journal.append({ ...record, sallyport })
    }
  await journal.close()
}

function linesOf(out: string): Record<string, unknown>[] {
  return out
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Record<string, unknown> => JSON.parse(line))
}

const isTerminal = (action: unknown): boolean =>
  action !== 'call-started' && action !== 'call-progress'
const TERMINAL = SAMPLES.filter(({ event }) => isTerminal(event.action)).length

void t.test('R57: a journal is exported in every form, over the borders of segments', async (t) => {
  const dir = path.join(t.testdir({}), 'journal')
  await writeJournal(dir, SAMPLES, 3)
  t.ok(readdirSync(dir).filter((name) => name.endsWith('.ndjson')).length > 1)
  const of = async (format: string, ...more: string[]): Promise<Record<string, unknown>[]> => {
    const { code, out, err } = await run(['export', '--format', format, dir, ...more])
    t.strictSame([code, err], [0, ''], format)
    return linesOf(out)
  }
  t.equal((await of('ecs')).length, 3 * TERMINAL)
  t.equal((await of('ecs', '--all')).length, 3 * SAMPLES.length)
  for (const event of await of('ocsf', '--all')) t.strictSame(ocsfProblems(event), [])
  for (const event of await of('cloudevents')) assertCloudEvent(event)
  for (const line of await of('agents-net')) assertAuditLine(line)
  const requests = await of('otlp')
  t.equal(requests.length, Math.ceil((3 * TERMINAL) / 100))
  const records = requests.flatMap(logRecordsOf)
  t.equal(records.length, 3 * TERMINAL)
  records.forEach(assertOtlp)
  t.strictSame([...FORMATS].toSorted(), ['agents-net', 'cloudevents', 'ecs', 'ocsf', 'otlp'])
})

function logRecordsOf(request: Record<string, unknown>): readonly unknown[] {
  const { resourceLogs }: { resourceLogs: { scopeLogs: { logRecords: unknown[] }[] }[] } =
    JSON.parse(JSON.stringify(request))
  return resourceLogs.flatMap(({ scopeLogs }) => scopeLogs.flatMap((scope) => scope.logRecords))
}

void t.test('R57: in its own form a journal is exported byte for byte', async (t) => {
  const dir = path.join(t.testdir({}), 'journal')
  await writeJournal(dir)
  const written = readdirSync(dir)
    .filter((name) => name.endsWith('.ndjson'))
    .toSorted()
    .map((name) => readFileSync(path.join(dir, name), 'utf8'))
    .join('')
  t.equal((await run(['export', '--format', 'ecs', '--all', dir])).out, written)
})

void t.test(
  'R57: where records are from is said as sinks say it, before any checkpoint',
  async (t) => {
    const dir = path.join(t.testdir({}), 'journal')
    const sources = async (): Promise<unknown[]> =>
      linesOf((await run(['export', '--format', 'cloudevents', dir])).out).map(
        ({ source }) => source,
      )
    await writeJournal(dir, [eventRecord('rules-loaded', { now: 0 })])
    t.strictSame(await sources(), ['urn:sallyport:journal'], 'the name of the directory')
    const detail = { journal: '01M8B8Y3JM3HM6YS619JDD6CZR' }
    await writeJournal(dir, [eventRecord('checkpoint-key', { now: 0, detail })])
    const source = `urn:sallyport:${detail.journal}`
    t.strictSame(await sources(), [source, source])
  },
)

void t.test('R57: only what is asked for is exported', async (t) => {
  const home = t.testdir({ 'sallyport.yaml': '' })
  const config = ['--config', path.join(home, 'sallyport.yaml')]
  await writeJournal(path.join(home, 'journal'))
  const stage = 't_01j00000000000000000000001'
  const { out } = await run(['export', '--format', 'ocsf', ...config, '--task', stage])
  t.match(linesOf(out), [{ metadata: { correlation_uid: stage, log_name: 'journal' } }])
  const later = await run(['export', '--format', 'ocsf', ...config, '--since', '2100-01-01'])
  t.match(later, { code: 0, out: '' })
})

void t.test(
  'an export that cannot be is refused, and one with a broken line says so',
  async (t) => {
    const dir = path.join(t.testdir({}), 'journal')
    t.match(await run(['export', dir]), { code: 2, err: /--format/ })
    t.match(await run(['export', '--format', 'xml', dir]), { code: 2, err: /ecs, ocsf, otlp/ })
    t.match(await run(['export', '--format', 'ecs', dir]), {
      code: 2,
      err: /there is no directory/,
    })
    await writeJournal(dir)
    const [segment = ''] = readdirSync(dir).filter((name) => name.endsWith('.ndjson'))
    appendFileSync(path.join(dir, segment), 'no record\n')
    t.match(await run(['export', '--format', 'ocsf', dir]), {
      code: 1,
      out: /"class_uid":4002/,
      err: /left out 1 line that cannot be read/,
    })
  },
)
