// Finds a recorded call or message in a journal by an id, with what its decision hangs on: what was said in it, the rules that
// were in force, the tasks it was of. Streams; holds a bounded part. Called by `explain --call` and by evidence.

import type { RecordBody } from '../body.ts'
import { tailRecords } from '../read/tail.ts'
import { extendDefinition, readDefinition, textsOf, type DefinedTask } from './defined.ts'

/** The rules in force from a record on. */
export interface LoadedAt {
  readonly seq: number
  readonly at: string
  /** `NAME@sha256:…` of every set. */
  readonly sets: readonly string[]
  /** Names of the sets that bind every task. */
  readonly always: readonly string[]
}

/** A call or message and what is around it. */
export interface FoundCall {
  /** Its last record: the terminal one where it is over. */
  readonly record: RecordBody
  /** What its client said in it, in order; of very many the first. None of a message. */
  readonly messages: readonly RecordBody[]
  /** Of a message: the last record of its call; undefined where none is kept. */
  readonly around: RecordBody | undefined
}

const MESSAGES_MAX = 1000
const LOADED_MAX = 1000

/** Finds the last record whose call, message, decision or event has an id; undefined where there is none. */
export async function findCall(dir: string, id: string): Promise<FoundCall | undefined> {
  const found = await findRecord(dir, id)
  const callId = found?.sallyport.call?.id
  if (found === undefined || callId === undefined) return undefined
  let call: RecordBody | undefined
  const messages: RecordBody[] = []
  for await (const { record } of tailRecords(dir, { filter: { all: true }, follow: false })) {
    const { sallyport } = record
    if (sallyport.call?.id !== callId) continue
    if (sallyport.message === undefined) call = isOfCall(record) ? record : call
    else if (sallyport.message.direction === 'to-server' && messages.length < MESSAGES_MAX)
      messages.push(record)
  }
  const isMessage = found.sallyport.message !== undefined
  return isMessage
    ? { record: found, messages: [], around: call }
    : { record: call ?? found, messages, around: undefined }
}

async function findRecord(dir: string, id: string): Promise<RecordBody | undefined> {
  let found: RecordBody | undefined
  for await (const { record } of tailRecords(dir, { filter: { all: true }, follow: false })) {
    const { event, sallyport } = record
    const { call, message, decision } = sallyport
    const isIt = message === undefined ? call?.id === id && isOfCall(record) : message.id === id
    if (isIt || event.id === id || decision?.id === id) found = record
  }
  return found
}

// Alerts name the call that they are about.
function isOfCall({ event }: RecordBody): boolean {
  return event.action.startsWith('call-')
}

/** What a journal says of rules and tasks. */
export interface Circumstances {
  /** The rules that were in force by the time of the record, the latest first. */
  readonly loaded: readonly LoadedAt[]
  /** By task id. */
  readonly tasks: ReadonlyMap<string, DefinedTask>
}

/** Reads what a decision hangs on, up to a record. @param path the task's and those of the tasks above it */
export async function readCircumstances(
  dir: string,
  upToSeq: number,
  path: readonly string[],
): Promise<Circumstances> {
  const loaded: LoadedAt[] = []
  const tasks = new Map<string, DefinedTask>()
  for await (const { record } of tailRecords(dir, { filter: {}, follow: false })) {
    const { event, sallyport } = record
    const { task, detail, chain } = sallyport
    if ((chain?.seq ?? 0) > upToSeq) break
    if (event.action === 'rules-loaded') {
      loaded.unshift(readLoaded(record))
      if (loaded.length > LOADED_MAX) loaded.pop()
    }
    if (task === undefined || !path.includes(task.id)) continue
    const known = tasks.get(task.id)
    const definition =
      readDefinition(detail?.['definition'], task) ?? (known && extendDefinition(known, record))
    if (definition !== undefined) tasks.set(task.id, definition)
  }
  return { loaded, tasks }
}

/** What a `rules-loaded` says. */
export function readLoaded({ '@timestamp': at, sallyport }: RecordBody): LoadedAt {
  const { sets, always } = sallyport.detail ?? {}
  return { seq: sallyport.chain?.seq ?? 0, at, sets: textsOf(sets), always: textsOf(always) }
}
