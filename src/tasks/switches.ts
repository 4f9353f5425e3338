// What an operator switched off, whatever rules say: hosts, credentials, tools, agents, owners, everything; and the owners
// who left. Kept on the disk, in force before the first answer. Asked by the pipeline for every call; changed by `control/`.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import { EgressError } from '../errors.ts'
import { normalizeHost } from '../wire/authority.ts'
import { makeUlid } from '../wire/ulid.ts'
import { ControlError } from './control-error.ts'
import type { TaskEntry } from './entry.ts'
import { isLive, type TaskRegistry } from './registry.ts'
import type { Task } from './task.ts'
import { checkToolValue, KilledTools } from './tool-kill.ts'
import type { Actor, Kill, KillScope } from './view.ts'

/** What the switches need. */
export interface SwitchOptions {
  readonly stateDir: string
  /** Epoch milliseconds. */
  readonly now: () => number
  readonly registry: TaskRegistry
  /** Cuts the open calls to a host, with a credential or of a tool. @returns how many */
  readonly cut: (scope: CallKillScope, value: string) => number
  /** Names of the configured credentials. */
  readonly credentials: readonly string[]
  /** Puts a change on record. */
  readonly onEvent: (action: string, detail: Readonly<Record<string, unknown>>) => void
  /** Told where a change could not be written down; it is in force, and tried again. */
  readonly onProblem: (error: unknown) => void
}

/** What a throw is for that ends calls, and no task. */
export type CallKillScope = 'host' | 'credential' | 'tool'

interface KeptSwitches {
  readonly kills: readonly Kill[]
  readonly disabledOwners: readonly string[]
}

const SWITCHES_FILE = 'switches.json'
const NONE: KeptSwitches = { kills: [], disabledOwners: [] }

/** The kill switch and the owners who left. */
export class Switches {
  readonly #options: SwitchOptions
  readonly #file: string
  #kept: KeptSwitches
  #killed: Readonly<Record<KillScope, ReadonlySet<string>>>
  #killedTools: KilledTools = new KilledTools([])
  #isIdle = true
  #isUnsaved = false

  /** @throws Error where the file cannot be read: what was switched off must not come back */
  constructor(options: SwitchOptions) {
    this.#options = options
    this.#file = path.join(options.stateDir, SWITCHES_FILE)
    this.#kept = readKept(this.#file)
    this.#killed = this.#arrange()
  }

