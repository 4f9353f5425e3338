// What a task, or a whole journal, did: counted from its records one by one, in bounded memory however many there are. What a
// flood folded into one record is added with its exact counts. Pure. Called by the CLI's `summary` and by evidence.

import type { RecordBody } from '../body.ts'
import { countOf, Tally, type TallyTable } from './tally.ts'
import { bytesOf, isDenial } from '../usual.ts'

/** Somebody who acted, as records name them. */
export interface SummaryTask {
  readonly id: string
  readonly agent: string
  readonly instance: string
  readonly owner: string
  readonly team: string
  readonly sandbox: string
  readonly intent: string
}

/** A call that has started and has no terminal record yet. */
export interface OpenCallSummary {
  readonly call: string
  readonly since: string
  readonly url: string | undefined
}

/** What was counted. Columns of the tables are named where they are filled. */
export interface Summary {
  /** Records that were read, those that only say that something goes on included. */
  readonly records: number
  readonly firstSeen: string | undefined
  readonly lastSeen: string | undefined
  readonly calls: {
    /** Every call that is over, those that floods folded included; an inspected tunnel counts by what was asked inside it. */
    readonly total: number
    readonly allowed: number
    readonly denied: number
    /** Allowed, and they did not end well. */
    readonly failed: number
    /** Let pass by a rule that only observes. */
    readonly observed: number
    /** Of `denied`, those that have no record of their own. */
    readonly folded: number
    readonly bytesOut: number
    readonly bytesIn: number
    /** Tunnels that were opened and looked into. */
    readonly inspectedTunnels: number
    readonly open: number
    /** The first of them. */
    readonly openCalls: readonly OpenCallSummary[]
  }
  readonly messages: {
    readonly total: number
    readonly allowed: number
    readonly denied: number
    /** Of both, those that have no record of their own. */
    readonly folded: number
  }
  /** `allow REASON` and `deny REASON`: `calls`, `messages`. */
  readonly reasons: TallyTable
  /** `allowed`, `denied`, `calls`, `bytesOut`, `bytesIn`. */
  readonly hosts: TallyTable
  /** `HOST TOOL`: `allowed`, `denied`, `calls`, `failed`. */
  readonly tools: TallyTable
  /** Methods of MCP messages: `allowed`, `denied`, `messages`. */
  readonly methods: TallyTable
  /** `calls`, `inputTokens`, `outputTokens`. */
  readonly models: TallyTable
  /** `NAME ACTION`: `calls`. */
  readonly credentials: TallyTable
  /** `RULESET/ID`: `allowed`, `denied`, `decided`. */
  readonly rules: TallyTable
  /** Alerts and detections: `times`. */
  readonly alerts: TallyTable
  /** Other records by their action: `times`. */
  readonly events: TallyTable
  /** `allowed`, `denied`, `calls`. */
  readonly tasks: TallyTable
  /** The tasks that acted; of many the first. */
  readonly actors: readonly SummaryTask[]
}

const OPEN_MAX = 20_000
const OPEN_SHOWN = 100
const ACTORS_MAX = 100

