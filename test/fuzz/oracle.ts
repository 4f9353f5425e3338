// What another reader of HTTP/1 is asked and what it answers. Not a test itself; implemented by `llhttp.ts` and `h11.ts`.

/** Bytes to be read. */
export interface Question {
  readonly pieces: readonly Buffer[]
  /** Of the request, where the bytes are a response; undefined where they are requests. */
  readonly method: string | undefined
  /** Whether the connection ends behind them. */
  readonly isEnded: boolean
}

/** One message as the other reader has it; text is latin1. */
export interface Heard {
  readonly start: readonly string[]
  readonly headers: readonly string[]
  readonly body: string
  readonly trailers: readonly string[]
  readonly isWhole: boolean
  /** Bytes behind it; -1 where the reader does not say. */
  readonly left: number
}

/** What the bytes mean to the other reader. */
export interface Hearing {
  readonly messages: readonly Heard[]
  /** In its words, where it refused them. */
  readonly refused?: string
}

/** Another reader. */
export interface Oracle {
  readonly name: 'llhttp' | 'h11'
  /** Answers in order. */
  ask(questions: readonly Question[]): Promise<Hearing[]>
  close(): void
}
