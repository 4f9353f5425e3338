// What each task may have open at a time, as the way of a call asks; `listen/open-calls.ts` counts. A type only.

import type { Call } from '../call.ts'
import type { Content } from '../policy/subject.ts'

/** What each task may have open, so that none keeps the others out. */
export interface TaskShares {
  /** @throws busy */
  claim(call: Call): void
  /** Counts bytes that wait in memory; what was read is kept as long as the call is open. @throws busy */
  hold(call: Call, bytes: number, contents?: readonly Content[]): void
  /** Some of them are gone; at the end of the call all are. */
  letGo(call: Call, bytes: number): void
}
