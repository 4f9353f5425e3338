// What is shown of tasks, of their ends and of the kill switch: plain data, JSON as it is answered, times in ISO 8601 UTC.
// Data only; made by the tasks room, answered by `control/`, read by whoever calls it.

import type { DataClass, TaskState } from './task.ts'

/** Who changes something: a principal of the control API, or the sidecar itself. */
export interface Actor {
  readonly kind: 'principal' | 'sidecar'
  readonly name: string
}

/** What a sandbox is proved by. */
export interface Evidence {
  readonly image?: string | undefined
  readonly selectors?: Readonly<Record<string, string>> | undefined
}

/** How a limit of a task stands. */
export interface LimitUse {
  readonly name: string
  /** The pattern of the tools that it is for; absent: all that the task does. */
  readonly tool?: string
  readonly max: number
  /** By the task and those below it. */
  readonly used: number
}

/** A task as it is shown. */
export interface TaskView {
  readonly id: string
  readonly state: TaskState
  /** Ids from the root task down to this one, this one included. */
  readonly path: readonly string[]
  readonly parent?: string
  readonly children: readonly string[]
  readonly intent: string
  readonly intentDigest: string
  readonly capabilities?: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  readonly owner: { readonly name: string; readonly team: string; readonly source?: 'local' }
  readonly agent: { readonly account: string; readonly instance: string }
  readonly principal?: string
  readonly identity: {
    readonly token: boolean
    readonly subject?: string
    readonly sources: readonly string[]
    readonly socket?: string
    readonly evidence?: string
  }
  readonly sandbox: {
    readonly id: string
    readonly image?: string
    readonly teardown: 'none' | 'due' | 'confirmed' | 'unconfirmed'
  }
  readonly rules: readonly string[]
  readonly params: Readonly<Record<string, string>>
  readonly environment: string
  readonly ceiling: DataClass
  /** The highest class that any task of its tree has read. */
  readonly read: DataClass
  /** What no rule allows passes. */
  readonly observe?: true
  /** Absent where the task has none. */
  readonly limits?: readonly LimitUse[]
  readonly credentials: readonly { readonly name: string; readonly used: boolean }[]
  readonly createdAt: string
  readonly createdBy: string
  /** When it begins, where that is not at once. */
  readonly notBefore?: string
  readonly expiresAt: string
  readonly heartbeatDueAt?: string
  /** Since when it is in its state. */
  readonly since: string
  /** Why it is in its state. */
  readonly cause: string
  /** Who brought it into its state. */
  readonly actor: string
  /** Axes of the delegation that could not be compared. */
  readonly unproven: readonly string[]
  readonly calls: { readonly open: number; readonly allowed: number; readonly denied: number }
  readonly receipt?: Receipt
}

/** One thing that ended with a task. */
export interface ReceiptItem {
  readonly kind:
    | 'calls'
    | 'holds'
    | 'connections'
    | 'listener'
    | 'pool'
    | 'dns'
    | 'tls'
    | 'tools'
    | 'credential'
    | 'child'
    | 'sandbox'
  readonly name: string
  /** Of a minted credential: which of its leases. */
  readonly lease?: string
  readonly outcome: 'ended' | 'none' | 'forgotten' | 'unconfirmed' | 'failed'
  readonly count?: number
  readonly at: string
  readonly detail?: string
  /** Null where no end is known. */
  readonly residualExposureUntil?: string | null
}

/** What the end of a task answers, item by item. */
export interface Receipt {
  readonly task: string
  readonly cause: string
  readonly actor: string
  readonly reason?: string
  readonly startedAt: string
  readonly endedAt: string
  readonly complete: boolean
  readonly items: readonly ReceiptItem[]
  readonly signature: {
    readonly algorithm: 'Ed25519'
    /** The key's JWK thumbprint. */
    readonly key: string
    /** In base64url, over the JSON of the receipt without `signature`. */
    readonly value: string
  }
}

/** What the kill switch can be thrown for. */
export type KillScope = 'host' | 'credential' | 'tool' | 'task' | 'agent' | 'owner' | 'all'

/** One throw of the kill switch. */
export interface Kill {
  readonly id: string
  readonly scope: KillScope
  /** Empty for `all`. */
  readonly value: string
  readonly reason?: string
  readonly by: string
  readonly at: string
}

/** What an agent asks people for. Its words are marked: the rest is the sidecar's. */
export interface RequestView {
  readonly id: string
  readonly task: string
  readonly owner: { readonly name: string; readonly team: string }
  readonly agent: { readonly account: string; readonly instance: string }
  readonly environment: string
  readonly method: string
  /** As the sidecar reads it, without what is secret in it. */
  readonly url: string
  /** What the rules said when it was asked for. */
  readonly verdict: 'allow' | 'deny' | 'hold'
  readonly verdictReason: string
  /** Written by the agent, and nothing more than that: it may be a stranger's words. */
  readonly agentSays: string
  /** `lapsed`: the task was over before anybody answered. */
  readonly state: 'open' | 'granted' | 'refused' | 'lapsed'
  readonly openedAt: string
  readonly closedAt?: string
  readonly closedBy?: string
  /** What whoever closed it has to say. */
  readonly answer?: string
}

/** What let something through beyond the rules and tasks as they were, and waits for a review. */
export interface OverrideView {
  readonly id: string
  /** `task-extended`, `task-widened`, `task-renewed`, `task-observing`, or `observe`: rules that refuse nothing. */
  readonly kind: string
  /** A task's id, or a rule set as `name@version`. */
  readonly about: string
  /** Of the task's owner; absent where it concerns every team. */
  readonly team?: string
  /** Names of the principals who made it; empty: whoever edits the files of the installation. */
  readonly by: readonly string[]
  /** How often it was made since the last review. */
  readonly count: number
  readonly first: string
  readonly last: string
}
