// What a reviewer is shown of a call that waits for an answer, and what may be answered. Data only: made by `ledger/holds/` and
// above it, shown by `control/`, answered through it.

/** Where a hold stands. Only `pending` takes an answer, only `approved` lets a call through. */
export const HOLD_STATES = [
  'pending',
  'approved',
  'denied',
  'timed-out',
  'used',
  'withdrawn',
] as const

/** One of the states. */
export type HoldState = (typeof HOLD_STATES)[number]

/** A tool that the held call would call. */
export interface HeldTool {
  readonly name: string
  /** Without secrets, cut where it is large; absent where it has none. */
  readonly arguments?: object
  /** There is more to the arguments than is shown. */
  readonly truncated?: true
}

/** How much of a held call is not shown, as there is too much of it. */
export interface HeldUnshown {
  readonly headers?: number
  readonly tools?: number
}

/** The body of a held call. */
export interface HeldBody {
  readonly bytes: number
  /** Lower-case hex SHA-256 of the bytes. */
  readonly sha256: string
  readonly type?: string
  /** The beginning as text, without secrets; absent where it is no text. */
  readonly preview?: string
  /** There is more than the preview shows. */
  readonly truncated?: true
}

/** The call that is held, written by the sidecar from what it judged: nothing in it is the model's own account of itself. */
export interface HeldRequest {
  readonly kind: 'request' | 'upgrade' | 'tunnel'
  readonly method: string
  readonly scheme: string
  readonly host: string
  readonly port: number
  /** Without secrets; absent of a tunnel. */
  readonly path?: string
  /** Without secrets and `?`. */
  readonly query?: string
  /** Names and values of the fields that would leave, without secrets; a value that is cut ends with `…`. */
  readonly headers?: readonly (readonly [name: string, value: string])[]
  readonly body?: HeldBody
  readonly tools?: readonly HeldTool[]
  /** Absent where all fields and tools are shown. */
  readonly unshown?: HeldUnshown
  /** Name of the credential that would be added. */
  readonly credential?: string
  /** Class of what comes back. */
  readonly data?: string
  readonly regulation?: readonly string[]
}

/** Whose call is held. */
export interface HeldTask {
  readonly id: string
  readonly intent: string
  readonly intentDigest: string
  readonly owner: { readonly name: string; readonly team: string }
  readonly agent: { readonly account: string; readonly instance: string }
  readonly principal?: string
  readonly environment: string
}

/** A hold as it is shown. */
export interface HoldView {
  /** A ULID. */
  readonly id: string
  readonly state: HoldState
  /** `sha256:` over what is approved: see docs/holds.md. */
  readonly digest: string
  readonly task: HeldTask
  readonly rule: { readonly id: string; readonly ruleset: string; readonly version: string }
  readonly request: HeldRequest
  /** Whether who asked for the task, and who owns it, may not answer. */
  readonly separate: boolean
  /** Who may answer; absent: every approver. */
  readonly reviewers?: readonly string[]
  readonly openedAt: string
  /** Beyond it nobody can approve any more. */
  readonly waitsUntil: string
  /** Clients that wait at the moment. */
  readonly waiting: number
  readonly answeredAt?: string
  readonly by?: string
  readonly via?: 'control' | 'webhook'
  readonly reason?: string
  /** Until when an approval lets one call through, or a refusal refuses the same call again. */
  readonly answerUntil?: string
  /** Id of the call that was let through. */
  readonly usedBy?: string
  /** Why it was withdrawn, or what of it timed out. */
  readonly cause?: string
}

/** What a reviewer says. */
export type HoldAnswer = 'approve' | 'deny'

/** Who answers. */
export interface HoldReviewer {
  readonly name: string
  /** Teams that it is limited to; empty: any. */
  readonly teams: readonly string[]
  readonly via: 'control' | 'webhook'
}
