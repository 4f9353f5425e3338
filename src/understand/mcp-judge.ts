// Judges the messages of one MCP call, each by itself and with the rules as they are at that moment, puts them on record, and
// asks what is remembered of the server's tools. Called by `mcp.ts` for what the client says and by `inspect/mcp` for what the
// server does.

import { EgressError, type Reason } from '../errors.ts'
import type { JsonValue } from '../inspect/fields.ts'
import { isList, isObject, own } from '../inspect/json-values.ts'
import type { McpExchange } from '../inspect/mcp/exchange.ts'
import { messageFields } from '../inspect/mcp/fields.ts'
import type { AnswerContext, McpJudge } from '../inspect/mcp/judge.ts'
import { definitionDigest } from '../inspect/mcp/lists.ts'
import { type McpMessage, type McpResponse, type MessageId } from '../inspect/mcp/messages.ts'
import { traceOf } from '../inspect/mcp/trace.ts'
import { judge, type Rules, type Verdict } from '../judge.ts'
import type { OpenRequest } from '../ledger/open-requests.ts'
import type { SeenTool } from '../ledger/tool-pins.ts'
import type { Decision } from '../policy/decision.ts'
import type { BodySubject, Content, McpList, McpSubject } from '../policy/subject.ts'
import type { Parts } from '../stages.ts'
import { firstValue } from '../wire/headers.ts'
import { makeUlid } from '../wire/ulid.ts'
import type { Screened } from './inspection.ts'
import { joinVerdicts } from './join-verdicts.ts'
import { keeperFor, modeOf } from './keeping.ts'
import { describeOpen, letThrough, originOf } from './mcp-open.ts'

/** One message and what became of it. */
export interface Judged {
  readonly message: McpMessage
  readonly verdict: Verdict
}

/** What a judge is made within. */
interface Surroundings {
  /** Made with this judge. */
  readonly exchange: () => McpExchange
  /** What was posted, where a condition reads it. */
  readonly json: BodySubject | undefined
}

/** The judge of one call's messages. */
export class McpCallJudge implements McpJudge {
  readonly #call: Screened
  readonly #parts: Parts
  readonly #exchange: () => McpExchange
  readonly #posted: Pick<Content, 'body'> | undefined
  /** Of the last message: what a list in it may show is asked with the same rules. */
  #rules: Rules
  /** The server as its tools are remembered: origin and path. */
  readonly #server: string
  /** Where requests and their answers belong together, by whatever calls they come. */
  #conversation: string

  constructor(call: Screened, parts: Parts, { exchange, json }: Surroundings) {
    this.#call = call
    this.#parts = parts
    this.#exchange = exchange
    this.#posted = json && { body: json }
    this.#rules = call.identity
    const { path, query, headers } = call.request
    this.#server = `${originOf(call.request)}${path.raw}`
    const session = firstValue(headers, 'mcp-session-id') ?? ''
    this.#conversation = `${this.#server}${query === undefined ? '' : `?${query}`} ${session}`
  }

