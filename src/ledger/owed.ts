// What a call owes of limits, and how it pays: the shapes between the call, which carries them, and this room, which counts.
// Types only.

import type { Quota } from '../policy/decision.ts'

/** What counts as one call against limits: a request, a tunnel, or a message within a call. */
export interface Unit {
  /** Limits of the rules that allow it. */
  readonly quotas: readonly Quota[] | undefined
  /** The tool of MCP that it calls. */
  readonly tool?: string | undefined
  /** Whether the message was refused by itself. */
  readonly isRefused?: boolean
}

/** What a call took of the limits that it counts against. */
export interface QuotaCharge {
  /** Whether bytes towards the upstream count. */
  readonly countsOut: boolean
  /** Whether bytes towards the client count. */
  readonly countsIn: boolean
  /** Takes bytes that are about to leave. @throws quota-exceeded, audit-unavailable: none of them may leave */
  takeOut(bytes: number): void
  /** Takes bytes that came and are about to be passed on. @throws quota-exceeded, audit-unavailable: none of them may be */
  takeIn(bytes: number): void
  /** Takes nothing. @throws quota-exceeded where so many bytes more may not come */
  checkIn(bytes: number): void
  /** The call is over. @param hasLeft false: nothing of it left, and what it took is given back; once, however often called */
  close(hasLeft: boolean): void
}
