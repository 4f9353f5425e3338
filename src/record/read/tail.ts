// Reads records out of a journal for a person: from the beginning or a time on, filtered, and on as they come, over the
// borders of segments. Reads only, also while a sidecar writes. Called by the CLI's `tail` and `summary`.

import { setTimeout as sleep } from 'node:timers/promises'

import { RE2JS } from 're2js'

import { parseJson } from '../../wire/parse-json.ts'
import type { RecordBody } from '../body.ts'
import { JournalReader, type JournalPlace } from './reader.ts'
import { listSegments } from '../journal/segments.ts'
import { isOfVerdict } from '../usual.ts'

/** Which records are wanted; members left out do not restrict. */
export interface TailFilter {
  /** A task's id; its children count as its own. */
  readonly task?: string
  /** A host, or with a leading `*.` every host below it. */
  readonly host?: string
  readonly verdict?: 'allow' | 'deny' | 'hold'
  readonly reason?: string
  /** The name of a tool that is called, `*` standing for any characters. */
  readonly tool?: string
  /** A rule's id, or `ruleset/id`. */
  readonly rule?: string
  /** A credential's name. */
  readonly credential?: string
  /** Epoch milliseconds. */
  readonly since?: number
  /** Epoch milliseconds; records of that moment are left out. */
  readonly until?: number
  /** Only alerts, detections among them. */
  readonly alerts?: boolean
  /** The name of a detection; `*` stands for any characters. */
  readonly detection?: string
  /** A regular expression (RE2) found anywhere in the record's JSON. */
  readonly grep?: string
  /** Also `call-started` and `call-progress`. */
  readonly all?: boolean
}

/** A record and the line it was read from. */
export interface TailedRecord {
  readonly line: string
  readonly record: RecordBody
}

/** How to read. */
export interface TailOptions {
  readonly filter: TailFilter
  /** Whether to wait for more at the end. */
  readonly follow: boolean
  /** Begin with the last so many of those that are wanted. */
  readonly last?: number
  readonly signal?: AbortSignal
  /** Told of a line that is no record; it is skipped. */
  readonly onBadLine?: (line: string) => void
}

const POLL_MS = 100
const LINES_AT_ONCE = 1000

/**
 * Reads a journal's records in order.
 * @throws Error when `grep` is no regular expression
 */
export async function* tailRecords(
  dir: string,
  options: TailOptions,
): AsyncGenerator<TailedRecord, void, undefined> {
  const { filter, follow, signal } = options
  const accepts = recordFilter(filter)
  const reader = new JournalReader(dir)
  let { place, skip } = await beginning(dir, options, accepts)
  try {
    for (;;) {
      if (signal?.aborted === true) return
      const read = await reader.read(place, LINES_AT_ONCE)
      place = read.place
      for (const bytes of read.lines) {
        const line = bytes.toString()
        const record = parseRecord(line)
        if (record === undefined) options.onBadLine?.(line)
        else if (accepts(record, line) && --skip < 0) yield { line, record }
      }
      if (read.lines.length > 0) continue
      if (!follow) return
      await sleep(POLL_MS, undefined, { signal }).catch(() => undefined)
    }
  } finally {
    await reader.close()
  }
}

/** Reads the latest records of calls and events that are wanted, the newest last. */
export async function latestRecords(
  dir: string,
  limit: number,
  filter: Omit<TailFilter, 'grep'>,
): Promise<RecordBody[]> {
  const accepts = recordFilter(filter)
  let latest: RecordBody[] = []
  for (const { firstSeq } of listSegments(dir).toReversed()) {
    const found: RecordBody[] = []
    for await (const { record } of segmentRecords(dir, firstSeq)) {
      if (!accepts(record, '')) continue
      found.push(record)
      // A segment may hold a hundred thousand.
      if (found.length >= 2 * limit) found.splice(0, found.length - limit)
    }
    latest = [...found, ...latest].slice(-limit)
    if (latest.length === limit) break
  }
  return latest
}

async function* segmentRecords(dir: string, firstSeq: number): AsyncGenerator<TailedRecord> {
  const reader = new JournalReader(dir)
  let place: JournalPlace = { firstSeq, offset: 0 }
  try {
    for (;;) {
      const read = await reader.read(place, LINES_AT_ONCE)
      if (read.lines.length === 0 || read.place.firstSeq !== firstSeq) return
      place = read.place
      for (const bytes of read.lines) {
        const line = bytes.toString()
        const record = parseRecord(line)
        if (record !== undefined) yield { line, record }
      }
    }
  } finally {
    await reader.close()
  }
}

