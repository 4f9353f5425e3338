// Whether commits follow from others: each update's new commit is walked to its parents as they become known, in any order,
// until its old one is met. A commit's name is made of its content, so a way that is found is one in every repository.
// Pure; called by `push.ts`.

/** What is to be shown. */
interface Claim {
  readonly before: string
  readonly reached: Set<string>
  /** Whether `before` was met. */
  isShown: boolean
}

/** What is known of how commits follow from each other. */
export class Ancestry {
  readonly #stepsMax: number
  readonly #shallow: ReadonlySet<string>
  readonly #parents = new Map<string, readonly string[]>()
  readonly #claims: Claim[] = []
  readonly #waiting = new Map<string, Claim[]>()
  #open = 0
  #steps = 0

  /**
   * @param shallow commits whose parents count for nothing: a server that believes the client forgets them too
   * @param stepsMax parents that are followed, those of all claims together; beyond, nothing more is shown
   */
  constructor(shallow: ReadonlySet<string>, stepsMax: number) {
    this.#shallow = shallow
    this.#stepsMax = stepsMax
  }

  /** Whether anything is left that a further commit could show. */
  get isOpen(): boolean {
    return this.#open > 0 && this.#steps <= this.#stepsMax
  }

  /** Asks whether `after` follows from `before`; the answer is at hand once commits were added. */
  claim(before: string, after: string): { readonly isShown: boolean } {
    const claim: Claim = { before, reached: new Set(), isShown: false }
    this.#claims.push(claim)
    this.#open += 1
    this.#walk(claim, after)
    return claim
  }

  /** Tells of a commit. */
  add(id: string, parents: readonly string[]): void {
    if (this.#parents.has(id)) return
    this.#parents.set(id, this.#shallow.has(id) ? [] : parents)
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return
    this.#waiting.delete(id)
    for (const claim of waiting) this.#walk(claim, id)
  }

  #walk(claim: Claim, from: string): void {
    const ahead = [from]
    while (!claim.isShown && this.#steps <= this.#stepsMax) {
      const id = ahead.pop()
      if (id === undefined) return
      this.#steps += 1
      if (id === claim.before) {
        claim.isShown = true
        this.#open -= 1
        return
      }
      const parents = this.#parents.get(id)
      if (parents === undefined) {
        this.#wait(claim, id)
        continue
      }
      this.#steps += parents.length
      for (const parent of parents) if (isNew(claim.reached, parent)) ahead.push(parent)
    }
  }

  #wait(claim: Claim, id: string): void {
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) this.#waiting.set(id, [claim])
    else waiting.push(claim)
  }
}

function isNew(reached: Set<string>, id: string): boolean {
  if (reached.has(id)) return false
  reached.add(id)
  return true
}
