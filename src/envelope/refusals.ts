// The last refusals of each task, in memory: so that an agent that was shown no more than a status can read why. Bounded a
// task and in tasks; a restart forgets them, the journal does not. Filled by whoever ends calls, read by `envelope.ts`.

import { LRUCache } from 'lru-cache'

import type { Call } from '../call.ts'
import { REASONS, type Reason } from '../errors.ts'

/** One refusal as the task that was refused may read it: what it sent, and the table's words. */
export interface RefusalView {
  readonly call: string
  readonly at: string
  readonly method?: string
  readonly url?: string
  readonly reason: Reason
  readonly title: string
  readonly status: number
  readonly retry: string
  readonly remedy: string
}

interface Kept {
  readonly call: string
  /** Epoch milliseconds. */
  readonly at: number
  readonly method: string | undefined
  readonly url: string | undefined
  readonly reason: Reason
}

const REFUSALS_PER_TASK = 20
const TASKS_MAX = 2000
const URL_CHARACTERS_MAX = 512

/** The refusals of all tasks. */
export class Refusals {
  readonly #kept: LRUCache<string, Kept[]> = new LRUCache({ max: TASKS_MAX })

  /** Takes a call that is over; one that was not refused changes nothing. */
  note(call: Call): void {
    const { reason, task } = call
    if (reason === 'allowed' || task === undefined || REASONS[reason].status === 0) return
    const kept = this.#kept.get(task.id) ?? []
    if (kept.length >= REFUSALS_PER_TASK) kept.shift()
    const { request, tunnel, arrival } = call
    kept.push({
      call: arrival.id,
      at: arrival.startedAt,
      method: request?.method ?? (tunnel && 'CONNECT'),
      url: urlOf(call),
      reason,
    })
    this.#kept.set(task.id, kept)
  }

  /** The refusals of a task, the latest first. */
  of(taskId: string): readonly RefusalView[] {
    return (this.#kept.get(taskId) ?? []).map(viewOf).toReversed()
  }
}

function urlOf({ request, tunnel }: Call): string | undefined {
  const { host, port } = request?.endpoint ?? tunnel ?? {}
  if (host === undefined) return undefined
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`
  if (request === undefined) return authority
  const { scheme, path, query } = request
  const url = `${scheme}://${authority}${path.raw}${query === undefined ? '' : `?${query}`}`
  return url.slice(0, URL_CHARACTERS_MAX)
}

function viewOf({ call, at, method, url, reason }: Kept): RefusalView {
  const { title, status, retry, remedy } = REASONS[reason]
  return {
    call,
    at: new Date(at).toISOString(),
    ...(method !== undefined && { method }),
    ...(url !== undefined && { url }),
    reason,
    title,
    status,
    retry,
    remedy,
  }
}
