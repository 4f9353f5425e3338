// Which JSON-RPC requests of a task's session wait for their response where it comes by another call: the older SSE
// transport. Bounded a task: whoever leaves requests open forgets only its own. Deliberately judges nothing.

import { hash } from 'node:crypto'

import { LRUCache } from 'lru-cache'

/** What was asked. */
export interface OpenRequest {
  /** Absent where several wait under one id. */
  readonly method?: string
  /** The tool that is called. */
  readonly tool?: string
}

/** The requests that are open. */
export class OpenRequests {
  readonly #perTaskMax: number
  readonly #tasks: Map<string, LRUCache<string, OpenRequest>> = new Map()

  /** @param perTaskMax beyond it the oldest of the task is forgotten */
  constructor(perTaskMax: number) {
    this.#perTaskMax = perTaskMax
  }

  /**
   * Notes a request that leaves; the same id again is another request.
   * @param conversation where it and its response belong together, such as a session of one server
   * @param id as JSON has it: 1 and "1" are two
   */
  note(
    taskId: string,
    conversation: string,
    id: string | number,
    method: string,
    tool?: string,
  ): void {
    let requests = this.#tasks.get(taskId)
    if (requests === undefined) {
      requests = new LRUCache({ max: this.#perTaskMax })
      this.#tasks.set(taskId, requests)
    }
    const key = keyOf(conversation, id)
    const open = requests.get(key)
    // Two clients with one id: which of them is answered nobody can say, so the answer counts as any.
    if (open !== undefined && open.method !== method) requests.set(key, {})
    else requests.set(key, tool === undefined ? { method } : { method, tool })
  }

  /** What a response answers, which stays open; undefined where nobody asked. */
  find(taskId: string, conversation: string, id: string | number): OpenRequest | undefined {
    return this.#tasks.get(taskId)?.get(keyOf(conversation, id))
  }

  /** What a response answers, which is then open no more; undefined where nobody asked. */
  take(taskId: string, conversation: string, id: string | number): OpenRequest | undefined {
    const requests = this.#tasks.get(taskId)
    const key = keyOf(conversation, id)
    const request = requests?.get(key)
    requests?.delete(key)
    return request
  }

  /** Forgets those of a task. @returns how many that were */
  forget(taskId: string): number {
    const open = this.#tasks.get(taskId)?.size ?? 0
    this.#tasks.delete(taskId)
    return open
  }
}

// Digested: an id is as long as the client likes.
function keyOf(conversation: string, id: string | number): string {
  return hash('sha256', JSON.stringify([conversation, id]), 'base64url')
}
