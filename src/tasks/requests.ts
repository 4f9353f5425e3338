// What agents ask people for: a call that no rule allows, with a reason in the agent's words. A request is looked at and
// answered by a person; that closes it and changes no rule. Kept on the disk, bounded a task and in all. Filled by `envelope/`,
// listed and closed by `control/`.

import path from 'node:path'

import { EgressError, type Reason } from '../errors.ts'
import type { Limits } from '../limits.ts'
import { makeUlid } from '../wire/ulid.ts'
import { ControlError } from './control-error.ts'
import { StateLog } from './state-log.ts'
import type { Task } from './task.ts'
import type { Actor, RequestView } from './view.ts'

/** What an agent asks for, checked and made harmless by whoever read it. */
export interface AskedFor {
  readonly method: string
  readonly url: string
  /** The agent's words. */
  readonly reason: string
}

/** What the rules say of it at the moment. */
export interface AskedVerdict {
  readonly verdict: RequestView['verdict']
  readonly reason: Reason
}

/** What keeping requests needs. */
export interface RequestOptions {
  readonly stateDir: string
  readonly limits: Pick<Limits, 'requestsPerHour' | 'requestsOpenPerTaskMax'>
  /** Epoch milliseconds. */
  readonly now: () => number
  /** The task, while it is not over. */
  readonly liveTask: (id: string) => Task | undefined
  /** Puts an opening or a closing on record. */
  readonly onEvent: (
    action: 'request-opened' | 'request-closed',
    task: Task | undefined,
    detail: Readonly<Record<string, unknown>>,
  ) => void
  /** Told where one could not be written down: then it was neither opened nor closed. */
  readonly onProblem: (error: unknown) => void
}

const FILE = 'requests.ndjson'
const HOUR_MS = 3_600_000
/** Closed ones are shown for so long. */
const CLOSED_MS = 24 * HOUR_MS
// People take their time: whoever waits for one of them need not ask every second.
const PEOPLE_SECONDS = 60
/** Of all tasks together. */
const REQUESTS_MAX = 10_000

/** The requests of one sidecar. */
export class Requests {
  readonly #options: RequestOptions
  readonly #log: StateLog<RequestView>

  /** @throws Error where the file cannot be read */
  constructor(options: RequestOptions) {
    this.#options = options
    this.#log = new StateLog(path.join(options.stateDir, FILE), isKept)
    for (const one of this.#log.values()) if (one.state === 'lapsed') this.#log.forget(one.id)
  }

  /** Those of all tasks that are not over, the oldest first. */
  list(): readonly RequestView[] {
    this.#sweep()
    return [...this.#log.values()]
  }

  /** Those of one task, the oldest first. */
  listOf(taskId: string): readonly RequestView[] {
    return this.list().filter(({ task }) => task === taskId)
  }

  /**
   * Opens a request; where the same is open already, it is that one.
   * @throws EgressError quota-exceeded with the time to wait; busy, also where it cannot be written down
   */
  open(task: Task, asked: AskedFor, { verdict, reason }: AskedVerdict): RequestView {
    const own = this.listOf(task.id)
    const known = own.find(
      ({ state, method, url }) => state === 'open' && method === asked.method && url === asked.url,
    )
    if (known !== undefined) return known
    this.#checkRoom(own)
    const now = this.#options.now()
    const opened: RequestView = {
      id: `q_${makeUlid(now).toLowerCase()}`,
      task: task.id,
      owner: { name: task.owner.name, team: task.owner.team },
      agent: { account: task.agent.account, instance: task.agent.instance },
      environment: task.environment,
      method: asked.method,
      url: asked.url,
      verdict,
      verdictReason: reason,
      agentSays: asked.reason,
      state: 'open',
      openedAt: new Date(now).toISOString(),
    }
    if (!this.#keep(opened)) throw new EgressError('busy')
    this.#options.onEvent('request-opened', task, {
      request: opened.id,
      method: opened.method,
      url: opened.url,
      verdict,
      verdictReason: reason,
      agentSays: opened.agentSays,
    })
    return opened
  }

  /**
   * Closes a request with a person's answer. What is granted is not allowed by that: the rules are.
   * @throws ControlError not-found; conflict where it is closed; audit-unavailable where that cannot be written down
   */
  close(
    id: string,
    answer: 'granted' | 'refused',
    reason: string | undefined,
    actor: Actor,
  ): RequestView {
    this.#sweep()
    const one = this.#log.get(id)
    if (one === undefined) throw new ControlError('not-found', 'there is no such request', '/id')
    if (one.state !== 'open')
      throw new ControlError('conflict', `the request was ${one.state} by ${one.closedBy ?? ''}`)
    const closed = this.#end(one, answer, actor.name, reason)
    if (closed === undefined)
      throw new ControlError('audit-unavailable', 'the answer could not be written down')
    return closed
  }

  /** Gives the file back. */
  stop(): void {
    this.#log.close()
  }

  #checkRoom(own: readonly RequestView[]): void {
    const { limits, now } = this.#options
    const open = own.filter(({ state }) => state === 'open').length
    if (open >= limits.requestsOpenPerTaskMax)
      throw new EgressError(
        'quota-exceeded',
        { limit: 'requestsOpenPerTaskMax', open },
        { wait: PEOPLE_SECONDS },
      )
    const since = now() - HOUR_MS
    const recent = own.map(({ openedAt }) => Date.parse(openedAt)).filter((at) => at > since)
    if (recent.length >= limits.requestsPerHour) {
      const next = recent.at(-limits.requestsPerHour) ?? since
      const wait = Math.max(1, Math.ceil((next - since) / 1000))
      throw new EgressError('quota-exceeded', { limit: 'requestsPerHour' }, { wait })
    }
    if ([...this.#log.values()].length >= REQUESTS_MAX) throw new EgressError('busy')
  }

  // Nobody waits for the answer any more where the task is over.
  #sweep(): void {
    const { now, liveTask } = this.#options
    for (const one of this.#log.values()) {
      const isLive = liveTask(one.task) !== undefined
      if (!isLive && one.state === 'open') this.#end(one, 'lapsed', 'sidecar', undefined)
      const isOld = one.closedAt !== undefined && Date.parse(one.closedAt) + CLOSED_MS < now()
      if (!isLive || isOld) this.#log.forget(one.id)
    }
  }

  #end(
    one: RequestView,
    state: 'granted' | 'refused' | 'lapsed',
    actor: string,
    reason: string | undefined,
  ): RequestView | undefined {
    const { now, liveTask, onEvent } = this.#options
    const closed: RequestView = {
      ...one,
      state,
      closedAt: new Date(now()).toISOString(),
      closedBy: actor,
      ...(reason !== undefined && { answer: reason }),
    }
    if (!this.#keep(closed)) return undefined
    onEvent('request-closed', liveTask(one.task), {
      request: one.id,
      task: one.task,
      method: one.method,
      url: one.url,
      answer: state,
      actor,
      ...(reason !== undefined && { reason }),
    })
    return closed
  }

  #keep(one: RequestView): boolean {
    try {
      this.#log.append(one, false)
      return true
    } catch (error) {
      this.#options.onProblem(error)
      return false
    }
  }
}

const TEXTS = ['id', 'task', 'method', 'url', 'verdict', 'agentSays', 'state', 'openedAt']

function isKept(value: unknown): value is RequestView {
  if (typeof value !== 'object' || value === null) return false
  return TEXTS.every((name) => typeof Reflect.get(value, name) === 'string')
}
