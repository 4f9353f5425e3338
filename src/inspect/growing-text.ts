// A text that grows piece by piece. Pieces are joined to blocks now and then: one string that grows keeps an object for each of
// its pieces until it is read, and single pieces cost more memory than their text. Called by `canonical.ts` and `model/`.

const BLOCK_PIECES = 256

/** Takes pieces, gives the text. */
export class GrowingText {
  readonly #blocks: string[] = []
  #pieces: string[] = []

  add(piece: string): void {
    this.#pieces.push(piece)
    if (this.#pieces.length < BLOCK_PIECES) return
    this.#blocks.push(this.#pieces.join(''))
    this.#pieces = []
  }

  toString(): string {
    return this.#blocks.join('') + this.#pieces.join('')
  }
}