  /** @throws EgressError killed where the task's agent or owner, or everything, is switched off */
  checkTask(task: Task): void {
    if (this.#isIdle) return
    const scope = this.#scopeOf(task)
    if (scope !== undefined) throw new EgressError('killed', { scope, task: task.id })
  }

  /** @throws EgressError killed where the destination or the credential is switched off */
  checkCall(host: string, credential: string | undefined): void {
    if (this.#isIdle) return
    if (this.#killed.host.has(host)) throw new EgressError('killed', { scope: 'host' })
    if (credential !== undefined && this.#killed.credential.has(credential))
      throw new EgressError('killed', { scope: 'credential', credential })
  }

  /** Whether a credential is switched off. */
  isCredentialKilled(name: string): boolean {
    return !this.#isIdle && this.#killed.credential.has(name)
  }

  /** @throws EgressError killed where the tool is switched off, everywhere or at this host */
  checkTool(host: string, name: string): void {
    if (this.isToolKilled(host, name)) throw new EgressError('killed', { scope: 'tool' })
  }

  /** Whether a tool is switched off, everywhere or at this host: it is then not listed either. */
  isToolKilled(host: string, name: string): boolean {
    return !this.#isIdle && this.#killedTools.has(host, name)
  }

  /** Why no task may be made for this agent and owner; undefined where one may. */
  barred(task: Task): { readonly field: string; readonly detail: string } | undefined {
    if (this.#kept.disabledOwners.includes(task.owner.name))
      return { field: '/owner/name', detail: 'the owner is disabled' }
    const scope = this.#scopeOf(task)
    if (scope === undefined) return undefined
    const field = scope === 'agent' ? '/agent/account' : scope === 'owner' ? '/owner/name' : ''
    return {
      field,
      detail: `the kill switch is thrown for ${scope === 'all' ? 'everything' : `this ${scope}`}`,
    }
  }

  /**
   * Throws the switch: in force at once; resolves when everything that matches has ended.
   * @param written which one; a host in any spelling; a tool's name, or `HOST/NAME`
   * @throws ControlError definition-invalid where a host or a tool's name is none; not-found where a credential is none
   */
  async kill(
    scope: KillScope,
    written: string,
    actor: Actor,
    reason: string | undefined,
  ): Promise<{ readonly kill: Kill; readonly ended: readonly string[]; readonly cut: number }> {
    const { now, registry, cut, onEvent } = this.#options
    const value = scope === 'host' ? hostOf(written) : written
    if (scope === 'tool') checkToolValue(value)
    if (scope === 'credential' && !this.#options.credentials.includes(value))
      throw new ControlError('not-found', `there is no credential ${value}`, '/value')
    const at = now()
    const kill: Kill = {
      id: `k_${makeUlid(at).toLowerCase()}`,
      scope,
      value,
      ...(reason !== undefined && { reason }),
      by: actor.name,
      at: new Date(at).toISOString(),
    }
    // One task is over for good: there is nothing to keep off.
    if (scope !== 'task') this.#set({ ...this.#kept, kills: [...this.#kept.kills, kill] })
    onEvent('kill-switch-thrown', { ...kill })
    if (!isOfTasks(scope)) return { kill, ended: [], cut: cut(scope, value) }
    const entries = [...registry.entries.live].filter((entry) => matches(entry, scope, value))
    await registry.end(entries, 'killed', actor, reason)
    return { kill, ended: entries.map(({ id }) => id), cut: 0 }
  }

  /** Ends what a throw that stands did not get to before the process died. */
  finishKills(): void {
    const { registry } = this.#options
    for (const { scope, value, by, at, reason } of this.#kept.kills) {
      // What began after it was let begin by an operator.
      const isMeant = (entry: TaskEntry): boolean => entry.kept.since <= Date.parse(at)
      const entries = [...registry.entries.live].filter(
        (entry) => isOfTasks(scope) && matches(entry, scope, value) && isMeant(entry),
      )
      void registry.end(entries, 'killed', { kind: 'principal', name: by }, reason)
    }
  }

  list(): readonly Kill[] {
    return this.#kept.kills
  }

  /** Takes a throw back; what it ended stays ended. */
  lift(id: string, actor: Actor): Kill | undefined {
    const kill = this.#kept.kills.find((one) => one.id === id)
    if (kill === undefined) return undefined
    this.#set({ ...this.#kept, kills: this.#kept.kills.filter((one) => one !== kill) })
    this.#options.onEvent('kill-switch-lifted', { ...kill, actor: actor.name })
    return kill
  }

  /** Suspends an owner's tasks; they get no new ones. */
  disable(owner: string, actor: Actor): { readonly suspended: readonly string[] } {
    const { registry, onEvent } = this.#options
    const others = this.#kept.disabledOwners.filter((name) => name !== owner)
    this.#set({ ...this.#kept, disabledOwners: [...others, owner] })
    onEvent('owner-disabled', { owner, actor: actor.name })
    const entries = [...registry.entries.live].filter(({ task }) => task.owner.name === owner)
    const suspended = registry.moveAll(entries, 'owner-disabled', actor)
    return { suspended: suspended.map(({ id }) => id) }
  }

  /** Lets an owner have tasks again; suspended ones are resumed one by one. */
  enable(owner: string, actor: Actor): void {
    if (!this.#kept.disabledOwners.includes(owner)) return
    const disabledOwners = this.#kept.disabledOwners.filter((name) => name !== owner)
    this.#set({ ...this.#kept, disabledOwners })
    this.#options.onEvent('owner-enabled', { owner, actor: actor.name })
  }

  disabled(): readonly string[] {
    return this.#kept.disabledOwners
  }

  /** Writes down what could not be written before. */
  saveUnsaved(): void {
    if (this.#isUnsaved) this.#save()
  }

  #scopeOf({ agent, owner }: Task): 'all' | 'agent' | 'owner' | undefined {
    if (this.#killed.all.size > 0) return 'all'
    if (this.#killed.agent.has(agent.account)) return 'agent'
    return this.#killed.owner.has(owner.name) ? 'owner' : undefined
  }

  #set(kept: KeptSwitches): void {
    this.#kept = kept
    this.#killed = this.#arrange()
    this.#save()
  }

  // What cannot be written is in force all the same: a kill is never held up by a full disk.
  #save(): void {
    const beside = `${this.#file}.new`
    try {
      mkdirSync(path.dirname(this.#file), { recursive: true, mode: 0o700 })
      writeFileSync(beside, `${JSON.stringify(this.#kept)}\n`, { mode: 0o600, flush: true })
      renameSync(beside, this.#file)
      this.#isUnsaved = false
    } catch (error) {
      this.#isUnsaved = true
      this.#options.onProblem(error)
    }
  }

  #arrange(): Readonly<Record<KillScope, ReadonlySet<string>>> {
    const { kills } = this.#kept
    this.#isIdle = kills.length === 0
    const of = (scope: KillScope): ReadonlySet<string> =>
      new Set(kills.filter((kill) => kill.scope === scope).map(({ value }) => value))
    const tool = of('tool')
    this.#killedTools = new KilledTools([...tool])
    return {
      host: of('host'),
      credential: of('credential'),
      tool,
      task: of('task'),
      agent: of('agent'),
      owner: of('owner'),
      all: of('all'),
    }
  }
}

function isOfTasks(scope: KillScope): scope is Exclude<KillScope, CallKillScope> {
  return scope !== 'host' && scope !== 'credential' && scope !== 'tool'
}

function matches(entry: TaskEntry, scope: KillScope, value: string): boolean {
  if (!isLive(entry)) return false
  const { id, agent, owner } = entry.task
  if (scope === 'all') return true
  if (scope === 'task') return id === value
  return scope === 'agent' ? agent.account === value : owner.name === value
}

// As calls name it: what is thrown for another spelling would stop nothing.
function hostOf(written: string): string {
  try {
    return normalizeHost(written).host
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    const expected = 'expected a host name or an address, without scheme, port or path'
    throw new ControlError('definition-invalid', expected, '/value')
  }
}

function readKept(file: string): KeptSwitches {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return NONE
    throw error
  }
  const kept: unknown = JSON.parse(text)
  if (!isKept(kept)) throw new Error(`${file} is not what was written: restore it`)
  return kept
}

function isKept(value: unknown): value is KeptSwitches {
  return (
    typeof value === 'object' &&
    value !== null &&
    Array.isArray(Reflect.get(value, 'kills')) &&
    Array.isArray(Reflect.get(value, 'disabledOwners'))
  )
}
