// A task as an orchestrator writes it and as it is answered once it is made. Data only; used by `client.ts`.

import type { Evidence, TaskView } from '../tasks/view.ts'
import type { TaskEnvironment } from './parts.ts'

/** A task's definition as it is written: durations as texts such as `30m`. */
export interface WrittenTask {
  readonly intent: string
  readonly capabilities?: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  readonly owner: { readonly name: string; readonly team: string }
  readonly agent: { readonly account: string; readonly instance: string }
  readonly principal?: string
  readonly identity?: {
    readonly subject?: string
    readonly sources?: readonly string[]
    readonly listener?: 'unix'
  }
  readonly sandbox: {
    readonly id: string
    readonly image?: string
    readonly pid?: number
    readonly shared?: boolean
    readonly hooks?: { readonly end?: string }
  }
  readonly rules: readonly string[]
  readonly params?: Readonly<Record<string, string>>
  readonly environment: string
  readonly ceiling: 'public' | 'internal' | 'confidential' | 'restricted'
  readonly observe?: boolean
  readonly expires: string
  readonly parent?: string
  readonly depth?: number
  readonly heartbeat?: { readonly within: string; readonly endAfter: string }
  readonly require?: Evidence
}

/** What an approver adds to what a task declares. */
export interface WrittenExtension {
  /** Replaces the text. */
  readonly intent?: string
  readonly addCapabilities?: readonly string[]
  /** Further ones, or other values of those there are. */
  readonly labels?: Readonly<Record<string, string>>
  /** Put on record. */
  readonly reason: string
}

/** What making a task answers. */
export interface MadeTask extends Omit<TaskEnvironment, 'proxy'> {
  readonly id: string
  /** Shown once; absent where the request was repeated. */
  readonly token?: string
  readonly proxy?: string
  readonly task: TaskView
}
