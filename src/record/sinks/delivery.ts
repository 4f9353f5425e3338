// What passes between a feed, which reads the journal and keeps the cursor, and a receiver's protocol, which delivers.
// Implemented by `http.ts`, `stdout.ts` and their like; driven by `feed.ts`.

/** A record on its way to a sink. */
export interface SinkRecord {
  /** The journal's line, without its newline. */
  readonly line: Buffer
  readonly seq: number
  /** `event.id`: the same each time it is delivered. */
  readonly id: string
}

/** A record that a receiver has said, by itself, that it will never take. */
export interface RefusedRecord {
  readonly id: string
  readonly seq: number
  /** The receiver's words, shortened; never what an operator configured. */
  readonly detail: string
}

/** What became of one delivery. */
export type Delivery =
  /** All are with the receiver, durably as far as its protocol tells, but those that it will never take. */
  | {
      readonly outcome: 'taken'
      readonly refused?: readonly RefusedRecord[]
      /** Further ones that it will never take, where its protocol does not say which; `detail` has its words. */
      readonly refusedCount?: number
      readonly detail?: string
    }
  /** Tried again soon: all, or only those that are left, after the receiver's own wish where it has one. */
  | {
      readonly outcome: 'later'
      readonly left?: readonly SinkRecord[]
      readonly refused?: readonly RefusedRecord[]
      readonly refusedCount?: number
      readonly afterMs?: number
      readonly detail?: string
    }
  /** The receiver refuses the delivery as wrong (a wrong token, a wrong path): tried again slowly, never given up. */
  | { readonly outcome: 'refused'; readonly detail?: string }
  /** Too large: tried again in smaller pieces. */
  | { readonly outcome: 'smaller' }

/** Hands records, in order, to a receiver; an error counts as `later`. The signal ends the attempt. */
export interface Deliver {
  (records: readonly SinkRecord[], signal: AbortSignal): Promise<Delivery>
}

/** Records as NDJSON, each with its newline. */
export function joinLines(records: readonly SinkRecord[]): Buffer {
  let bytes = 0
  for (const { line } of records) bytes += line.length + 1
  const joined = Buffer.allocUnsafe(bytes)
  let at = 0
  for (const { line } of records) {
    at += line.copy(joined, at)
    joined[at++] = 0x0a
  }
  return joined
}
