// What a task is: who acts, for whom, until when, under which rules. Data only; `registry.ts` gives it a life.

/** The states of contract section 4. No state but `active` lets a byte out. */
export type TaskState = 'pending' | 'active' | 'suspended' | 'revoking' | 'ended'

/** Classes of data from harmless to guarded, in order. */
export const DATA_CLASSES = ['public', 'internal', 'confidential', 'restricted'] as const

/** One of the four classes. */
export type DataClass = (typeof DATA_CLASSES)[number]

/** One task above another: it asked for the one below. */
export interface Delegation {
  readonly task: string
  readonly agent: string
  readonly instance: string
  readonly owner: string
  /** `sha256:` of what it was asked to do. */
  readonly intent: string
}

/** What proves a task: the configuration itself, a token, a listener of its own, a workload identity. */
export type TaskProof = 'configuration' | 'token' | 'listener' | 'subject'

/** What is revoked together with a task. */
export interface Sandbox {
  readonly id: string
  /** `sha256:` of the image it was started from. */
  readonly image?: string
  /** The process that is the sandbox, as the sidecar sees it: the task ends when it does. */
  readonly pid?: number
  /** Other tasks may run in it at the same time. */
  readonly shared?: boolean
  readonly hooks?: {
    /** Name of the configured hook that ends it. */
    readonly end?: string
  }
}

/** How much something may do; what is absent is not bounded by it. */
export interface CallLimits {
  /** Within any 60 seconds. */
  readonly callsPerMinute?: number | undefined
  readonly callsPerHour?: number | undefined
  readonly callsPerDay?: number | undefined
  /** Under way at once. */
  readonly concurrentCalls?: number | undefined
  /** In all. */
  readonly calls?: number | undefined
  /** Bytes towards upstreams in all: heads of requests as they came, bodies, tunnels. */
  readonly bytesOut?: number | undefined
  /** Bytes from upstreams in all: bodies of responses, tunnels. */
  readonly bytesIn?: number | undefined
}

/** How much a task may do, whatever its rules allow; those below it count with it. */
export interface TaskLimits extends CallLimits {
  /** By the names of tools, `*` any characters: all that match count together. */
  readonly tools?: Readonly<Record<string, CallLimits>> | undefined
  /** Refused calls within `limits.denialsSuspendMs` that suspend it, where fewer than `limits.denialsSuspendMax`. */
  readonly denials?: number | undefined
}

/** A task as it was defined, complete and validated. */
export interface Task {
  /** `t_` and 26 lower-case characters. */
  readonly id: string
  /** Ids from the root task down to this one, this one included. */
  readonly path: readonly string[]
  /** Who asked whom, from the root task down to the parent; absent on a root task. */
  readonly delegation?: readonly Delegation[]
  readonly intent: string
  /** `sha256:` and 64 hex digits of the intent, and of capabilities and labels where there are any. */
  readonly intentDigest: string
  /** What it declares it will do, in words for machines; absent where it declares none. */
  readonly capabilities?: readonly string[]
  /** Texts by name, for conditions of rules; absent where there are none. */
  readonly labels?: Readonly<Record<string, string>>
  readonly owner: {
    readonly name: string
    readonly team: string
    /** Where its name is from: `local` where it is the operating system's user; absent: from a definition. */
    readonly source?: 'local'
  }
  readonly agent: { readonly account: string; readonly instance: string }
  /** The person on whose behalf the agent acts; absent: it acts on its own. */
  readonly principal?: string
  readonly sandbox: Sandbox
  /** Names of rule sets, each perhaps pinned as `name@sha256:…`, in the order in which they are asked. */
  readonly rules: readonly string[]
  readonly params: Readonly<Record<string, string>>
  readonly environment: string
  readonly ceiling: DataClass
  /** What no rule allows passes, and is recorded as what would have been denied; absent: it does not. */
  readonly observe?: true
  readonly limits?: TaskLimits
  /** CIDRs the client's address must be in; empty: any that reaches the listener. */
  readonly sources: readonly string[]
  /** What a workload token or certificate must name. */
  readonly subject?: string
  /** Each of them is enough; absent on tasks that were kept before records told it. */
  readonly proofs?: readonly TaskProof[]
  /** `sha256:` of the evidence that was accepted before it became active. */
  readonly evidence?: string
  /** When it was made, epoch milliseconds. */
  readonly startsAt: number
  /** When it begins, epoch milliseconds; absent: at once. */
  readonly notBefore?: number
  /** Epoch milliseconds; never absent. */
  readonly expiresAt: number
}

/** A task as it stands now. */
export interface TaskStanding {
  readonly task: Task
  readonly state: TaskState
}
