// How much of something each principal may have at once, so that one of them never keeps the others out: of the connections
// that lead to the kill switch least of all. Asked by the routes that take long.

import { ControlError } from '../tasks/control-error.ts'
import type { Principal } from './roles.ts'

/** Shares of one thing. */
export class Shares {
  readonly #what: string
  readonly #eachMax: number
  readonly #taken: Map<string, number> = new Map()

  /** @param what in the plural, for the refusal */
  constructor(what: string, eachMax: number) {
    this.#what = what
    this.#eachMax = eachMax
  }

  /** Takes one. @returns what gives it back, to be called once. @throws ControlError busy where the principal has all of its own */
  take({ name }: Principal): () => void {
    const taken = this.#taken.get(name) ?? 0
    if (taken >= this.#eachMax)
      throw new ControlError(
        'busy',
        `a principal has at most ${this.#eachMax} ${this.#what} at once`,
      )
    this.#taken.set(name, taken + 1)
    return () => this.#giveBack(name)
  }

  #giveBack(name: string): void {
    const left = (this.#taken.get(name) ?? 1) - 1
    if (left > 0) this.#taken.set(name, left)
    else this.#taken.delete(name)
  }
}