  /** Decides on a message with the rules as they were last looked up: each of its subjects has to be allowed. */
  decide(message: McpMessage): Judged {
    const verdicts: Verdict[] = []
    for (const subject of message.subjects) {
      const verdict = this.#decideSubject(subject)
      if (verdict.decision.verdict === 'deny') return { message, verdict }
      verdicts.push(verdict)
    }
    return { message, verdict: joinVerdicts(verdicts) ?? this.#decideSubject(message.subject) }
  }

  /** Decides from now on with the rules that the call has taken. */
  renewRules(): void {
    this.#rules = this.#call.identity
  }

  /** Puts a message of the client on record. @throws EgressError audit-unavailable */
  record({ message, verdict }: Judged): Promise<void> {
    return this.#record(message, verdict, {}, undefined)
  }

  /** Puts on record that a message of the client does not leave, also where only its call, or another of its batch, is refused. */
  recordRefused({ message, verdict }: Judged, isBatch: boolean): void {
    const { decision } = verdict
    const { reason } = this.#call
    const refused: Verdict =
      decision.verdict !== 'allow'
        ? verdict
        : {
            ...verdict,
            decision: { ...decision, verdict: 'deny', reason },
            detail: isBatch ? { batch: 'refused' } : { call: 'refused' },
          }
    void this.#record(message, refused, {}, undefined)
  }

  /** A request is about to leave: an answer to it may come by another call. */
  noteSent({ message }: Judged): void {
    if (message.kind !== 'request') return
    const { subject, method, id } = message
    const tool = subject.list === 'tools' ? subject.name : undefined
    this.#parts.tools.requests.note(this.#taskId, this.#conversation, id, method, tool)
    if (tool !== undefined) (this.#call.tools ??= new Set()).add(tool)
  }

  judge(message: McpMessage, context: AnswerContext): Reason {
    const reason = this.#renew()
    if (reason !== undefined) return reason
    const open = this.#recall(message)
    if (message.kind === 'response') this.#seeTools(message, context.method ?? open?.method)
    const verdict = letThrough(this.decide(message).verdict)
    // What is told on a stream may be above what the stream itself was let through for.
    const { data } = verdict.decision.obligations
    if (!this.#parts.flow.noteReadOrCut(this.#call, data)) return 'audit-unavailable'
    this.#record(message, verdict, context, open).catch(() => this.#call.cut('audit-unavailable'))
    return verdict.decision.reason
  }

  mayUse(list: McpList, name: string): boolean {
    const subject: McpSubject = { kind: 'item', method: '', list, name, isShown: true }
    return this.#decideSubject(subject).decision.verdict !== 'deny'
  }

  methodOf(id: MessageId): string | undefined {
    return this.#parts.tools.requests.find(this.#taskId, this.#conversation, id)?.method
  }

  noteEndpoint(path: string, query: string): void {
    const endpoint = `${originOf(this.#call.request)}${path}`
    // What is posted there would otherwise be another server's, of which nothing was seen.
    if (!this.#parts.tools.pins.alias(this.#taskId, endpoint, this.#server))
      throw new EgressError('response-malformed', { part: 'endpoint' })
    this.#conversation = `${endpoint}${query} `
  }

  /**
   * A server sends its client on to another path of its own: what it shows there it does not show for the first time.
   * @param location of a redirect, as it came
   */
  noteRedirect(location: string): void {
    const base = `${originOf(this.#call.request)}${this.#call.request.path.raw}`
    if (!URL.canParse(location, base)) return
    const { origin, pathname } = new URL(location, base)
    // One that is known as a server of its own has pins of its own.
    if (origin === new URL(base).origin)
      this.#parts.tools.pins.alias(
        this.#taskId,
        `${originOf(this.#call.request)}${pathname}`,
        this.#server,
      )
  }

  get #taskId(): string {
    return this.#call.identity.task.id
  }

  // I8: a stream may outlive the rules and the task that let it begin.
  #renew(): Reason | undefined {
    const { arrival, request } = this.#call
    try {
      const { policies, moment } = this.#parts.identifier.identify(arrival, request.headers)
      // What a server says goes to the task: nothing is sent by it.
      this.#rules = { policies, moment: () => ({ ...moment(), read: 'public' }) }
      return undefined
    } catch (error) {
      if (error instanceof EgressError) return error.reason
      throw error
    }
  }

  #recall(message: McpMessage): OpenRequest | undefined {
    if (message.kind !== 'response' || message.id === null) return undefined
    return this.#parts.tools.requests.take(this.#taskId, this.#conversation, message.id)
  }

