// How far each task's own chain has come. What a batch adds counts only once the batch is on the disk. Bounded: of tasks
// whose part is sealed, those that were sealed first are forgotten first; what is recorded of such a task later begins a new
// part. Called by `writer.ts`; what is kept of it in the note and read back is `open-calls.ts`'s and `recovery.ts`'s.

import { CHAIN_START, type ChainPlace } from './chain.ts'

/** How many heads are kept. */
export interface TaskHeadsMax {
  /** Tasks that are not sealed. */
  readonly live: number
  readonly sealed: number
}

/** A task's last record, as it is noted. */
export interface NotedHead {
  readonly task: string
  readonly seq: number
  /** Lower-case hex SHA-256 of its line. */
  readonly hash: string
  readonly isSealed: boolean
}

interface Head {
  readonly task: string
  seq: number
  hash: string
  /** With the records of the batch that is being composed. */
  seqAhead: number
  hashAhead: string
  /** The last action of the batch that moves the head from one table to the other. */
  moves: 'sealed' | 'renewed' | undefined
}

/** The action of the record that closes a task's part. */
export const SEAL_ACTION = 'task-sealed'

/** The heads of one journal's tasks. */
export class TaskHeads {
  readonly #max: TaskHeadsMax
  readonly #live: Map<string, Head> = new Map()
  readonly #sealed: Map<string, Head> = new Map()
  #touched: Head[] = []
  #current: Head | undefined

  constructor(max: TaskHeadsMax, heads: Iterable<NotedHead>) {
    this.#max = max
    for (const { task, seq, hash, isSealed } of heads) {
      const table = isSealed ? this.#sealed : this.#live
      table.set(task, { task, seq, hash, seqAhead: seq, hashAhead: hash, moves: undefined })
    }
    this.#trim()
  }

  /** The place of a task's next record, to be followed by `advance`. */
  next(task: string): ChainPlace {
    const head = this.#live.get(task) ?? this.#sealed.get(task) ?? this.#begin(task)
    this.#current = head
    return { seq: head.seqAhead + 1, prev: head.hashAhead }
  }

  /** Puts the record whose place was asked for last at the head of its task's chain. */
  advance(hash: string, action: string): void {
    const head = this.#current
    if (head === undefined) return
    if (head.seqAhead === head.seq) this.#touched.push(head)
    head.seqAhead += 1
    head.hashAhead = hash
    if (action === SEAL_ACTION) head.moves = 'sealed'
    else if (action === 'task-renewed') head.moves = 'renewed'
  }

  /** Takes over what the batch added. */
  commit(): void {
    for (const head of this.#touched) {
      head.seq = head.seqAhead
      head.hash = head.hashAhead
      if (head.moves !== undefined) this.#move(head)
    }
    this.#touched = []
    this.#trim()
  }

  /** Forgets what the batch would have added. */
  rollBack(): void {
    for (const head of this.#touched) {
      head.seqAhead = head.seq
      head.hashAhead = head.hash
      head.moves = undefined
      if (head.seq === 0) this.#live.delete(head.task)
    }
    this.#touched = []
  }

  /** What is on the disk, in the order in which it would be forgotten. */
  *[Symbol.iterator](): Generator<NotedHead> {
    for (const [table, isSealed] of [
      [this.#sealed, true],
      [this.#live, false],
    ] as const)
      for (const { task, seq, hash } of table.values())
        if (seq > 0) yield { task, seq, hash, isSealed }
  }

  #begin(task: string): Head {
    const head: Head = {
      task,
      seq: 0,
      hash: CHAIN_START,
      seqAhead: 0,
      hashAhead: CHAIN_START,
      moves: undefined,
    }
    this.#live.set(task, head)
    return head
  }

  #move(head: Head): void {
    const [from, to] =
      head.moves === 'sealed' ? [this.#live, this.#sealed] : [this.#sealed, this.#live]
    from.delete(head.task)
    to.set(head.task, head)
    head.moves = undefined
  }

  #trim(): void {
    dropOldest(this.#live, this.#max.live)
    dropOldest(this.#sealed, this.#max.sealed)
  }
}

function dropOldest(table: Map<string, Head>, max: number): void {
  if (table.size <= max) return
  for (const task of table.keys()) {
    if (table.size <= max) return
    table.delete(task)
  }
}
