// The time that leases go by: a clock, timers that keep no process alive, and chance, so that many do not come at once. Tests
// hand in their own. Called by `leases.ts` and what it is made of.

/** The clock of leases. */
export interface Timing {
  /** Epoch milliseconds. */
  now(): number
  /** Runs something later. @returns what calls that off */
  after(ms: number, run: () => void): () => void
  /** From 0 to 1, without 1. */
  random(): number
}

// A longer timer of the runtime fires at once.
const TIMER_MS_MAX = 24 * 60 * 60 * 1000

/** The clock of this machine; a timer beyond a day fires after a day: who sets one looks again what is due. */
export const MACHINE_TIMING: Timing = {
  now: Date.now,
  after(ms, run) {
    const timer = setTimeout(run, Math.min(Math.max(0, ms), TIMER_MS_MAX))
    timer.unref()
    return () => clearTimeout(timer)
  },
  random: Math.random,
}

/** Waits until something is over, however it ends, and no longer than so many milliseconds. */
export async function settledWithin(
  ms: number,
  awaited: Promise<unknown>,
  timing: Pick<Timing, 'after'>,
): Promise<void> {
  await new Promise<void>((resolve) => {
    const callOff = timing.after(ms, resolve)
    awaited
      .then(
        () => undefined,
        () => undefined,
      )
      .finally(() => {
        callOff()
        resolve()
      })
  })
}
