// What is wrong with a rule file, or worth a second look, and where. A value only; made by `parse.ts`, `compile.ts` and
// `check.ts`, printed by the commands.

/** Something a person should mend in a file. */
export interface Problem {
  readonly file: string
  /** Counts from 1. */
  readonly line: number
  /** Counts from 1. */
  readonly column: number
  readonly severity: 'error' | 'warning'
  /** Half a sentence, lower case, without a full stop. */
  readonly message: string
  /** How to mend it, where that can be said. */
  readonly hint?: string
  /** Stable, `[a-z-]+`: what scripts and suppressions name. */
  readonly code: string
}

/** A problem whose place is yet to be added. */
export type Finding = Pick<Problem, 'severity' | 'message' | 'code'> & { readonly hint?: string }
