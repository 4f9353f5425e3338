// Whether what a bundle has is all that belongs to it, and vouched for: the beginning and the end of each chain, and the tasks
// that ended with another. Told apart: what is wrong, and what nothing in the bundle can show. Pure. Called by
// `verify-bundle.ts`.

import type { RecordBody } from '../body.ts'
import type { ChainState } from './chains.ts'
import { isObject, type Manifest } from './manifest.ts'

/** What came of it. */
export interface CoverageFound {
  readonly problems: readonly { readonly member: string; readonly what: string }[]
  readonly notes: readonly string[]
}

const CHILDREN_MAX = 100_000

/** Looks for what is not there. */
export class Coverage {
  /** Tasks that a receipt says ended with another. */
  readonly #children: Map<string, string> = new Map()

  /** Takes the next record. */
  add({ event, sallyport: { task, detail } }: RecordBody): void {
    if (event.action !== 'task-receipt' || task === undefined) return
    const receipt = detail?.['receipt']
    const items: unknown = isObject(receipt) ? receipt['items'] : undefined
    if (!Array.isArray(items)) return
    for (const item of items)
      if (
        isObject(item) &&
        item['kind'] === 'child' &&
        typeof item['name'] === 'string' &&
        this.#children.size < CHILDREN_MAX
      )
        this.#children.set(item['name'], task.id)
  }

  /** Says what came of it. @param isPinned whether keys are trusted that are not the bundle's own */
  finish(
    chains: readonly ChainState[],
    { scope, missing }: Manifest,
    isPinned: boolean,
  ): CoverageFound {
    const isOfTask = 'task' in scope
    const problems: { member: string; what: string }[] = []
    const notes: string[] = []
    const told = new Set(missing.map(({ what }) => what))
    for (const { of, from, uncovered, coveredBy } of chains) {
      const beginning = `records 1 to ${String(from - 1)} of ${of}`
      if (from > 1 && isOfTask && !told.has(beginning))
        problems.push({ member: 'records.ndjson', what: `${beginning} are not there` })
      if (coveredBy === undefined && isPinned)
        problems.push({
          member: 'records.ndjson',
          what: `no checkpoint that a given key vouches for covers the records of ${of}`,
        })
      else if (coveredBy === undefined)
        notes.push(`tail-unanchored: no trusted checkpoint covers the records of ${of}`)
      else if (uncovered > 1)
        notes.push(`tail-unanchored: the last ${String(uncovered)} records of ${of}`)
    }
    if (isOfTask)
      for (const [child, parent] of this.missing(chains))
        if (!told.has(`records of ${child}`))
          problems.push({
            member: 'records.ndjson',
            what: `the receipt of ${parent} says that ${child} ended with it, and no record of that is there`,
          })
    return { problems, notes }
  }

  /** Tasks that ended with another and of which no record is there, with the other's id. */
  missing(chains: readonly ChainState[]): (readonly [child: string, parent: string])[] {
    const known = new Set(chains.map(({ of }) => of))
    return [...this.#children].filter(([child]) => !known.has(child))
  }
}
