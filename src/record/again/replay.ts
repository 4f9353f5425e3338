// What recorded calls and messages come to under other rules than theirs: counted in groups, with examples, in bounded memory
// however many there are. Deliberately does not decide and prints nothing. Pure. Called by `cli/replay.ts`.

import type { RecordBody } from '../body.ts'
import { isSameOutcome, recordedOutcome, type DecidedAgain, type Outcome } from './decide.ts'

/** A recorded decision as an example of its group. */
interface ReplayExample {
  /** The id of the call or message, as `explain --call` takes it. */
  readonly id: string
  readonly at: string
  /** `METHOD URL`, or what the message asks for; bytes of the sandbox. */
  readonly what: string
}

/** Decisions that changed in one way, or cannot be told for one reason. */
export interface ReplayGroup {
  readonly count: number
  readonly host: string
  /** As it was recorded. */
  readonly from: ReplaySide
  /** Undefined where a record does not tell it. */
  readonly to?: ReplaySide
  /** What a record does not have. */
  readonly missing?: readonly string[]
  readonly examples: readonly ReplayExample[]
}

/** What a decision says, in one word and why. */
export interface ReplaySide {
  /** `observe`: it passes, and is on record as what would be denied. */
  readonly verdict: 'allow' | 'observe' | 'deny' | 'hold'
  readonly reason: string
  /** `RULESET/ID`; absent where no rule decided. */
  readonly rule?: string
}

/** What a replay comes to. */
export interface ReplayReport {
  /** Decisions that were made again, those that a record cannot tell among them. */
  readonly decisions: number
  readonly same: number
  /** Another verdict. */
  readonly changed: number
  /** The same verdict by another rule or for another reason. */
  readonly otherwise: number
  readonly unrecorded: number
  /** Refused before, or beside, any rule. */
  readonly aside: number
  readonly changes: readonly ReplayGroup[]
  readonly others: readonly ReplayGroup[]
  readonly untold: readonly ReplayGroup[]
  /** Groups beyond those that are listed, of all three kinds together. */
  readonly groupsLeftOut: number
}

const GROUPS_MAX = 1000
const EXAMPLES_MAX = 3
const WHAT_CHARACTERS_MAX = 256

interface Counted {
  count: number
  readonly group: Omit<ReplayGroup, 'count' | 'examples'>
  readonly examples: ReplayExample[]
}

/** Counts decisions as they are made again. */
export class ReplayCount {
  #same = 0
  #changed = 0
  #otherwise = 0
  #unrecorded = 0
  #aside = 0
  readonly #changes = new Groups()
  readonly #others = new Groups()
  readonly #untold = new Groups()

  /** Takes a decision that was made again; of a record without one nothing is counted. */
  add(record: RecordBody, again: DecidedAgain): void {
    const recorded = recordedOutcome(record)
    if (again.aside !== undefined || recorded === undefined) this.#aside += 1
    else if (again.outcome === undefined) this.addUntold(record, again.missing)
    else if (isSameOutcome(recorded, again.outcome, 'whatever-version')) this.#same += 1
    else this.#compare(record, sideOf(recorded), sideOf(again.outcome))
  }

  /** Takes a call that was refused before any rule was asked. */
  addAside(): void {
    this.#aside += 1
  }

  /** Takes one that a record does not tell. */
  addUntold(record: RecordBody, missing: readonly string[]): void {
    const recorded = recordedOutcome(record)
    if (recorded === undefined) return
    this.#unrecorded += 1
    this.#untold.add(record, { host: hostOf(record), from: sideOf(recorded), missing })
  }

  /** Takes decisions of which records have nothing but their number. */
  addCounted(record: RecordBody, count: number, missing: string): void {
    this.#unrecorded += count
    const denied = record.event.action.includes('denied')
    const from: ReplaySide = {
      verdict: denied ? 'deny' : 'allow',
      reason: record.event.reason ?? 'allowed',
    }
    this.#untold.add(record, { host: hostOf(record), from, missing: [missing] }, count)
  }

  /** What it has come to so far. */
  report(): ReplayReport {
    const kinds = [this.#changes, this.#others, this.#untold]
    return {
      decisions: this.#same + this.#changed + this.#otherwise + this.#unrecorded,
      same: this.#same,
      changed: this.#changed,
      otherwise: this.#otherwise,
      unrecorded: this.#unrecorded,
      aside: this.#aside,
      changes: this.#changes.list(),
      others: this.#others.list(),
      untold: this.#untold.list(),
      groupsLeftOut: kinds.reduce((sum, { leftOut }) => sum + leftOut, 0),
    }
  }

  #compare(record: RecordBody, from: ReplaySide, to: ReplaySide): void {
    const isChange = passes(from) !== passes(to) || isHeld(from) !== isHeld(to)
    if (isChange) this.#changed += 1
    else this.#otherwise += 1
    const groups = isChange ? this.#changes : this.#others
    groups.add(record, { host: hostOf(record), from, to })
  }
}

/** Groups in the order of their size. */
class Groups {
  readonly #groups: Map<string, Counted> = new Map()
  leftOut = 0

  add(record: RecordBody, group: Counted['group'], count = 1): void {
    const key = JSON.stringify([group.from, group.to, group.missing, group.host])
    let counted = this.#groups.get(key)
    if (counted === undefined) {
      if (this.#groups.size >= GROUPS_MAX) {
        this.leftOut += 1
        return
      }
      counted = { count: 0, group, examples: [] }
      this.#groups.set(key, counted)
    }
    counted.count += count
    if (counted.examples.length < EXAMPLES_MAX) counted.examples.push(exampleOf(record))
  }

  list(): ReplayGroup[] {
    return [...this.#groups.values()]
      .toSorted((one, other) => other.count - one.count)
      .map(({ count, group, examples }) => ({ count, ...group, examples }))
  }
}

function sideOf({ verdict, reason, rule, wouldDeny }: Outcome): ReplaySide {
  const named = rule === undefined ? {} : { rule: rule.name }
  return verdict === 'allow' && wouldDeny !== undefined
    ? { verdict: 'observe', reason: wouldDeny, ...named }
    : { verdict, reason, ...named }
}

function passes({ verdict }: ReplaySide): boolean {
  return verdict === 'allow' || verdict === 'observe'
}

function isHeld({ verdict }: ReplaySide): boolean {
  return verdict === 'hold'
}

function hostOf({ url, destination }: RecordBody): string {
  return url?.domain ?? destination?.domain ?? destination?.ip ?? ''
}

function exampleOf(record: RecordBody): ReplayExample {
  const { event, http, url, mcp, gen_ai: named, sallyport } = record
  const { message, call } = sallyport
  const name = named?.tool?.name ?? mcp?.resource?.uri ?? named?.prompt?.name
  const asked =
    message === undefined
      ? (http?.request.method ?? (call?.kind === 'tunnel' ? 'CONNECT' : undefined))
      : (mcp?.method?.name ?? message.kind)
  const what = [asked, name, url?.full].filter((part) => part !== undefined).join(' ')
  return {
    id: message?.id ?? call?.id ?? event.id,
    at: record['@timestamp'],
    what: what.slice(0, WHAT_CHARACTERS_MAX),
  }
}
