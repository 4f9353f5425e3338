// What the two sides of a sandbox's start say to each other over the channel between them. Called by `outer.ts` and
// `inner.ts`.

import type { HandedDoor } from '../listen/doors.ts'
import type { MountFacts } from './mount-script.ts'

/** The programs that a sandbox is made with, by their paths. */
export type ToolName = 'unshare' | 'setpriv' | 'mount' | 'ip' | 'sh'

/** Where they are. */
export type Tools = Readonly<Record<ToolName, string>>

/** What is run in the sandbox. */
export interface SandboxCommand {
  readonly words: readonly string[]
  readonly variables: Readonly<Record<string, string>>
  readonly workDir: string
  /** What is run before it, with the same variables and the same rights; it must succeed. Undefined: nothing. */
  readonly proof: readonly string[] | undefined
}

/** From outside. */
export type ToInside =
  | {
      readonly kind: 'set-up'
      readonly mounts: MountFacts
      readonly workDir: string
      readonly tools: Tools
    }
  /** A door is served from now on. */
  | { readonly kind: 'taken' }
  | { readonly kind: 'run'; readonly command: SandboxCommand }

/** From inside. */
export type ToOutside =
  | { readonly kind: 'door'; readonly door: HandedDoor['door']; readonly port: number }
  /** Everything is in place. */
  | { readonly kind: 'ready' }
  /** The command begins: nothing more is said. */
  | { readonly kind: 'running' }
  /** The command does not run. */
  | { readonly kind: 'failed'; readonly what: string }

/** Whether something came from outside: the channel is this program's own, and nobody else writes to it. */
export function isToInside(value: unknown): value is ToInside {
  return isMessage(value)
}

/** Whether something came from inside. */
export function isToOutside(value: unknown): value is ToOutside {
  return isMessage(value)
}

function isMessage(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'kind' in value
}