  // Every definition that a server gives is held against the first, also of what the task may not use yet.
  #seeTools({ result }: McpResponse, method: string | undefined): void {
    const tools = result && own(result, 'tools')
    if (!isList(tools) || (method !== undefined && method !== 'tools/list')) return
    const { pins } = this.#parts.tools
    const seen = tools.flatMap((tool) => this.#describeTool(tool))
    const verdicts = pins.seeAll(this.#taskId, this.#server, seen)
    for (const [at, { name, digest, isAllowed }] of seen.entries()) {
      const change = verdicts[at]
      if (isAllowed && (change === 'changed' || change === 'added'))
        this.#parts.recorder.recordToolChange(this.#call, {
          tool: name,
          digest,
          server: this.#server,
          change,
        })
    }
    // Clients ask for no other page where the cursor is null or empty.
    const cursor = result && own(result, 'nextCursor')
    if (typeof cursor !== 'string' || cursor === '') pins.completeList(this.#taskId, this.#server)
  }

  #describeTool(tool: JsonValue): (SeenTool & { readonly isAllowed: boolean })[] {
    const name = nameOf(tool)
    if (name === undefined) return []
    const subject: McpSubject = { kind: 'item', method: '', list: 'tools', name, isShown: true }
    const { decision } = judge(this.#rules, this.#call.request, { mcp: subject })
    const pinned = decision.obligations.pins?.get(name)
    return [
      {
        name,
        digest: definitionDigest(tool),
        isAllowed: decision.verdict !== 'deny',
        ...(pinned !== undefined && { pinned }),
      },
    ]
  }

  #decideSubject(mcp: McpSubject): Verdict {
    const { request } = this.#call
    const verdict = judge(this.#rules, request, { mcp, ...this.#posted })
    const { decision } = verdict
    if (decision.verdict === 'deny' || mcp.list !== 'tools' || mcp.name === undefined)
      return verdict
    const reason = this.#objection(mcp.name, decision)
    return reason === undefined
      ? verdict
      : { ...verdict, decision: { ...decision, verdict: 'deny', reason } }
  }

  // What stands against a tool that the rules allow.
  #objection(tool: string, { obligations }: Decision): Reason | undefined {
    const { switches, tools } = this.#parts
    if (switches.isToolKilled(this.#call.request.endpoint.host, tool)) return 'killed'
    const pinned = obligations.pins?.get(tool)
    const seen = tools.pins.check(this.#taskId, this.#server, tool, pinned)
    // Of a tool that was never listed there is nothing to compare, unless the rule file says what it has to be.
    if (seen === 'ok' || (seen === 'unknown' && pinned === undefined)) return undefined
    return 'tool-definition-changed'
  }

  // By which a person finds out what to pin.
  #definitionOf({ kind, subject: { list, name } }: McpMessage): string | undefined {
    if (kind !== 'request' || list !== 'tools' || name === undefined) return undefined
    return this.#parts.tools.pins.digestOf(this.#taskId, this.#server, name)
  }

  #record(
    message: McpMessage,
    { decision, us, detail }: Verdict,
    context: AnswerContext,
    open: OpenRequest | undefined,
  ): Promise<void> {
    const keeper = keeperFor(this.#call, this.#parts)
    const mode = modeOf(decision, 'tools', this.#parts)
    const trace = traceOf(message)
    const { protocolVersion, sessionId } = this.#exchange()
    const request = context.request ?? (open && describeOpen(message, open))
    const definition = this.#definitionOf(message)
    const fields = messageFields(message, {
      keep: (value) => keeper.keep(value, mode),
      ...(request && { request }),
      ...(protocolVersion !== undefined && { protocolVersion }),
      ...(sessionId !== undefined && { sessionId }),
      ...(definition !== undefined && { definition }),
    })
    return this.#parts.recorder.recordMessage(this.#call, {
      id: makeUlid(Date.now()),
      direction: message.direction,
      kind: message.kind,
      decision,
      decisionId: makeUlid(Date.now()),
      decisionUs: us,
      fields,
      ...(message.kind === 'response' && open === undefined && { isUnasked: true }),
      ...(trace && { trace }),
      ...(detail && { detail }),
    })
  }
}

function nameOf(tool: JsonValue): string | undefined {
  const name = isObject(tool) ? own(tool, 'name') : undefined
  return typeof name === 'string' ? name : undefined
}