/** Makes the test of a record; `line` is its JSON. @throws Error when `grep` is no regular expression */
function recordFilter(filter: TailFilter): (record: RecordBody, line: string) => boolean {
  const grep = filter.grep === undefined ? undefined : RE2JS.compile(filter.grep)
  const tool = filter.tool === undefined ? undefined : namePattern(filter.tool)
  const detection = filter.detection === undefined ? undefined : namePattern(filter.detection)
  return (record, line) =>
    (filter.all === true || isTerminal(record)) &&
    (filter.since === undefined || Date.parse(record['@timestamp']) >= filter.since) &&
    (filter.until === undefined || Date.parse(record['@timestamp']) < filter.until) &&
    (filter.alerts !== true || record.event.kind === 'alert') &&
    (detection === undefined || isNamed(record.sallyport.detection?.name, detection)) &&
    isOfCall(record, filter) &&
    (tool === undefined || isNamed(record.gen_ai?.tool?.name, tool)) &&
    (grep === undefined || grep.matcher(line).find())
}

// A glob as an expression that takes linear time, whatever is written.
function namePattern(glob: string): RE2JS {
  const parts = glob.split('*').map((part) => RE2JS.quote(part))
  return RE2JS.compile(parts.join('.*'), RE2JS.DOTALL)
}

function isNamed(name: string | undefined, wanted: RE2JS): boolean {
  return name !== undefined && wanted.matches(name)
}

function isTerminal({ event }: RecordBody): boolean {
  return event.action !== 'call-started' && event.action !== 'call-progress'
}

function isOfCall(record: RecordBody, filter: TailFilter): boolean {
  const { task, host, verdict, reason, rule, credential } = filter
  const { event, sallyport } = record
  const ruleName = record.rule && `${record.rule.ruleset}/${record.rule.id}`
  const place = record.destination?.domain ?? record.destination?.ip
  return (
    (task === undefined || sallyport.task?.path.includes(task) === true) &&
    (host === undefined || isHost(place, host.toLowerCase())) &&
    (verdict === undefined || isOfVerdict(record, verdict)) &&
    (reason === undefined || event.reason === reason) &&
    (rule === undefined || record.rule?.id === rule || ruleName === rule) &&
    (credential === undefined || sallyport.credential?.name === credential)
  )
}

function isHost(host: string | undefined, wanted: string): boolean {
  if (wanted.startsWith('*.')) return host?.endsWith(wanted.slice(1)) === true
  return host === wanted
}

/** What is said is kept to a depth of 128, and stands a few levels deep. */
const NESTING_MAX = 256

/** Reads a line of a journal; undefined where it is no record. */
export function parseRecord(line: string): RecordBody | undefined {
  try {
    const value: Partial<RecordBody> | null = parseJson(line)
    return value !== null && isRecord(value) && !isTooDeep(value, line) ? value : undefined
  } catch {
    return undefined
  }
}

function isRecord(value: Partial<RecordBody>): value is RecordBody {
  return (
    typeof value['@timestamp'] === 'string' &&
    typeof value.event?.action === 'string' &&
    typeof value.sallyport === 'object' &&
    value.sallyport !== null &&
    value.sallyport.call !== null &&
    value.sallyport.task !== null
  )
}

// Deeper than any record that is written: who shows or writes one again goes down by calling itself.
function isTooDeep(value: unknown, line: string): boolean {
  if (line.split(/[[{]/, NESTING_MAX + 1).length <= NESTING_MAX) return false
  let level: unknown[] = [value]
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > NESTING_MAX) return true
    level = level.flatMap((one) =>
      typeof one === 'object' && one !== null ? Object.values(one) : [],
    )
  }
  return false
}

/** Where to begin, and how many of the wanted records from there on are older than those asked for. */
async function beginning(
  dir: string,
  { filter, last }: Pick<TailOptions, 'filter' | 'last'>,
  accepts: (record: RecordBody, line: string) => boolean,
): Promise<{ readonly place: JournalPlace; skip: number }> {
  const first = firstPlace(dir, filter.since)
  if (last === undefined) return { place: first, skip: 0 }
  let found = 0
  for (const { firstSeq } of listSegments(dir).toReversed()) {
    if (firstSeq < first.firstSeq) break
    for await (const { record, line } of segmentRecords(dir, firstSeq))
      if (accepts(record, line)) found += 1
    if (found >= last) return { place: { firstSeq, offset: 0 }, skip: found - last }
  }
  return { place: first, skip: 0 }
}

/** Segments whose last write is older than asked for need not be read; an empty journal begins with its first record. */
function firstPlace(dir: string, since: number | undefined): JournalPlace {
  const segments = listSegments(dir)
  const wanted = segments.find(({ writtenAt }) => since === undefined || writtenAt >= since)
  return { firstSeq: (wanted ?? segments.at(-1))?.firstSeq ?? 1, offset: 0 }
}
