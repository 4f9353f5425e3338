// What each tree of tasks has read, as the highest class of data: every call is a send, and one to a destination that
// accepts less is refused or cut. Kept on the disk before the first byte that raises it is delivered: a restart must not
// make a task forget what it knows. Deliberately decides nothing by itself: the rules are asked with the mark. Asked for every
// call; a call of a tree that has read nothing costs one look into a map.

import path from 'node:path'

import type { Call, Decided, Identified, Received } from '../call.ts'
import { EgressError, type Reason } from '../errors.ts'
import { isAbove } from '../policy/facts.ts'
import { StateLog } from '../tasks/state-log.ts'
import { DATA_CLASSES, type DataClass, type Task } from '../tasks/task.ts'

/** A mark that changed. */
export interface FlowChange {
  /** The root task of the tree. */
  readonly root: string
  readonly before: DataClass
  readonly after: DataClass
  /** How many open calls were cut. */
  readonly cut: number
}

/** What the marks need. */
export interface FlowMarksOptions {
  /** Directory of the state. */
  readonly dir: string
  /** Cuts the open calls that match. @returns how many */
  readonly cut: (matches: (call: Call) => boolean, reason: Reason) => number
  /** Told of every mark that went up, and the call whose answer is about to be delivered. */
  readonly onRaised: (call: Call & Identified, change: FlowChange) => void
}

/** One line of the file; `public` is none. */
interface Mark {
  readonly id: string
  readonly read: DataClass
}

const FILE = 'flow-marks.ndjson'
const NOTHING: DataClass = 'public'
const QUESTIONS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** The marks of all trees of tasks. */
export class FlowMarks {
  readonly #options: FlowMarksOptions
  readonly #log: StateLog<Mark>
  /** By root task; a tree that has read nothing is not there. */
  readonly #marks: Map<string, DataClass> = new Map()
  /** Open calls to a destination below the mark of their tree: what raised it came from there, by root task. */
  readonly #sources: Map<string, Set<Call>> = new Map()

