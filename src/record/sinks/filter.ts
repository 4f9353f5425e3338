// Which records a sink gets. Pure. Called by `feed.ts`.

import { parseJson } from '../../wire/parse-json.ts'
import type { RecordBody } from '../body.ts'
import { actionOf, ACTION_WITHIN } from '../line.ts'
import { isOfVerdict } from '../usual.ts'

/** What a sink asks for: a record meets every member that is there, a list by any of its own. */
export interface SinkFilter {
  readonly verdict?: 'allow' | 'deny' | 'hold' | undefined
  readonly reason?: readonly string[] | undefined
  /** Ids; the tasks below them are meant as well. */
  readonly task?: readonly string[] | undefined
  /** Lower case; with a leading `*.` every host below it. */
  readonly host?: readonly string[] | undefined
  /** Names of tools that are called, `*` standing for any characters. */
  readonly tool?: readonly string[] | undefined
  /** Ids of rules, or `SET/ID`. */
  readonly rule?: readonly string[] | undefined
  /** `event.action`. */
  readonly action?: readonly string[] | undefined
  /** `event.kind`. */
  readonly kind?: 'event' | 'alert' | undefined
  /** Whether the data that came back is regulated. */
  readonly regulated?: boolean | undefined
}

/** What every sink gets whatever it asks for: others prove by it that nothing is missing. */
const ALWAYS: ReadonlySet<string> = new Set([
  'checkpoint',
  'checkpoint-key',
  'task-sealed',
  'journal-segments-deleted',
  'sink-gap',
])

/** What only a sink gets that asks for all. */
const NOT_TERMINAL: ReadonlySet<string> = new Set(['call-started', 'call-progress'])

type Test = (record: RecordBody) => boolean

/**
 * Makes the test of a line: terminal records and events only unless all are asked for.
 * A sink without a filter costs no `JSON.parse`.
 */
export function lineFilter(all: boolean, filter: SinkFilter = {}): (line: Buffer) => boolean {
  const tests = testsOf(filter)
  return (line) => {
    if (all && tests.length === 0) return true
    const action = actionOf(line.toString('latin1', 0, ACTION_WITHIN)) ?? ''
    if (ALWAYS.has(action)) return true
    if (!all && NOT_TERMINAL.has(action)) return false
    if (tests.length === 0) return true
    const record = readRecord(line)
    // Whether it was wanted nobody can tell any more.
    return record === undefined || tests.every((test) => test(record))
  }
}

/** Whether data is such that no sink may be spared its record: confidential, restricted, or under a regulation. */
export function isRegulatedData(of: {
  readonly data?: string | undefined
  readonly regulation?: readonly string[] | undefined
}): boolean {
  if (of.regulation !== undefined && of.regulation.length > 0) return true
  return of.data === 'confidential' || of.data === 'restricted'
}

const REGULATED_WORDS = ['"regulation":["', '"data":"confidential"', '"data":"restricted"']

/** Whether a line is the record of such data; few lines are parsed for it. */
export function isRegulatedLine(line: Buffer): boolean {
  if (!REGULATED_WORDS.some((word) => line.includes(word))) return false
  const record = readRecord(line)
  return record === undefined || isRegulated(record)
}

/** Reads a line; undefined where the disk has damaged it. */
export function readRecord(line: Buffer): RecordBody | undefined {
  try {
    const record: RecordBody = parseJson(line.toString())
    return record
  } catch {
    return undefined
  }
}

function isRegulated({ sallyport: { decision } }: RecordBody): boolean {
  return decision !== undefined && isRegulatedData(decision)
}

function testsOf(filter: SinkFilter): Test[] {
  const { verdict, reason, task, host, tool, rule, action, kind, regulated } = filter
  const tests: Test[] = []
  if (kind !== undefined) tests.push(({ event }) => event.kind === kind)
  if (action !== undefined) tests.push(({ event }) => action.includes(event.action))
  if (verdict !== undefined) tests.push((record) => isOfVerdict(record, verdict))
  if (reason !== undefined) tests.push(({ event }) => reason.includes(event.reason ?? ''))
  if (task !== undefined)
    tests.push(({ sallyport }) => sallyport.task?.path.some((id) => task.includes(id)) === true)
  if (host !== undefined) tests.push((record) => isHost(record, host))
  if (rule !== undefined) tests.push(({ rule: decided }) => isRule(decided, rule))
  if (tool !== undefined) tests.push(({ gen_ai: ai }) => isTool(ai?.tool?.name, tool))
  if (regulated !== undefined) tests.push((record) => isRegulated(record) === regulated)
  return tests
}

function isHost({ url, destination }: RecordBody, wanted: readonly string[]): boolean {
  const host = url?.domain ?? destination?.domain ?? destination?.ip
  if (host === undefined) return false
  return wanted.some((name) =>
    name.startsWith('*.') ? host.endsWith(name.slice(1)) : host === name,
  )
}

function isRule(decided: RecordBody['rule'], wanted: readonly string[]): boolean {
  if (decided === undefined) return false
  return wanted.includes(decided.id) || wanted.includes(`${decided.ruleset}/${decided.id}`)
}

function isTool(name: string | undefined, wanted: readonly string[]): boolean {
  return name !== undefined && wanted.some((glob) => isMatch(glob.split('*'), name))
}

/** Whether a text begins and ends with the outer parts and holds the others between, in order: linear in the text. */
function isMatch(parts: readonly string[], text: string): boolean {
  const first = parts[0] ?? ''
  const last = parts.at(-1) ?? ''
  if (parts.length === 1) return text === first
  if (!text.startsWith(first) || !text.endsWith(last)) return false
  let at = first.length
  const end = text.length - last.length
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return at <= end
}
