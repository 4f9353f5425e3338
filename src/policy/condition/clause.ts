// What a clause of a condition comes to, as `explain` tells it. A value only.

/** A clause and what it comes to. */
export interface Clause {
  readonly clause: string
  /** `true`, `false`, or `error: …`. */
  readonly value: string
}
