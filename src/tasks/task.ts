// What a task is: who acts, for whom, until when, under which rules. Data only; `registry.ts` gives it a life.

/** The states of contract section 4. No state but `active` lets a byte out. */
export type TaskState = 'pending' | 'active' | 'suspended' | 'revoking' | 'ended'

/** Classes of data from harmless to guarded, in order. */
export const DATA_CLASSES = ['public', 'internal', 'confidential', 'restricted'] as const

/** One of the four classes. */
export type DataClass = (typeof DATA_CLASSES)[number]

/** A task as it was defined, complete and validated. */
export interface Task {
  /** `t_` and 26 lower-case characters. */
  readonly id: string
  /** Ids from the root task down to this one, this one included. */
  readonly path: readonly string[]
  readonly intent: string
  /** `sha256:` and 64 hex digits of the intent. */
  readonly intentDigest: string
  readonly owner: { readonly name: string; readonly team: string; readonly source?: 'local' }
  readonly agent: { readonly account: string; readonly instance: string }
  readonly sandbox: { readonly id: string; readonly image?: string }
  /** Names of rule sets, each perhaps pinned as `name@sha256:…`, in the order in which they are asked. */
  readonly rules: readonly string[]
  readonly params: Readonly<Record<string, string>>
  readonly environment: string
  readonly ceiling: DataClass
  /** CIDRs the client's address must be in; empty: any that reaches the listener. */
  readonly sources: readonly string[]
  /** Epoch milliseconds. */
  readonly startsAt: number
  /** Epoch milliseconds; never absent. */
  readonly expiresAt: number
}