/** Counts records. */
export class SummaryCounter {
  #records = 0
  #firstSeen: string | undefined
  #lastSeen: string | undefined
  readonly #calls = {
    total: 0,
    allowed: 0,
    denied: 0,
    failed: 0,
    observed: 0,
    folded: 0,
    bytesOut: 0,
    bytesIn: 0,
    inspectedTunnels: 0,
  }
  readonly #messages = { total: 0, allowed: 0, denied: 0, folded: 0 }
  readonly #open: Map<string, OpenCallSummary> = new Map()
  readonly #actors: Map<string, SummaryTask> = new Map()
  readonly #reasons = new Tally()
  readonly #hosts = new Tally()
  readonly #tools = new Tally()
  readonly #methods = new Tally()
  readonly #models = new Tally()
  readonly #credentials = new Tally()
  readonly #rules = new Tally()
  readonly #alerts = new Tally()
  readonly #events = new Tally()
  readonly #tasks = new Tally()

  /** Counts one record. */
  add(record: RecordBody): void {
    const { event } = record
    this.#records += 1
    this.#see(record)
    switch (event.action) {
      case 'call-started':
      case 'call-progress':
        return this.#addOpen(record)
      case 'call-ended':
      case 'call-denied':
        return this.#addCall(record)
      case 'message-allowed':
      case 'message-denied':
        return this.#addMessage(record)
      case 'call-denied-repeated':
      case 'message-denied-repeated':
      case 'message-allowed-repeated':
        return this.#addFolded(record)
      default:
        return this.#addEvent(record)
    }
  }

  /** What was counted so far. */
  summary(): Summary {
    return {
      records: this.#records,
      firstSeen: this.#firstSeen,
      lastSeen: this.#lastSeen,
      calls: {
        ...this.#calls,
        open: this.#open.size,
        openCalls: [...this.#open.values()].slice(0, OPEN_SHOWN),
      },
      messages: { ...this.#messages },
      reasons: this.#reasons.table('calls'),
      hosts: this.#hosts.table('calls'),
      tools: this.#tools.table('calls'),
      methods: this.#methods.table('messages'),
      models: this.#models.table('calls'),
      credentials: this.#credentials.table('calls'),
      rules: this.#rules.table('decided'),
      alerts: this.#alerts.table('times'),
      events: this.#events.table('times'),
      tasks: this.#tasks.table('calls'),
      actors: [...this.#actors.values()],
    }
  }

  #see({ '@timestamp': at, sallyport: { task } }: RecordBody): void {
    if (this.#firstSeen === undefined || at < this.#firstSeen) this.#firstSeen = at
    if (this.#lastSeen === undefined || at > this.#lastSeen) this.#lastSeen = at
    if (task === undefined || this.#actors.has(task.id) || this.#actors.size >= ACTORS_MAX) return
    const { id, agent, instance, owner, team, sandbox, intent } = task
    this.#actors.set(id, { id, agent, instance, owner, team, sandbox, intent })
  }

  #addOpen({ '@timestamp': since, url, sallyport: { call } }: RecordBody): void {
    if (call === undefined || this.#open.has(call.id) || this.#open.size >= OPEN_MAX) return
    this.#open.set(call.id, { call: call.id, since, url: url?.full })
  }

  #addCall(record: RecordBody): void {
    const { event, sallyport, gen_ai: model } = record
    if (sallyport.call !== undefined) this.#open.delete(sallyport.call.id)
    const denied = isDenial(event.action)
    if (!denied && sallyport.inspection === 'connect') {
      this.#calls.inspectedTunnels += 1
      return
    }
    const verdict = denied ? { denied: 1 } : { allowed: 1 }
    const bytes = bytesOf(record)
    const calls = this.#calls
    calls.total += 1
    calls[denied ? 'denied' : 'allowed'] += 1
    if (!denied && event.outcome !== 'success') calls.failed += 1
    if (sallyport.mode === 'observe') calls.observed += 1
    calls.bytesOut += countOf(bytes.bytesOut)
    calls.bytesIn += countOf(bytes.bytesIn)
    this.#reasons.add(`${denied ? 'deny' : 'allow'} ${event.reason ?? ''}`, { calls: 1 })
    const host = hostOf(record)
    if (host !== undefined) this.#hosts.add(host, { ...verdict, ...bytes, calls: 1 })
    if (sallyport.task !== undefined) this.#tasks.add(sallyport.task.id, { ...verdict, calls: 1 })
    this.#addRule(record, verdict)
    if (sallyport.credential !== undefined) {
      const { name, action } = sallyport.credential
      this.#credentials.add(action === undefined ? name : `${name} ${action}`, { calls: 1 })
    }
    this.#addModel(model)
  }

  #addModel(model: RecordBody['gen_ai']): void {
    const name = model?.response?.model ?? model?.request?.model
    if (name === undefined) return
    const { input_tokens: inputTokens, output_tokens: outputTokens } = model?.usage ?? {}
    this.#models.add(name, { inputTokens, outputTokens, calls: 1 })
  }

  #addMessage(record: RecordBody): void {
    const { event, mcp, sallyport, gen_ai: named } = record
    const denied = isDenial(event.action)
    const verdict = denied ? { denied: 1 } : { allowed: 1 }
    this.#messages.total += 1
    this.#messages[denied ? 'denied' : 'allowed'] += 1
    this.#reasons.add(`${denied ? 'deny' : 'allow'} ${event.reason ?? ''}`, { messages: 1 })
    this.#addRule(record, verdict)
    const method = mcp?.method?.name ?? sallyport.message?.kind ?? 'unknown'
    const isAnswer = sallyport.message?.kind === 'response'
    this.#methods.add(isAnswer ? `${method} (answer)` : method, { ...verdict, messages: 1 })
    const tool = named?.tool?.name
    if (tool === undefined) return
    const name = `${hostOf(record) ?? ''} ${tool}`
    if (!isAnswer) this.#tools.add(name, { ...verdict, calls: 1 })
    else if (event.outcome === 'failure' && !denied) this.#tools.add(name, { failed: 1 })
  }

  #addRule({ rule }: RecordBody, verdict: Readonly<Record<string, number>>): void {
    if (rule !== undefined)
      this.#rules.add(`${rule.ruleset}/${rule.id}`, { ...verdict, decided: 1 })
  }

  #addFolded({ event: { action }, sallyport: { detail, task } }: RecordBody): void {
    const count = countOf(detail?.['count'])
    const denied = isDenial(action)
    const verdict = denied ? 'denied' : 'allowed'
    const isOfCalls = action === 'call-denied-repeated'
    const totals = isOfCalls ? this.#calls : this.#messages
    totals.total += count
    totals.folded += count
    totals[verdict] += count
    if (isOfCalls && task !== undefined)
      this.#tasks.add(task.id, { [verdict]: count, calls: count })
    const counted = isOfCalls ? 'calls' : 'messages'
    const reasons = detail?.['reasons']
    if (typeof reasons !== 'object' || reasons === null) {
      this.#reasons.add('allow allowed', { [counted]: count })
      return
    }
    for (const [reason, times] of Object.entries(reasons))
      this.#reasons.add(`${verdict === 'denied' ? 'deny' : 'allow'} ${reason}`, {
        [counted]: times,
      })
  }

  #addEvent({ event, sallyport }: RecordBody): void {
    const times = event.action.endsWith('-repeated') ? countOf(sallyport.detail?.['count']) : 1
    const name = sallyport.detection?.name ?? event.action.replace(/-repeated$/, '')
    if (event.kind === 'alert') this.#alerts.add(name, { times })
    else this.#events.add(name, { times })
  }
}

function hostOf({ destination, url }: RecordBody): string | undefined {
  const host = destination?.domain ?? destination?.ip ?? url?.domain
  const port = destination?.port ?? url?.port
  return host === undefined ? undefined : `${host}:${String(port)}`
}
