// Which calls something is made of, in little room: the first few, the last few and their exact number. Pure; called by
// what detects and folds.

const ENDS = 5

/** The first and the last ids of a growing list, and how long it is. */
export class CallSample {
  readonly #first: string[] = []
  readonly #last: string[] = []
  #count = 0

  /** How many there are. */
  get count(): number {
    return this.#count
  }

  /** Counts one. @param id undefined where it has no record of its own */
  add(id: string | undefined): void {
    this.#count += 1
    if (id !== undefined) this.#keep(id)
  }

  /** Counts several of which some are named. */
  addAll(ids: readonly string[], count: number): void {
    this.#count += count
    for (const id of ids) this.#keep(id)
  }

  /** The ids, the earliest first, none twice. */
  ids(): string[] {
    return [...this.#first, ...this.#last]
  }

  #keep(id: string): void {
    if (this.#first.at(-1) === id || this.#last.at(-1) === id) return
    if (this.#first.length < ENDS) {
      this.#first.push(id)
      return
    }
    this.#last.push(id)
    if (this.#last.length > ENDS) this.#last.shift()
  }
}
