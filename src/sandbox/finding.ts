// What a check of `sallyport doctor` says: what was tried, what happened, what that means, how to mend it. Data only; made by
// the probes beside and by `checks/`, printed by `cli/doctor.ts`.

/** `fail` makes the exit code 1; `warn` is for people to look at. */
export type FindingStatus = 'ok' | 'warn' | 'fail'

/** One outcome. */
export interface Finding {
  /** The family of the check, such as `tcp`. */
  readonly check: string
  readonly status: FindingStatus
  readonly tried: string
  readonly happened: string
  readonly means: string
  /** How to mend it; absent where there is nothing to mend. */
  readonly mend?: string
}

/** Makes the findings of one family. */
export interface Reporter {
  readonly ok: (tried: string, happened: string, means: string) => Finding
  readonly warn: (tried: string, happened: string, means: string, mend: string) => Finding
  readonly fail: (tried: string, happened: string, means: string, mend: string) => Finding
}

/** A reporter for one family. */
export function reporterFor(check: string): Reporter {
  const make =
    (status: FindingStatus) =>
    (tried: string, happened: string, means: string, mend: string): Finding => ({
      check,
      status,
      tried,
      happened,
      means,
      mend,
    })
  return {
    ok: (tried, happened, means) => ({ check, status: 'ok', tried, happened, means }),
    warn: make('warn'),
    fail: make('fail'),
  }
}
