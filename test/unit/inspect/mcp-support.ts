// A judge by lists, messages and streams for the tests of `src/inspect/mcp/`.
// Not a test itself; used by the tests beside it.

import { EgressError, type Reason } from '../../../src/errors.ts'
import type { JsonValue } from '../../../src/inspect/fields.ts'
import { McpExchange } from '../../../src/inspect/mcp/exchange.ts'
import type { AnswerContext, McpJudge } from '../../../src/inspect/mcp/judge.ts'
import type { McpMessage, MessageId } from '../../../src/inspect/mcp/messages.ts'
import type { McpList } from '../../../src/policy/subject.ts'
import type { Body, RawHeaders } from '../../../src/wire/body.ts'

/** The stateless revision's key for the version in `_meta`. */
export const VERSION_KEY: string = 'io.modelcontextprotocol/protocolVersion'

/** One call of the judge. */
export interface Judged {
  readonly message: McpMessage
  readonly context: AnswerContext
}

/** Decides by a set of names: an item passes where its name is there, the session always, what no rule can name never. */
export class ListJudge implements McpJudge {
  readonly judged: Judged[] = []
  readonly endpoints: string[] = []
  readonly methods: Map<MessageId, string> = new Map()
  readonly #names: ReadonlySet<string>
  readonly #others: ReadonlySet<string>

  constructor(names: readonly string[] = [], others: readonly string[] = []) {
    this.#names = new Set(names)
    this.#others = new Set(others)
  }

  judge(message: McpMessage, context: AnswerContext): Reason {
    this.judged.push({ message, context })
    const isAllowed = message.subjects.every(
      ({ kind, method, name = '' }) =>
        kind === 'session' ||
        (kind === 'item' && this.#names.has(name)) ||
        this.#others.has(method),
    )
    return isAllowed ? 'allowed' : 'operation-not-allowed'
  }

  mayUse(_list: McpList, name: string): boolean {
    return this.#names.has(name)
  }

  methodOf(id: MessageId): string | undefined {
    return this.methods.get(id)
  }

  noteEndpoint(path: string, query: string): void {
    this.endpoints.push(path + query)
  }
}

/** An exchange over one POST, or whatever `method` says. */
export function makeExchange(
  judge: McpJudge,
  method = 'POST',
  headers: RawHeaders = ['Content-Type', 'application/json'],
  definition?: JsonValue,
): McpExchange {
  return new McpExchange({
    request: { method, origin: 'https://mcp.example.com', path: '/mcp', headers },
    judge,
    definitionOf: () => definition,
    context: { callId: 'call-1', taskId: 'task-1' },
    bounds: { messageBytesMax: 65_536, mcpBatchMax: 100 },
  })
}

/** A value as the bytes of a body. */
export function toBytes(value: unknown): Buffer {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
}

/** A request of JSON-RPC. */
export function request(method: string, params?: object, id: MessageId = 1): object {
  return { jsonrpc: '2.0', id, method, ...(params && { params }) }
}

/** Chunks as a body that says after each that nothing has arrived yet. */
export class ChunkBody implements Body {
  readonly length: number | undefined
  readonly trailers: RawHeaders = []
  cause: Error | undefined
  readonly #chunks: (Uint8Array | undefined)[]

  constructor(chunks: readonly Uint8Array[], length?: number) {
    this.#chunks = chunks.flatMap((chunk) => [chunk, undefined])
    this.length = length
  }

  read(): Uint8Array | null | undefined {
    if (this.cause) throw this.cause
    return this.#chunks.length > 0 ? this.#chunks.shift() : null
  }

  wait(): Promise<void> {
    return Promise.resolve()
  }

  abort(cause: Error): void {
    this.cause = cause
  }
}

/** All of a body as text. */
export async function readAll(body: Body): Promise<string> {
  const chunks: Uint8Array[] = []
  for (let chunk = body.read(); chunk !== null; chunk = body.read())
    if (chunk === undefined) await body.wait()
    else chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/** What a call is refused with, and where; undefined where it is not. */
export function faultOf(call: () => unknown): string | undefined {
  try {
    call()
    return undefined
  } catch (error) {
    return faultText(error)
  }
}

/** The same of a promise. */
export async function faultLater(call: Promise<unknown>): Promise<string | undefined> {
  try {
    await call
    return undefined
  } catch (error) {
    return faultText(error)
  }
}

function faultText(error: unknown): string {
  if (!(error instanceof EgressError)) throw error
  return `${error.reason} ${Object.values(error.detail).slice(0, 2).join(' ')}`.trim()
}
