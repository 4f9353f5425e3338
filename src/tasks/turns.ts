// Work on many tasks in turns of the event loop, so that a thousand of them hold up nobody's call. Called by `registry.ts` and
// `config/task-certificates.ts`.

import { setImmediate as nextTurn } from 'node:timers/promises'

/** How long one turn may take, beyond the item it is at. */
const TURN_MS = 10

/** Works on items one after the other, the first before it returns; resolves after the last. */
export async function inTurns<Item>(
  items: Iterable<Item>,
  work: (item: Item) => void,
): Promise<void> {
  let began = performance.now()
  for (const item of items) {
    if (performance.now() - began > TURN_MS) {
      await nextTurn()
      began = performance.now()
    }
    work(item)
  }
}

/** Cuts a list into pieces of a size. */
export function piecesOf<Item>(items: readonly Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, at) =>
    items.slice(at * size, (at + 1) * size),
  )
}
