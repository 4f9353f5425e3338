// The sandbox of a task: the process that it is, and the hook that ends it. A hook has to confirm; one that says it did
// while the process still runs has not. Called by `ending.ts` and `registry.ts`.

import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

import type { TaskEntry } from './entry.ts'
import type { ReceiptItem } from './view.ts'

/** What a hook is told. */
export interface HookFacts {
  readonly taskId: string
  readonly sandboxId: string
  readonly image: string | undefined
  readonly pid: number | undefined
  readonly cause: string
}

/** Ends a sandbox: made from the configuration's `hooks`. */
export interface EndHook {
  /** Resolves once the sandbox is gone. @throws Error saying why that is not confirmed */
  run(facts: HookFacts): Promise<void>
}

const GONE_CHECK_MS = 50
const GONE_WITHIN_MS = 2000
const START_TIME_FIELD = 22

/** The time a process started, by which it is told from another of the same number; undefined where there is none. */
export function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in parentheses may hold anything.
    const rest = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // A process that has ended and was not waited for yet has ended.
    if (rest[0] === 'Z' || rest[0] === 'X') return undefined
    return rest[START_TIME_FIELD - 3]
  } catch {
    return undefined
  }
}

/** Whether the process that is the task's sandbox has ended; false where none is known. */
export function hasSandboxExited({ task, kept }: TaskEntry): boolean {
  const { pid } = task.sandbox
  if (pid === undefined || kept.processStart === undefined) return false
  return processStart(pid) !== kept.processStart
}

/** Runs the task's hook and looks whether the sandbox is gone. Never throws: what is not confirmed is the outcome. */
export async function tearDown(
  entry: TaskEntry,
  hooks: ReadonlyMap<string, EndHook>,
  at: () => string,
): Promise<ReceiptItem> {
  const { sandbox, id } = entry.task
  const item = { kind: 'sandbox', name: sandbox.id } as const
  const name = sandbox.hooks?.end
  if (name === undefined) {
    if (sandbox.pid === undefined || hasSandboxExited(entry))
      return { ...item, outcome: sandbox.pid === undefined ? 'none' : 'ended', at: at() }
    return { ...item, outcome: 'unconfirmed', at: at(), detail: 'no hook, and its process runs' }
  }
  try {
    const hook = hooks.get(name)
    if (hook === undefined) throw new Error(`there is no hook ${name}`)
    await hook.run({
      taskId: id,
      sandboxId: sandbox.id,
      image: sandbox.image,
      pid:
        entry.kept.processStart === undefined || hasSandboxExited(entry) ? undefined : sandbox.pid,
      cause: entry.kept.cause,
    })
    await confirmGone(entry)
    return { ...item, outcome: 'ended', at: at() }
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error)
    return { ...item, outcome: 'unconfirmed', at: at(), detail: `hook ${name}: ${detail}` }
  }
}

async function confirmGone(entry: TaskEntry): Promise<void> {
  const { pid } = entry.task.sandbox
  if (pid === undefined || entry.kept.processStart === undefined) return
  for (let waitedMs = 0; waitedMs < GONE_WITHIN_MS; waitedMs += GONE_CHECK_MS) {
    if (hasSandboxExited(entry)) return
    await sleep(GONE_CHECK_MS)
  }
  throw new Error(`it says so, but process ${pid} still runs`)
}
