// What the control API asks of the rest of the sidecar, as interfaces: it never imports the data path. `sidecar.ts` hands
// the parts in.

import type { HoldAnswer, HoldReviewer, HoldView } from '../tasks/hold-view.ts'
import type { TaskState } from '../tasks/task.ts'
import type { IntentExtension } from '../tasks/intent.ts'
import type { TaskDefinition } from '../tasks/schema.ts'
import type {
  Actor,
  Evidence,
  Kill,
  KillScope,
  OverrideView,
  Receipt,
  RequestView,
  TaskView,
} from '../tasks/view.ts'

/** The tasks; every method throws ControlError where it refuses. */
export interface TaskDesk {
  /** @param key the Idempotency-Key: the same definition under the same key is the same task */
  create(
    definition: TaskDefinition,
    actor: Actor,
    key: string | undefined,
  ): { readonly task: TaskView; readonly token: string | undefined; readonly created: boolean }
  /** All of them, the newest first; each is looked at when it is asked for. */
  list(): Iterable<TaskView>
  show(id: string): TaskView | undefined
  extend(id: string, lifetimeMs: number, actor: Actor, evidence?: Evidence): TaskView
  extendIntent(id: string, extension: IntentExtension, actor: Actor): TaskView
  suspend(id: string, actor: Actor, reason: string | undefined): TaskView
  resume(id: string, actor: Actor, reason: string | undefined): TaskView
  heartbeat(id: string, actor: Actor): TaskView
  attest(id: string, evidence: Evidence, actor: Actor): TaskView
  revoke(id: string, actor: Actor, reason: string | undefined): Promise<Receipt>
}

/** The kill switch. */
export interface KillDesk {
  /** Ends what matches, refuses what comes; resolves when all of it has ended. `value` is empty for `all`. */
  kill(
    scope: KillScope,
    value: string,
    actor: Actor,
    reason: string | undefined,
  ): Promise<{ readonly kill: Kill; readonly ended: readonly string[]; readonly cut: number }>
  list(): readonly Kill[]
  lift(id: string, actor: Actor): Kill | undefined
}

/** Owners who left: their tasks are suspended and they get no new ones, until enabled again. */
export interface OwnerDesk {
  disable(owner: string, actor: Actor): { readonly suspended: readonly string[] }
  enable(owner: string, actor: Actor): void
  disabled(): readonly string[]
}

/** What lets something through beyond the rules, until somebody else has looked at it. */
interface OverrideDesk {
  /** Those that wait, the oldest first. */
  list(): readonly OverrideView[]
  /** @throws ControlError not-found; principal-not-allowed where it is the reviewer's own */
  review(id: string, actor: Actor): OverrideView
}

/** Calls that wait for a person. */
interface HoldDesk {
  /** All that are kept, those opened first first. */
  list(): readonly HoldView[]
  show(id: string): HoldView | undefined
  /** Whether somebody, once it is an approver, may answer for a hold. */
  mayAnswer(id: string, reviewer: Pick<HoldReviewer, 'name' | 'teams'>): boolean
  /** @throws ControlError not-found, principal-not-allowed, conflict, audit-unavailable */
  answer(id: string, answer: HoldAnswer, by: HoldReviewer, reason: string | undefined): HoldView
}

/** Answers for held calls that prove themselves by a signature. */
export interface SignedAnswers {
  /**
   * @param fields by name in lower case
   * @throws ControlError principal-unknown where nobody signed it; not-found, principal-not-allowed, conflict
   */
  take(fields: Readonly<Record<string, string | undefined>>, id: string, body: string): HoldView
}

/** What trees of tasks have read. */
interface FlowDesk {
  /** Takes back what the tree of a task has read. @throws ControlError */
  reset(id: string, actor: Actor, reason: string): TaskView
}

/** What agents ask people for. */
interface RequestDesk {
  /** Those of tasks that are not over, the oldest first. */
  list(): readonly RequestView[]
  /** @throws ControlError not-found; conflict where it is closed */
  close(
    id: string,
    answer: 'granted' | 'refused',
    reason: string | undefined,
    actor: Actor,
  ): RequestView
}

/** What a task's sandbox is given. */
export interface TaskEnvironment {
  /** The proxy URL; undefined where only a socket leads to it. */
  readonly proxy: string | undefined
  readonly socket?: string
  readonly env: Readonly<Record<string, string>>
}

/** One rule set as it is shown. */
export interface RuleSetView {
  readonly name: string
  readonly version: string
  readonly description?: string
  readonly owner?: string
  /** Who may be given the set; absent: anyone. */
  readonly for?: { readonly teams: readonly string[] }
}

/** The text of a rule set, as it is or was in force. */
export interface RuleSetText extends RuleSetView {
  readonly inForce: boolean
  /** With the groups of other files that it uses; its digest is the version. */
  readonly text: string
}