  /** @throws Error where the file cannot be read, or a line of it is not what was written: what was read stays read */
  constructor(options: FlowMarksOptions) {
    this.#options = options
    this.#log = new StateLog(path.join(options.dir, FILE), isMark)
    for (const { id, read } of this.#log.values())
      if (read === NOTHING) this.#log.forget(id)
      else this.#marks.set(id, read)
  }

  /** How many trees have read something. */
  get size(): number {
    return this.#marks.size
  }

  /** The highest class that any task of the tree has read; asks no disk. */
  read(task: Pick<Task, 'path'>): DataClass {
    if (this.#marks.size === 0) return NOTHING
    return this.#marks.get(rootOf(task)) ?? NOTHING
  }

  /** Leaves on a call, for its record, what its tree has read by now. */
  tellRead(call: Call & Identified): void {
    const read = this.read(call.identity.task)
    if (read !== NOTHING) call.read = read
  }

  /**
   * Asks again whether a call may be sent, in the turn in which it is cleared: from here on whatever raises the mark cuts it.
   * @throws EgressError flow-violation
   */
  checkSend(call: Call & Decided): void {
    const read = this.read(call.identity.task)
    if (read === NOTHING) return
    const accepts = acceptedBy(call)
    if (isAbove(read, accepts)) throw new EgressError('flow-violation', { read, accepts })
  }

  /**
   * Takes note that something of an answer is about to be delivered; when it returns, the mark is on the disk, and no other call of
   * the tree is open to a destination that accepts less.
   * @param data class of what is delivered; default: what the call's rules say of it
   * @throws EgressError audit-unavailable: nothing may be delivered
   */
  noteRead(call: Call & Identified, data: DataClass | undefined = dataOf(call)): void {
    if (data === undefined || data === NOTHING) return
    const root = rootOf(call.identity.task)
    const before = this.#marks.get(root) ?? NOTHING
    const isRaised = isAbove(data, before)
    if (isRaised) this.#keep(root, data)
    // A mark that does not go up can still find a source of something else open.
    const cut = isRaised || this.#sources.has(root) ? this.#cutBelow(root, data, call) : 0
    if (isAbove(data, acceptedBy(call))) this.#noteSource(root, call)
    if (isRaised) this.#options.onRaised(call, { root, before, after: data, cut })
  }

  /**
   * Takes note that a request is about to leave: what is more than a question may be answered by another call, such as the
   * stream of a session, and counts as read before.
   * @throws EgressError audit-unavailable: nothing may leave
   */
  noteLeaving(call: Call & Identified & Received): void {
    if (!QUESTIONS.has(call.request.method)) this.noteRead(call)
  }

  /** As `noteRead`, within an answer: false where nothing may be delivered, and the call is cut. */
  noteReadOrCut(call: Call & Identified, data?: DataClass): boolean {
    try {
      this.noteRead(call, data)
      return true
    } catch (error) {
      call.cut(error instanceof EgressError ? error.reason : 'internal')
      return false
    }
  }

  /** Forgets a call that is over. */
  letGo(call: Call): void {
    if (this.#sources.size === 0 || call.task === undefined) return
    const root = rootOf(call.task)
    const sources = this.#sources.get(root)
    if (sources?.delete(call) === true && sources.size === 0) this.#sources.delete(root)
  }

  /**
   * Takes back what a tree has read; open calls that read are cut, as what comes by them would count as unread.
   * @throws Error of the system: nothing has changed then
   */
  reset(root: string): FlowChange {
    const before = this.#marks.get(root) ?? NOTHING
    if (before !== NOTHING) this.#log.append({ id: root, read: NOTHING }, true)
    this.#drop(root)
    const cut = this.#options.cut((call) => isOf(root, call) && isReader(call), 'flow-violation')
    return { root, before, after: NOTHING, cut }
  }

  /** Forgets trees whose root task is not known any more. */
  forgetUnless(isKnown: (root: string) => boolean): void {
    for (const root of this.#marks.keys()) if (!isKnown(root)) this.forget(root)
  }

  /** Forgets a tree with its root task. */
  forget(root: string): void {
    this.#drop(root)
    this.#sources.delete(root)
  }

  /** Closes the file. */
  close(): void {
    this.#log.close()
  }

  #drop(root: string): void {
    this.#marks.delete(root)
    this.#log.forget(root)
  }

  #keep(root: string, read: DataClass): void {
    try {
      this.#log.append({ id: root, read }, true)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      throw new EgressError('audit-unavailable', { file: FILE, why })
    }
    this.#marks.set(root, read)
  }

  #cutBelow(root: string, data: DataClass, source: Call): number {
    return this.#options.cut(
      (call) =>
        call !== source && isOf(root, call) && isSending(call) && isAbove(data, acceptedBy(call)),
      'flow-violation',
    )
  }

  #noteSource(root: string, call: Call): void {
    const sources = this.#sources.get(root)
    if (sources) sources.add(call)
    else this.#sources.set(root, new Set([call]))
  }
}

function rootOf({ path: [root = ''] }: Pick<Task, 'path'>): string {
  return root
}

function isOf(root: string, { task }: Call): boolean {
  return task?.path[0] === root
}

// An inspected tunnel sends nothing by itself: the calls inside it are cut one by one.
function isSending({ decision, tunnelMode }: Call): boolean {
  return decision !== undefined && decision.verdict !== 'deny' && tunnelMode !== 'inspect'
}

function isReader(call: Call): boolean {
  const data = dataOf(call)
  return isSending(call) && data !== undefined && data !== NOTHING
}

function dataOf({ decision }: Call): DataClass | undefined {
  return decision?.obligations.data
}

function acceptedBy({ decision }: Call): DataClass {
  return decision?.obligations.accepts ?? NOTHING
}

function isMark(value: unknown): value is Mark {
  if (typeof value !== 'object' || value === null) return false
  const classes: readonly unknown[] = DATA_CLASSES
  return (
    typeof Reflect.get(value, 'id') === 'string' && classes.includes(Reflect.get(value, 'read'))
  )
}
