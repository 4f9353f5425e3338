// Counts by name, bounded: strangers choose hosts, tools and models, so that no more than a number of names is kept apart and
// what goes beyond is counted together. Pure. Called by `summary.ts` and by evidence.

/** Counts of one name. */
export type Counts = Record<string, number>

/** One name with its counts. */
interface TallyRow {
  readonly name: string
  readonly counts: Readonly<Counts>
}

/** A table as it was counted. */
export interface TallyTable {
  /** The largest `order` first, then by name. */
  readonly rows: readonly TallyRow[]
  /** What was counted under names beyond the bound; absent where nothing was. */
  readonly others?: Readonly<Counts>
}

/** Names that are kept apart, where nobody says otherwise. */
export const NAMES_MAX = 1000
const NAME_CHARACTERS_MAX = 512

/** A bounded table of counts by name. */
export class Tally {
  readonly #rows: Map<string, Counts> = new Map()
  readonly #namesMax: number
  #others: Counts | undefined

  constructor(namesMax: number = NAMES_MAX) {
    this.#namesMax = namesMax
  }

  /** How many names are kept apart. */
  get size(): number {
    return this.#rows.size
  }

  /** Adds to the counts of a name; what is no finite number counts nothing. */
  add(name: string, counts: Readonly<Record<string, unknown>>): void {
    const key = name.slice(0, NAME_CHARACTERS_MAX)
    let row = this.#rows.get(key)
    if (row === undefined && this.#rows.size < this.#namesMax) {
      row = {}
      this.#rows.set(key, row)
    }
    row ??= this.#others ??= {}
    for (const [column, value] of Object.entries(counts)) {
      const number = countOf(value)
      if (number !== 0) row[column] = (row[column] ?? 0) + number
    }
  }

  /** The table. @param order the column by which it is sorted, the largest first */
  table(order: string): TallyTable {
    const rows = [...this.#rows]
      .map(([name, counts]) => ({ name, counts: { ...counts } }))
      .toSorted(
        (a, b) => (b.counts[order] ?? 0) - (a.counts[order] ?? 0) || (a.name < b.name ? -1 : 1),
      )
    return { rows, ...(this.#others && { others: { ...this.#others } }) }
  }
}

/** A count as a record has it: what is no number of things is none. */
export function countOf(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0
}
