// Puts calls on record: `call-started` before the first byte leaves, one terminal record on every path, progress and the
// call's messages in between, alerts beside. Counts metrics, and keeps floods of refusals and of messages exact. Called by
// `pipeline.ts`, `ledger/` and the sweep of open calls.

import type { Call, Message } from '../call.ts'
import type { Redactor } from '../inspect/redactor.ts'
import type { Limits } from '../limits.ts'
import type { Task } from '../tasks/task.ts'
import { callRecord, eventRecord, type EventFields } from './ecs.ts'
import { endedRecord, isDecidedRequest, startedRecord } from './call-text.ts'
import { factsOf, type CallAction } from './facts.ts'
import type { DenialLimiter } from './flood.ts'
import type { Journal } from './journal.ts'
import { MessageLimiter } from './message-flood.ts'
import { messageRecord } from './message-record.ts'
import type { Metrics } from './metrics.ts'

/** What recording needs. */
export interface RecorderOptions {
  readonly journal: Journal
  readonly denials: DenialLimiter
  readonly metrics: Metrics
  readonly now: () => number
  readonly limits: Pick<Limits, 'messageRecordsPerSecond'>
  /** Takes secrets out of what is made past the journal's own. */
  readonly redactor: Redactor
  /** Told of every call that is over. */
  readonly onEnd?: (call: Call, wasDenied: boolean) => void
  /** Told, once a write, of records that could not be written after their calls had begun: there is nothing left to refuse. */
  readonly onLost: (error: unknown) => void
}

/** The recorder of one sidecar. */
export class CallRecorder {
  readonly #options: RecorderOptions
  readonly #messages: MessageLimiter
  readonly #alerted: Set<string> = new Set()
  #watched: Promise<void> | undefined

  constructor(options: RecorderOptions) {
    this.#options = options
    const { journal, now, limits } = options
    this.#messages = new MessageLimiter({
      perSecond: limits.messageRecordsPerSecond,
      append: (record) => this.#watch(journal.append(record)),
      now,
    })
  }

  /** Resolves when `call-started` is written. @throws EgressError audit-unavailable */
  recordStart(call: Call): Promise<void> {
    const { journal, now, redactor } = this.#options
    if (!isDecidedRequest(call)) return journal.append(this.#record(call, 'call-started'))
    return journal.appendText(startedRecord(call, now(), redactor))
  }

  /** Writes what moved so far. */
  recordProgress(call: Call): void {
    this.#append(call, 'call-progress')
  }

  /**
   * Writes a message of a call, and resolves when it may be passed on: it is on record, or counted with others of a flood. A
   * refused one is not waited for, as nothing of it leaves.
   * @throws EgressError audit-unavailable as a rejection: the message is not on record and must not be passed on
   */
  recordMessage(call: Call, message: Message): Promise<void> {
    const { journal, metrics, denials, now } = this.#options
    const { verdict, reason } = message.decision
    metrics.countMessage(verdict, reason, message.decisionUs / 1e6)
    if (verdict === 'deny') {
      if (denials.admit(call.task, reason, now(), 'message-denied'))
        this.#watch(journal.append(messageRecord(call, message, now())))
      return Promise.resolve()
    }
    if (!this.#messages.admit(call, message)) return Promise.resolve()
    return journal.append(messageRecord(call, message, now()))
  }

  /** Writes the one terminal record of a call. */
  recordEnd(call: Call): void {
    const denied = call.cleared !== true
    const { metrics, denials, now, onEnd } = this.#options
    this.#messages.endCall(call)
    const usage = call.inspected?.gen_ai?.usage
    if (usage !== undefined) metrics.countTokens(usage.input_tokens, usage.output_tokens)
    onEnd?.(call, denied)
    metrics.countCall(denied ? 'deny' : 'allow', call.reason, call.decisionUs / 1e6)
    if (denied && !denials.admit(call.task, call.reason, now())) return
    // One in a body has been told when it was seen.
    if (call.reason === 'placeholder-misused' && call.detail?.['place'] !== 'body')
      this.#event('placeholder-misused', call, {
        credential: String(call.detail?.['credential'] ?? ''),
      })
    if (denied) this.#append(call, 'call-denied')
    else this.#appendEnd(call)
  }

  /** A placeholder travels in a body to a place where it is worthless: one alert a task and host. */
  recordPlaceholderInBody(call: Call, credential: string): void {
    const host = call.request?.endpoint.host ?? ''
    if (!this.#isFirst(`${call.task?.id} ${host}`)) return
    this.#event('placeholder-misused', call, { credential, place: 'body', host })
  }

  /** A tool is not what it was when it was first seen: one alert a task and tool, until it is something else again. */
  recordToolChange(
    call: Call,
    detail: {
      readonly tool: string
      readonly server: string
      readonly digest: string
      readonly change: 'changed' | 'added'
    },
  ): void {
    const { task } = call
    if (task === undefined) return
    if (!this.#isFirst(`${task.id} tool ${detail.server} ${detail.tool} ${detail.digest}`)) return
    // A server names as many tools as it likes.
    const { denials, now } = this.#options
    const action = 'tool-definition-changed'
    if (!denials.admit(task, action, now(), action)) return
    this.recordEvent(action, {
      kind: 'alert',
      reason: action,
      outcome: 'failure',
      task,
      callId: call.id,
      ...(call.request && { endpoint: call.request.endpoint }),
      detail,
    })
  }

  /** A credential came from where it must not: one alert a task and place. */
  recordShared(
    task: Task,
    detail: { readonly seen: string; readonly bound: string; readonly from: string },
  ): void {
    if (!this.#isFirst(`${task.id} shared ${detail.seen}`)) return
    this.recordEvent('identity-shared', { task, reason: 'identity-shared', detail })
  }

  /** Writes an event that is no call. */
  recordEvent(action: string, fields: Omit<EventFields, 'now'>): void {
    const { journal, now } = this.#options
    this.#watch(journal.append(eventRecord(action, { ...fields, now: now() })))
  }

  #isFirst(key: string): boolean {
    if (this.#alerted.has(key)) return false
    // Bounded: past this an alert may repeat, which is the harmless side.
    if (this.#alerted.size >= 10_000) this.#alerted.clear()
    this.#alerted.add(key)
    return true
  }

  #event(action: string, call: Call, detail: Record<string, string>): void {
    const { task } = call
    this.recordEvent(action, {
      kind: 'alert',
      reason: 'placeholder-misused',
      outcome: 'failure',
      ...(task && { task }),
      detail: { call: call.id, ...detail },
    })
  }

  #appendEnd(call: Call): void {
    const { journal, now, redactor } = this.#options
    const { text = '', parts } = journal.startOf(call.id) ?? {}
    if (parts !== undefined && isDecidedRequest(call))
      this.#watch(journal.appendText(endedRecord(call, { text, parts }, redactor, now())))
    else this.#append(call, 'call-ended')
  }

  #append(call: Call, action: CallAction): void {
    this.#watch(this.#options.journal.append(this.#record(call, action)))
  }

  // Records of one turn share their promise: whoever is told of it is told once.
  #watch(written: Promise<void>): void {
    if (written === this.#watched) return
    this.#watched = written
    written.catch(this.#options.onLost)
  }

  #record(call: Call, action: CallAction): ReturnType<typeof callRecord> {
    return callRecord(factsOf(call), action, this.#options.now())
  }
}