/** What a reload of the rules found. */
export interface RulesReload {
  readonly inForce: boolean
  readonly problems: readonly {
    readonly file: string
    readonly line: number
    readonly column: number
    readonly message: string
  }[]
  readonly changed: boolean
}

/** What is known of the sandboxes. */
export interface Inventory {
  /** That have not ended. */
  readonly tasks: number
  readonly sandboxes: readonly string[]
  /** Who acts in each such task, the newest first, and what credentials its rules lead to; `more` where there are too many. */
  readonly identities: readonly {
    readonly task: string
    readonly state: TaskState
    readonly agent: string
    readonly instance: string
    readonly owner: string
    readonly sandbox: string
    /** What a workload token or certificate must name. */
    readonly subject?: string
    readonly credentials: readonly string[]
  }[]
  readonly more: boolean
  /** Names of all that are configured. */
  readonly credentials: readonly string[]
  readonly unknownClients: readonly {
    readonly standing: 'unknown-client'
    readonly address: string
    readonly reason: string
    readonly firstSeen: string
    readonly lastSeen: string
    readonly count: number
  }[]
}

/** One credential as it is shown; never its value. */
export interface CredentialView {
  readonly name: string
  readonly hosts: readonly string[]
  readonly inject: string
  /** Kind of what it comes from. */
  readonly source: string
  /** Whether its value is the same for all tasks and valid beyond them. */
  readonly static: boolean
  /** `idle`: no task has it. */
  readonly state: 'available' | 'idle' | 'unavailable' | 'backing-off'
  /** Valid ones that are held, all tasks together. */
  readonly leases: number
  /** When the next of them ends. */
  readonly expires?: string
  /** Of a static value: since when it is what it is, as far as was seen. */
  readonly ageSeconds?: number
  /** What is wrong, in words of the sidecar. */
  readonly problem?: string
  /** When its provider is asked again at the soonest. */
  readonly retry?: string
}

/** The public key that receipts are signed with, as a JWK. */
export interface ReceiptKey {
  readonly kty: string
  readonly crv: string
  readonly x: string
  readonly kid: string
}

/** A signed statement of how far a chain has come. */
export interface CheckpointView {
  /** The id of the journal. */
  readonly journal: string
  /** The task whose own chain it is; absent: the journal's. */
  readonly task?: string | undefined
  readonly seq: number
  /** Lower-case hex SHA-256 of that record's line. */
  readonly hash: string
  readonly time: string
  readonly final?: true | undefined
  /** `kid` of the key. */
  readonly key: string
  readonly signature: string
}

/** The checkpoints of the journal, and what they are checked with. */
export interface CheckpointDesk {
  show(): {
    readonly journal: string
    readonly keys: readonly (ReceiptKey & { readonly from: string; readonly until?: string })[]
    /** The latest ones, newest last. */
    readonly checkpoints: readonly CheckpointView[]
  }
  /** @throws EgressError audit-unavailable as a rejection */
  make(): Promise<CheckpointView>
  /** @returns undefined where there is no such task */
  makeOf(taskId: string): Promise<CheckpointView> | undefined
}

/** Which records are asked for; members left out do not restrict. */
export interface WantedRecords {
  /** A task's id; its children count as its own. */
  readonly task?: string
  /** The name of a tool that is called, `*` standing for any characters. */
  readonly tool?: string
}

/** Everything that the control API is made of. */
export interface ControlParts {
  readonly tasks: TaskDesk
  readonly kills: KillDesk
  readonly owners: OwnerDesk
  readonly overrides: OverrideDesk
  readonly holds: HoldDesk
  readonly signedAnswers: SignedAnswers
  readonly flow: FlowDesk
  readonly requests: RequestDesk
  /** Proxy URL and environment of a task's sandbox; the token is undefined where it is not known any more. */
  environmentFor(taskId: string, token: string | undefined): TaskEnvironment
  readonly rules: {
    show(): readonly RuleSetView[]
    /** @param version `sha256:…` @returns undefined where its text is not kept */
    find(version: string): RuleSetText | undefined
    reload(actor: Actor): RulesReload
  }
  credentials(): Promise<readonly CredentialView[]>
  inventory(): Inventory
  /** The latest records of calls, newest last, as they stand in the journal. */
  readonly calls: {
    recent(limit: number, wanted: WantedRecords): Promise<readonly unknown[]>
    /** @returns what ends the following */
    follow(wanted: WantedRecords, onRecord: (record: unknown) => void): () => void
  }
  receiptKey(): ReceiptKey
  readonly checkpoints: CheckpointDesk
  /** Puts a change on record with its principal. */
  record(action: string, detail: Readonly<Record<string, unknown>>): void
  /** Resolves when what was put on record so far is written. */
  recorded(): Promise<void>
}
