// Asks a Splunk collector whether its indexer has a batch for good, until it says so or has lost it. A collector tells each
// acknowledgement once and forgets them all when it restarts: what is not acknowledged in time is sent again. Called by
// `splunk.ts`.

import { setTimeout as sleep } from 'node:timers/promises'

import type { Limits } from '../../limits.ts'
import { valueAt } from '../project/members.ts'
import type { Delivery } from './delivery.ts'
import { later, type Answer, type Receiver } from './receiver.ts'

const POLL_MIN_MS = 100
const POLL_MAX_MS = 5000
/** A collector that went away while it was asked has most likely forgotten; it gets this long to prove otherwise. */
const FORGOTTEN_AFTER_MS = 15_000
const ANSWER_BYTES_MAX = 64 * 1024

/** Acknowledgements of one channel. */
export class Acknowledger {
  readonly #receiver: Receiver
  readonly #path: string
  readonly #timeoutMs: number
  #isServed = false

  /** @param path of the acknowledgements, with its query */
  constructor(receiver: Receiver, path: string, limits: Pick<Limits, 'sinkAcknowledgeTimeoutMs'>) {
    this.#receiver = receiver
    this.#path = path
    this.#timeoutMs = limits.sinkAcknowledgeTimeoutMs
  }

  /** Makes sure, once, that the token has acknowledgements; else says what is to become of the batch. @throws Error of the connection */
  async check(closed: AbortSignal): Promise<Delivery | undefined> {
    if (this.#isServed) return undefined
    const answer = await this.#ask(0, closed)
    if (answer.status !== 200) return this.#refusal(answer)
    this.#isServed = true
    return undefined
  }

  /**
   * Waits until a batch is acknowledged.
   * @param id as the collector has given it
   * @throws Error when the signal ends the wait
   */
  async await(id: unknown, closed: AbortSignal): Promise<Delivery> {
    if (typeof id !== 'number' || !Number.isSafeInteger(id) || id < 0) {
      this.#isServed = false
      return { outcome: 'refused', detail: 'no acknowledgement was promised for what was taken' }
    }
    let deadline = performance.now() + this.#timeoutMs
    for (let waitMs = POLL_MIN_MS; ; waitMs = Math.min(waitMs * 2, POLL_MAX_MS)) {
      await sleep(Math.min(waitMs, Math.max(0, deadline - performance.now())), undefined, {
        signal: closed,
      })
      const answer = await this.#askAgain(id, closed)
      if (answer?.status === 200) {
        if (valueAt(answer.json, 'acks', String(id)) === true) return { outcome: 'taken' }
      } else if (answer !== undefined && !isAway(answer)) {
        this.#isServed = false
        return this.#refusal(answer)
      } else deadline = Math.min(deadline, performance.now() + FORGOTTEN_AFTER_MS)
      if (performance.now() >= deadline) return later('the batch was not acknowledged in time')
    }
  }

  async #askAgain(id: number, closed: AbortSignal): Promise<Answer | undefined> {
    try {
      return await this.#ask(id, closed)
    } catch (error) {
      if (closed.aborted) throw error
      return undefined
    }
  }

  #ask(id: number, closed: AbortSignal): Promise<Answer> {
    const sent = {
      path: this.#path,
      type: 'application/json',
      body: Buffer.from(`{"acks":[${id}]}`),
      answerBytesMax: ANSWER_BYTES_MAX,
    }
    return this.#receiver.send(sent, closed)
  }

  #refusal(answer: Answer): Delivery {
    const said = this.#receiver.words(valueAt(answer.json, 'text'))
    const detail = `acknowledgements: status ${answer.status} ${said}`.trim()
    return isAway(answer) ? later(detail, answer) : { outcome: 'refused', detail }
  }
}

function isAway({ status }: Answer): boolean {
  return status === 408 || status === 429 || status >= 500
}
