// The comprehensions of conditions: `all`, `exists`, `exists_one`, `filter`, `map`. One at a time, over a list of bounded length
// or over the names of a map of ours; an object out of JSON is refused, since whoever sends it could have sent a list. Pure;
// called by `compile.ts`.

import { ITEMS_MAX } from './bounds.ts'
import { faultOf } from './operators.ts'
import type { Evaluate, Run } from './run.ts'
import { Fault, isList, isMap, nameType, OVER, SingleValued, type Value } from './values.ts'

/** A comprehension as it is written. */
export interface Loop {
  readonly over: Evaluate
  readonly predicate: Evaluate
  /** Of `map`. */
  readonly transform?: Evaluate
  /** Nodes that each item costs. */
  readonly stepsPerItem: number
}

/** Comprehensions by name; each stores the item it looks at in the run. */
export const LOOPS: Readonly<Record<string, (loop: Loop) => Evaluate>> = {
  all: (loop) => quantify(loop, false),
  exists: (loop) => quantify(loop, true),
  exists_one:
    ({ over, predicate, stepsPerItem }) =>
    (run) => {
      const items = itemsOf(over(run))
      if (items instanceof Fault) return items
      let count = 0
      for (const item of items) {
        const holds = test(predicate, item, stepsPerItem, run)
        if (holds instanceof Fault) return holds
        if (holds) count += 1
      }
      return count === 1
    },
  filter: (loop) => collect(loop),
  map: (loop) => collect(loop),
}

// An item with an error does not matter where another one decides.
function quantify({ over, predicate, stepsPerItem }: Loop, deciding: boolean): Evaluate {
  return (run) => {
    const items = itemsOf(over(run))
    if (items instanceof Fault) return items
    let fault: Fault | undefined
    for (const item of items) {
      const holds = test(predicate, item, stepsPerItem, run)
      if (holds === deciding) return deciding
      if (holds === OVER) return OVER
      if (holds instanceof Fault) fault ??= holds
    }
    return fault ?? !deciding
  }
}

function collect({ over, predicate, transform, stepsPerItem }: Loop): Evaluate {
  return (run) => {
    const items = itemsOf(over(run))
    if (items instanceof Fault) return items
    const found: Value[] = []
    for (const item of items) {
      const holds = test(predicate, item, stepsPerItem, run)
      if (holds instanceof Fault) return holds
      if (!holds) continue
      const value = transform ? transform(run) : item
      if (value instanceof Fault) return value
      found.push(value)
    }
    return found
  }
}

function test(predicate: Evaluate, item: Value, steps: number, run: Run): boolean | Fault {
  if (!run.spend(steps)) return OVER
  run.item = item
  const holds = predicate(run)
  return typeof holds === 'boolean' ? holds : faultOf(holds)
}

function itemsOf(value: Value): readonly Value[] | Fault {
  if (value instanceof Fault) return value
  const items = listItems(value)
  if (items === undefined) return new Fault(`${nameType(value)} is no list`)
  return items.length > ITEMS_MAX ? new Fault(`more than ${ITEMS_MAX} items`) : items
}

function listItems(value: Value): readonly Value[] | undefined {
  if (isList(value)) return value
  if (isMap(value)) return [...value.keys()]
  return value instanceof SingleValued ? [...value.all.keys()] : undefined
}
