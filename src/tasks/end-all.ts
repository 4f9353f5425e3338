// The endings of many tasks, in turns of the event loop: a thousand that end together hold up nobody's call. All of them
// are refused already when this begins. Called by `registry.ts`.

import { setImmediate as nextTurn } from 'node:timers/promises'

import type { TaskEntry } from './entry.ts'
import { piecesOf } from './turns.ts'
import type { Receipt } from './view.ts'

/** What is done with each. */
export interface EndAllOptions {
  /** Puts them on the disk; undefined where they are there. */
  readonly save: ((entries: readonly TaskEntry[]) => void) | undefined
  /** Told of each once all are on the disk, before its ending begins. */
  readonly onMarked: (entry: TaskEntry) => void
  readonly finish: (entry: TaskEntry) => Promise<Receipt>
}

// What is beyond these goes on in the next turn, after the calls that wait.
const SAVED_A_TURN = 256
const ENDED_A_TURN = 16

/**
 * Ends tasks, those first that others are below. Few are on the disk when this returns; many are so piece by piece: a crash
 * in between leaves no task alive below one that ended, and what a kill switch did not get to is ended at the next start.
 */
export async function endAll(
  entries: readonly TaskEntry[],
  { save, onMarked, finish }: EndAllOptions,
): Promise<void> {
  // Whoever asks for a receipt from here on waits for it.
  const begin = new Map<TaskEntry, () => void>()
  for (const entry of entries) {
    const { promise, resolve } = Promise.withResolvers<void>()
    entry.ending = promise.then(() => finish(entry))
    begin.set(entry, resolve)
  }
  // What takes away is on the disk before anything else: a crash revives nothing.
  for (const [at, piece] of piecesOf(save ? entries : [], SAVED_A_TURN).entries()) {
    if (at > 0) await nextTurn()
    save?.(piece)
  }
  for (const [at, piece] of piecesOf(entries, ENDED_A_TURN).entries()) {
    if (at > 0) await nextTurn()
    for (const entry of piece) {
      onMarked(entry)
      begin.get(entry)?.()
    }
  }
}
