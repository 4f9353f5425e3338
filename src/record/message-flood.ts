// Keeps an upstream that sends message after message from filling the journal: beyond a number a call and second, what it
// asks or tells by itself is counted and reported in one record with exact numbers. Deliberately not for what the client
// sends, nor for the one response to each request of it. Called by `recorder.ts`.

import type { Call, Message } from '../call.ts'
import type { RecordBody } from './body.ts'
import { repeatedMessagesRecord } from './message-record.ts'

/** How messages are limited. */
export interface MessageLimiterOptions {
  /** Messages a call and second that get a record of their own. */
  readonly perSecond: number
  /** Takes the records that report counts. */
  readonly append: (record: RecordBody) => void
  /** Epoch milliseconds. */
  readonly now: () => number
}

interface Window {
  /** Epoch milliseconds. */
  readonly from: number
  written: number
  requests: number
  notifications: number
  responses: number
}

const WINDOW_MS = 1000

/** Decides a call and second at a time whether a message of the server's own is written or counted. */
export class MessageLimiter {
  readonly #options: MessageLimiterOptions
  /** Emptied every second and at the end of each call, so only calls that are sent messages just now are in it. */
  readonly #windows: Map<Call, Window> = new Map()
  #timer: NodeJS.Timeout | undefined

  constructor(options: MessageLimiterOptions) {
    this.#options = options
  }

  /** Tells whether this message gets its own record; where not, it has been counted. */
  admit(
    call: Call,
    { direction, kind, isUnasked }: Pick<Message, 'direction' | 'kind' | 'isUnasked'>,
  ): boolean {
    if (direction === 'to-server' || (kind === 'response' && isUnasked !== true)) return true
    const now = this.#options.now()
    let window = this.#windows.get(call)
    if (window === undefined || !isRunning(window, now)) {
      if (window !== undefined) this.#report(call, window, now)
      window = { from: now, written: 0, requests: 0, notifications: 0, responses: 0 }
      this.#windows.set(call, window)
      this.#timer ??= setTimeout(() => this.#sweep(), WINDOW_MS)
      this.#timer.unref()
    }
    if (window.written < this.#options.perSecond) {
      window.written += 1
      return true
    }
    if (kind === 'request') window.requests += 1
    else if (kind === 'notification') window.notifications += 1
    else window.responses += 1
    return false
  }

  /** Reports what is counted so far of a call that is over. */
  endCall(call: Call): void {
    const window = this.#windows.get(call)
    if (window === undefined) return
    this.#windows.delete(call)
    this.#report(call, window, this.#options.now())
  }

  #sweep(): void {
    this.#timer = undefined
    const now = this.#options.now()
    for (const [call, window] of this.#windows) {
      if (isRunning(window, now)) continue
      this.#windows.delete(call)
      this.#report(call, window, now)
    }
    if (this.#windows.size === 0) return
    this.#timer = setTimeout(() => this.#sweep(), WINDOW_MS / 4)
    this.#timer.unref()
  }

  #report(call: Call, { from, requests, notifications, responses }: Window, now: number): void {
    if (requests + notifications + responses === 0) return
    const to = Math.min(Math.max(now, from), from + WINDOW_MS)
    this.#options.append(
      repeatedMessagesRecord(call, { requests, notifications, responses, from, to }, now),
    )
  }
}

function isRunning({ from }: Window, now: number): boolean {
  return now >= from && now - from < WINDOW_MS
}
