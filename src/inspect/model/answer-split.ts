// Splits the text of an answer, as it arrives in pieces, into the texts of its events or its values of JSON. Deliberately
// ignorant of what they say; one that is too long is left out, so memory is bounded. Called by `answer.ts`.

/** Takes pieces of text and gives whole texts to its sink. */
export interface AnswerSplitter {
  /** Takes the next piece. */
  push(piece: string): void
  /** Gives what stands incomplete at the end, if anything. */
  end(): void
  /** Whether something was left out because it is too long. */
  readonly isCut: boolean
}

// Pieces of one text; they are joined once, since joining at each piece would be quadratic.
class Pieces {
  isOver = false
  readonly #lengthMax: number
  #pieces: string[] = []
  #length = 0

  constructor(lengthMax: number) {
    this.#lengthMax = lengthMax
  }

  get isEmpty(): boolean {
    return this.#length === 0
  }

  add(piece: string): void {
    if (piece === '' || this.isOver) return
    if (this.#length + piece.length > this.#lengthMax) {
      this.isOver = true
      this.#pieces = []
    } else this.#pieces.push(piece)
    this.#length += piece.length
  }

  /** All of them; undefined where they were too long. */
  take(): string | undefined {
    const text = this.isOver ? undefined : this.#pieces.join('')
    this.isOver = false
    this.#pieces = []
    this.#length = 0
    return text
  }
}

/** Splits server-sent events into their data. @see the HTML standard, section 9.2.6 */
export class EventSplitter implements AnswerSplitter {
  isCut = false
  readonly #sink: (data: string) => void
  readonly #line: Pieces
  readonly #data: Pieces
  #endedByReturn = false

  constructor(lengthMax: number, sink: (data: string) => void) {
    this.#sink = sink
    this.#line = new Pieces(lengthMax)
    this.#data = new Pieces(lengthMax)
  }

  push(piece: string): void {
    // A line feed after a carriage return ends nothing more, also where a piece begins with it.
    let at = this.#endedByReturn && piece.startsWith('\n') ? 1 : 0
    if (piece !== '') this.#endedByReturn = piece.endsWith('\r')
    const ends = /\r\n?|\n/g
    ends.lastIndex = at
    for (let end = ends.exec(piece); end !== null; end = ends.exec(piece)) {
      this.#line.add(piece.slice(at, end.index))
      this.#endLine()
      at = ends.lastIndex
    }
    this.#line.add(piece.slice(at))
  }

  end(): void {
    this.#endLine()
    this.#endEvent()
  }

  #endLine(): void {
    if (this.#line.isEmpty) {
      this.#endEvent()
      return
    }
    const line = this.#line.take()
    if (line === undefined) this.isCut = true
    else if (line.startsWith('data:')) {
      if (!this.#data.isEmpty) this.#data.add('\n')
      this.#data.add(line.slice(line[5] === ' ' ? 6 : 5))
    }
  }

  #endEvent(): void {
    if (this.#data.isEmpty) return
    const data = this.#data.take()
    if (data === undefined) this.isCut = true
    else this.#sink(data)
  }
}

const OUTSIDE = /["{}[\]]/g
const INSIDE = /["\\]/g

/** Splits values of JSON that follow each other, one a line or in a list, into their objects. */
export class ValueSplitter implements AnswerSplitter {
  isCut = false
  readonly #sink: (value: string) => void
  readonly #value: Pieces
  #depth = 0
  #isInString = false
  #isEscaped = false

  constructor(lengthMax: number, sink: (value: string) => void) {
    this.#sink = sink
    this.#value = new Pieces(lengthMax)
  }

  push(piece: string): void {
    let start = 0
    let at = 0
    while (at < piece.length) {
      if (this.#isEscaped) {
        this.#isEscaped = false
        at += 1
        continue
      }
      const wanted = this.#isInString ? INSIDE : OUTSIDE
      wanted.lastIndex = at
      const found = wanted.exec(piece)
      if (found === null) break
      at = found.index + 1
      const wasOutside = this.#depth === 0
      this.#step(found[0])
      if (wasOutside && this.#depth > 0) start = found.index
      else if (!wasOutside && this.#depth === 0) {
        this.#value.add(piece.slice(start, at))
        this.#endValue()
        start = at
      }
    }
    if (this.#depth > 0) this.#value.add(piece.slice(start))
  }

  end(): void {
    if (!this.#value.isEmpty) this.#endValue()
  }

  // A list around the objects is not itself a value.
  #step(mark: string): void {
    if (mark === '"') {
      if (this.#depth > 0) this.#isInString = !this.#isInString
    } else if (mark === '\\') this.#isEscaped = true
    else if (mark === '{' || (mark === '[' && this.#depth > 0)) this.#depth += 1
    else if (this.#depth > 0 && mark !== '[') this.#depth -= 1
  }

  #endValue(): void {
    const value = this.#value.take()
    if (value === undefined) this.isCut = true
    else this.#sink(value)
  }
}
