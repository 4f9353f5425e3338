// MCP: what the client posts is read whole and each message of it judged before any of it leaves; what the server answers is
// judged as it comes. Called by `inside.ts`.

import type { Answer, Inspection, UpstreamResponse } from '../call.ts'
import { EgressError, REASONS, type Reason } from '../errors.ts'
import { acceptsEvents } from '../inspect/mcp/content-type.ts'
import { McpExchange } from '../inspect/mcp/exchange.ts'
import { askPlainly, isMcpRequest } from '../inspect/mcp/head.ts'
import {
  outlineMessage,
  SESSION_SUBJECT,
  type McpMessage,
  type McpMessages,
} from '../inspect/mcp/messages.ts'
import { refuseMcp, type RefusalContext } from '../inspect/mcp/refusal.ts'
import { resemblesMcp } from '../inspect/mcp/resemblance.ts'
import type { Verdict } from '../judge.ts'
import type { Unit } from '../ledger/owed.ts'
import type { BodySubject } from '../policy/subject.ts'
import type { Parts } from '../stages.ts'
import { NO_BODY, type Body } from '../wire/body.ts'
import { firstValue } from '../wire/headers.ts'
import {
  makeInspection,
  readFault,
  type Reading,
  type Screened,
  type WholeCall,
} from './inspection.ts'
import { joinVerdicts } from './join-verdicts.ts'
import { McpCallJudge, type Judged } from './mcp-judge.ts'
import { originOf } from './mcp-open.ts'

const NOTHING = new Uint8Array()

/**
 * Reads what a client posts; undefined where the call is none of MCP.
 * @throws protocol-not-allowed where a server might take it for one
 */
export function readMcpPost({ call, bytes, body, parts, json }: WholeCall): Reading | undefined {
  const { method, headers } = call.request
  if (isMcpRequest(method, headers)) return new McpCall(call, parts, json).read(bytes, body)
  if (resemblesMcp(method, headers, bytes))
    throw new EgressError('protocol-not-allowed', { part: 'head' })
  return undefined
}

/** A request without a body: the stream of a session, or its end; undefined where the call is none of MCP. */
export function openMcpStream(call: Screened, parts: Parts): Reading | undefined {
  const { method, headers } = call.request
  if (method === 'POST' || !isMcpRequest(method, headers)) return undefined
  return new McpCall(call, parts).read(NOTHING, NO_BODY)
}

class McpCall {
  readonly #judge: McpCallJudge
  readonly #exchange: McpExchange
  readonly #context: RefusalContext
  readonly #call: Screened

  constructor(call: Screened, parts: Parts, json?: BodySubject) {
    this.#call = call
    const { request, identity } = call
    let keptBytes = 0
    // A client of the streams' own revisions accepts one as an answer; one of the older transport looks at the status alone.
    const isOldTransport = request.method === 'POST' && !acceptsEvents(request.headers)
    this.#context = { callId: call.id, taskId: identity.task.id, isOldTransport }
    this.#judge = new McpCallJudge(call, parts, { exchange: () => this.#exchange, json })
    this.#exchange = new McpExchange({
      request: {
        method: request.method,
        origin: originOf(request),
        path: request.path.raw,
        headers: request.headers,
      },
      judge: this.#judge,
      // Digests alone are kept of definitions, so that a header is held to the arguments by value.
      definitionOf: () => undefined,
      context: this.#context,
      bounds: parts.limits,
      onKept: (bytes) => {
        if (bytes > keptBytes) parts.shares.hold(call, bytes - keptBytes)
        else if (bytes < keptBytes) parts.shares.letGo(call, keptBytes - bytes)
        keptBytes = bytes
      },
    })
  }

  read(bytes: Uint8Array, body: Body): Reading {
    try {
      return this.#judgeMessages(this.#exchange.readRequest(bytes), body)
    } catch (error) {
      if (!(error instanceof EgressError)) throw error
      const writeRefusal = (): Answer => this.#exchange.refuseRead(error)
      return readFault(error, makeInspection({ body, writeRefusal }))
    }
  }

  #judgeMessages({ messages, isBatch }: McpMessages, body: Body): Reading {
    const content = { mcp: SESSION_SUBJECT }
    const said = { judged: this.#decideAll(messages) }
    const inspection = this.#makeInspection(said, isBatch, body)
    const verdict = this.#join(said.judged)
    if (verdict?.decision.verdict !== 'hold')
      return { content, inspection, ...(verdict && { verdict }) }
    const again = (): Verdict => {
      this.#judge.renewRules()
      said.judged = this.#decideAll(messages)
      return this.#join(said.judged) ?? verdict
    }
    return { content, inspection, verdict: { ...verdict, again, messages } }
  }

  #decideAll(messages: readonly McpMessage[]): readonly Judged[] {
    return messages.map((message) => this.#judge.decide(message))
  }

  // A batch is sent whole or not at all.
  #join(judged: readonly Judged[]): Verdict | undefined {
    const refused = judged.find(({ verdict }) => verdict.decision.verdict === 'deny')
    return refused ? refused.verdict : joinVerdicts(judged.map((each) => each.verdict))
  }

  #makeInspection(said: { judged: readonly Judged[] }, isBatch: boolean, body: Body): Inspection {
    let isOnRecord = false
    return makeInspection({
      body,
      rewriteHead: askPlainly,
      recordRequest: async () => {
        isOnRecord = true
        for (const each of said.judged) this.#judge.noteSent(each)
        const recorded = said.judged.map((each) => this.#judge.record(each))
        // The answer may go on for hours, and what was said is on record.
        said.judged = said.judged.map((each) => ({
          ...each,
          message: outlineMessage(each.message),
        }))
        await Promise.all(recorded)
      },
      filterResponse: (response) => this.#filterResponse(response),
      writeRefusal: (reason) => this.#writeRefusal(said.judged, isBatch, reason),
      units: said.judged.map(unitOf),
      finish: () => {
        if (!isOnRecord) for (const each of said.judged) this.#judge.recordRefused(each, isBatch)
      },
    })
  }

  async #filterResponse(response: UpstreamResponse): Promise<UpstreamResponse> {
    const location = firstValue(response.headers, 'location')
    if (location !== undefined && response.status >= 300 && response.status < 400)
      this.#judge.noteRedirect(location)
    return { ...response, ...(await this.#exchange.filterResponse(response, response.body)) }
  }

  // What failed on the way to the server is no refusal, and told as to any other client.
  #writeRefusal(judged: readonly Judged[], isBatch: boolean, reason: Reason): Answer | undefined {
    const { status } = REASONS[reason]
    if (judged.length === 0 || status >= 500) return undefined
    // Of those that a person is asked about the call's reason tells what came of it.
    const own = judged.map(({ verdict: { decision } }) =>
      decision.verdict === 'hold' ? reason : decision.reason,
    )
    const outcomes = own.every((each) => each === 'allowed') ? own.map(() => reason) : own
    const messages = judged.map(({ message }) => message)
    const { hold, wait } = this.#call
    const context = { ...this.#context, wait, ...(hold && { hold: hold.id }) }
    return refuseMcp(messages, outcomes, isBatch, context)
  }
}

// I8: what a message counts against is what its own rules say, and it is refused by itself.
function unitOf({ message, verdict }: Judged): Unit {
  const { subject } = message
  const tool = message.kind === 'request' && subject.list === 'tools' ? subject.name : undefined
  const { verdict: said, obligations } = verdict.decision
  return { isRefused: said === 'deny', quotas: obligations.quotas, tool }
}
