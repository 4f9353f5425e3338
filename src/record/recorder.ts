// Puts calls on record: `call-started` before the first byte leaves, one terminal record on every path, progress and the
// call's messages in between, alerts beside. Counts metrics, and keeps floods of refusals and of messages exact. Made by
// `config/records.ts`, called by the steps of a call (`stages.ts`) and by whoever records an event.

import type { Call, Message } from '../call.ts'
import { EgressError } from '../errors.ts'
import type { Redactor } from '../inspect/redactor.ts'
import type { Limits } from '../limits.ts'
import type { Alerts, Detected } from './detect/alerts.ts'
import type { Detector } from './detect/detector.ts'
import { callRecord, eventRecord, type EventFields } from './ecs.ts'
import {
  endedRecord,
  isDecidedRequest,
  isDecidedTunnel,
  startedRecord,
  tunnelRecord,
} from './call-text.ts'
import { dnsRecord, type RefusedQuery } from './dns-record.ts'
import { factsOf, type CallAction } from './facts.ts'
import type { DenialLimiter } from './flood.ts'
import type { Journal } from './journal/journal.ts'
import { MessageLimiter } from './message-flood.ts'
import { isRefused, messageReason, messageRecord } from './message-record.ts'
import type { Metrics } from './metrics/metrics.ts'
import { isRegulatedData } from './sinks/filter.ts'
import type { SinkGate } from './sinks/gate.ts'

/** What recording needs. */
export interface RecorderOptions {
  readonly journal: Journal
  /** Undefined: no sink holds a call back. */
  readonly gate?: SinkGate
  readonly denials: DenialLimiter
  readonly alerts: Alerts
  readonly detector: Detector
  readonly metrics: Metrics
  readonly now: () => number
  readonly limits: Pick<Limits, 'messageRecordsPerSecond'>
  /** Takes secrets out of what is made past the journal's own. */
  readonly redactor: Redactor
  /** Told of every call that is over. */
  readonly onEnd?: (call: Call, wasDenied: boolean) => void
  /** Told of every event that is put on record beside the calls. */
  readonly onEvent?: (action: string, fields: Omit<EventFields, 'now'>) => void
  /** Told, once a write, of records that could not be written after their calls had begun: there is nothing left to refuse. */
  readonly onLost: (error: unknown) => void
}

