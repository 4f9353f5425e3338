// Tells records that a receiver got once more: delivery is at least once, and a batch that nobody confirmed is sent again.
// Bounded: a record that comes again far behind its first coming counts as a stranger. Pure. Called by what verifies.

/** Records that are remembered: many times what is sent at once. */
const REMEMBERED_MAX = 200_000

/** The records that went by lately. */
export class Repeats {
  readonly #seen: Set<string> = new Set()
  #count = 0

  /** How many came again. */
  get count(): number {
    return this.#count
  }

  /** Whether this very line came before. @param hash of the line */
  isRepeat(hash: string): boolean {
    if (this.#seen.has(hash)) {
      this.#count += 1
      return true
    }
    this.#seen.add(hash)
    if (this.#seen.size > REMEMBERED_MAX)
      for (const oldest of this.#seen) {
        this.#seen.delete(oldest)
        break
      }
    return false
  }
}