/** Of what a server names, as much as an alert that tells many repeats. */
const ABOUT_CHARACTERS_MAX = 128

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
    const { journal, detector, now, gate, redactor } = this.#options
    if (gate?.isOpen === false) {
      const sinks = gate.heldBy(isRegulatedCall(call))
      if (sinks.length > 0)
        return Promise.reject(new EgressError('audit-unavailable', { sinks: sinks.join(', ') }))
    }
    const started = isDecidedRequest(call)
      ? startedRecord(call, now(), redactor)
      : isDecidedTunnel(call) && tunnelRecord(call, 'call-started', now(), redactor)
    const written = started
      ? journal.appendText(started)
      : journal.append(this.#record(call, 'call-started'))
    detector.noteStart(call)
    return written
  }

  /** Writes what moved so far. */
  recordProgress(call: Call): void {
    this.#options.detector.noteBytes(call, false)
    this.#append(call, 'call-progress')
  }

  /**
   * Writes a message of a call, and resolves when it may be passed on: it is on record, or counted with others of a flood. A
   * refused one is not waited for, as nothing of it leaves.
   * @throws EgressError audit-unavailable as a rejection: the message is not on record and must not be passed on
   */
  recordMessage(call: Call, message: Message): Promise<void> {
    const { journal, metrics, denials, detector, now } = this.#options
    const isDenied = isRefused(call, message)
    const reason = messageReason(call, message)
    metrics.countMessage(isDenied ? 'deny' : 'allow', reason, message.decisionUs / 1e6)
    if (isDenied) {
      const isRecorded = denials.admit(call.task, reason, now(), 'message-denied')
      detector.noteDenial(call.task, reason, call.id, isRecorded)
      if (isRecorded) this.#watch(journal.append(messageRecord(call, message, now())))
      return Promise.resolve()
    }
    if (!this.#messages.admit(call, message)) return Promise.resolve()
    return journal.append(messageRecord(call, message, now()))
  }

  /** Writes the one terminal record of a call. */
  recordEnd(call: Call): void {
    const denied = call.cleared !== true
    const { metrics, detector, onEnd } = this.#options
    this.#messages.endCall(call)
    const usage = call.inspected?.gen_ai?.usage
    if (usage !== undefined) metrics.countTokens(usage.input_tokens, usage.output_tokens)
    onEnd?.(call, denied)
    metrics.countCall(denied ? 'deny' : 'allow', call.reason, call.decisionUs / 1e6)
    if (!denied) {
      detector.noteBytes(call, true)
      this.#appendEnd(call)
      return
    }
    const detected = this.#detectedIn(call)
    const isRecorded = this.#isRecorded(call, detected)
    detector.noteDenial(call.task, call.reason, call.id, isRecorded)
    if (isRecorded) this.#append(call, 'call-denied')
    if (detected) this.#options.alerts.raise({ ...detected, calls: isRecorded ? [call.id] : [] })
  }

  /** Whether what is refused now can be put on record. */
  get canRecord(): boolean {
    return this.#options.journal.stats.available
  }

  /** Writes that a DNS query was refused, or counts it with others of a flood. */
  recordRefusedQuery(query: RefusedQuery): void {
    const { journal, denials, detector, now } = this.#options
    const { task, reason } = query
    const isRecorded = denials.admit(task, reason, now(), 'dns-denied')
    // It is no call that an alert could name.
    detector.noteDenial(task, reason, undefined, false)
    if (isRecorded) this.#watch(journal.append(dnsRecord(query, now())))
  }

  /** A placeholder travels in a body to a place where it is worthless: one alert a task, credential and destination. */
  recordPlaceholderInBody(call: Call, credential: string): void {
    const { host = '', port = 0 } = call.request?.endpoint ?? {}
    if (!this.#isFirst(`${call.task?.id} body ${host} ${port} ${credential}`)) return
    const detail = { call: call.id, credential, place: 'body', host }
    this.#options.alerts.raise({ ...placeholderMisused(call, credential), detail })
  }

  /** An upstream sends a credential of the task back. */
  recordEcho(
    call: Call,
    credential: string,
    place: 'header' | 'trailer' | 'body' | 'message',
  ): void {
    const { task } = call
    const host = call.request?.endpoint.host ?? ''
    const detail = { credential, place, host }
    const name = 'credential-echoed'
    const about = `${credential} ${host}`
    this.#options.alerts.raise({
      name,
      reason: name,
      task,
      calls: [call.id],
      count: 1,
      about,
      detail,
    })
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
    const { tool, server, digest } = detail
    if (!this.#isFirst(`${task.id} tool ${server} ${tool} ${digest}`)) return
    const name = 'tool-definition-changed'
    const about = tool.slice(0, ABOUT_CHARACTERS_MAX)
    const { endpoint } = call.request ?? {}
    const made = { name, reason: name, task, calls: [call.id], count: 1, about, detail } as const
    this.#options.alerts.raise(endpoint ? { ...made, endpoint } : made)
  }

  /** Writes an event that is no call. */
  recordEvent(action: string, fields: Omit<EventFields, 'now'>): void {
    const { journal, now, onEvent } = this.#options
    onEvent?.(action, fields)
    this.#watch(journal.append(eventRecord(action, { ...fields, now: now() })))
  }

  /** Resolves when what was recorded so far is on the disk, or owed: a journal that cannot write holds nobody up. */
  async settled(): Promise<void> {
    await this.#watched?.catch(() => undefined)
  }

  #isFirst(key: string): boolean {
    if (this.#alerted.has(key)) return false
    // Bounded: past this an alert may repeat, which is the harmless side.
    if (this.#alerted.size >= 10_000) this.#alerted.clear()
    this.#alerted.add(key)
    return true
  }

  // What is an alert is on record however many other refusals there are: no flood hides it.
  #isRecorded({ task, reason }: Call, detected: Detected | undefined): boolean {
    const { alerts, denials, now } = this.#options
    if (detected !== undefined && alerts.hasRoom(detected.name, task)) return true
    return denials.admit(task, reason, now())
  }

  #detectedIn(call: Call): Detected | undefined {
    const { reason, detail, task } = call
    // One in a body has been told when it was seen.
    if (reason === 'placeholder-misused' && detail?.['place'] !== 'body')
      return placeholderMisused(call, String(detail?.['credential'] ?? ''))
    if (reason !== 'identity-shared' || task === undefined) return undefined
    const seen = String(detail?.['seen'] ?? '')
    // A credential came from where it must not: one alert a task and place.
    if (!this.#isFirst(`${task.id} shared ${seen}`)) return undefined
    const bound = task.subject ?? task.sources.join(' ')
    const from = call.arrival.client.address ?? 'unix socket'
    const found = { seen, bound, from }
    return { name: reason, reason, task, calls: [call.id], count: 1, about: seen, detail: found }
  }

  #appendEnd(call: Call): void {
    const { journal, now, redactor } = this.#options
    const { text = '', parts } = journal.startOf(call.id) ?? {}
    if (parts !== undefined && isDecidedRequest(call))
      this.#watch(journal.appendText(endedRecord(call, { text, parts }, redactor, now())))
    else if (isDecidedTunnel(call))
      this.#watch(journal.appendText(tunnelRecord(call, 'call-ended', now(), redactor)))
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

function isRegulatedCall({ decision }: Call): boolean {
  return (
    decision !== undefined && 'obligations' in decision && isRegulatedData(decision.obligations)
  )
}

function placeholderMisused(call: Call, credential: string): Detected {
  return {
    name: 'placeholder-misused',
    reason: 'placeholder-misused',
    task: call.task,
    calls: [call.id],
    count: 1,
    about: credential,
    detail: { call: call.id, credential },
  }
}
