// What the bytes of a call mean, as rules see it: an MCP message, a question to a model, a GraphQL document, a git command.
// Values only: `inspect/` reads them out of bytes, `match.ts` holds rules against them.

import type { Reason } from '../errors.ts'

/** The recognisers that rules can ask for; `body` is JSON that may be of any other kind too, and that conditions read. */
export const INSPECTORS = ['mcp', 'model', 'graphql', 'git', 'body'] as const

/** One of them. */
export type Inspector = (typeof INSPECTORS)[number]

/** The lists of names that an MCP server has. */
export type McpList = 'tools' | 'resources' | 'prompts'

/** One MCP message, or the HTTP request around messages. */
export interface McpSubject {
  /**
   * `session`: a message that passes with any rule for its server; `item`: one that names a tool, a resource or a prompt;
   * `other`: a message that no rule can name (sampling, elicitation, roots, an unknown method).
   */
  readonly kind: 'session' | 'item' | 'other'
  /** The JSON-RPC method; empty for the HTTP request itself and for responses. */
  readonly method: string
  /** Of an `item`. */
  readonly list?: McpList
  /** Of an `item`: the tool's name, the resource's URI as it is sent, the prompt's name. */
  readonly name?: string
  /** Of a tool call, for conditions; undefined where there are none. */
  readonly arguments?: unknown
  /** Of a name in a list that a server shows: with what it will be asked for is not known yet. */
  readonly isShown?: true
}

/** One question to a model. */
export interface ModelSubject {
  /** As OpenTelemetry names it: `chat`, `text_completion`, `embeddings`, `generate_content`, `count_tokens`, …. */
  readonly operation: string
  /** As sent; undefined where the request names none. */
  readonly model: string | undefined
  /** Whether the operation makes output that is counted in tokens. */
  readonly hasOutput: boolean
  /** Most tokens of output that the request asks for, all choices together; undefined: as many as the model likes. */
  readonly maxTokens: number | undefined
  /** What the provider is asked to run or fetch by itself, by the provider's name for it, such as `web_search_20250305`. */
  readonly serverTools: readonly string[]
}

/** One operation of a GraphQL document. */
export interface GraphqlOperation {
  readonly type: 'query' | 'mutation' | 'subscription'
  /** Every field asked for by its names in the schema from the root on, aliases and fragments resolved, such as
   * `['repository', 'issues', 'nodes']`; a field with fields below it is there too; `__typename` is not. */
  readonly fields: readonly (readonly string[])[]
  /** Whether it asks for `__schema` or `__type`. */
  readonly introspection: boolean
}

/** The operations of one GraphQL request, those of all its batch and of all its documents. */
export interface GraphqlSubject {
  readonly operations: readonly GraphqlOperation[]
}

/** One change that a push asks for. */
export interface GitCommand {
  /** The full name, such as `refs/heads/main`. */
  readonly ref: string
  readonly change: 'create' | 'update' | 'delete'
  /** `fast-forward`: shown by the pack to keep every commit that was there; undefined where `change` is not `update`. */
  readonly update?: 'fast-forward' | 'unproven'
}

/** One request of git over HTTP. */
export interface GitSubject {
  /** The path without its leading slash, the service and `.git`, one reading: `acme/widgets`. */
  readonly repo: string
  readonly service: 'upload-pack' | 'receive-pack'
  /** Of a push; empty for everything before it. */
  readonly commands: readonly GitCommand[]
}

/** A body that is JSON, whatever else it is. */
export interface BodySubject {
  readonly json: unknown
}

/** What was read of a call. A recogniser that was asked and is not there found that the bytes are not of its kind. */
export interface Content {
  readonly mcp?: McpSubject
  readonly model?: ModelSubject
  readonly graphql?: GraphqlSubject
  readonly git?: GitSubject
  /** Beside any other kind, where a condition reads it, the body is small enough, and it is JSON. */
  readonly body?: BodySubject
  /** Why the bytes could not be understood: no allow that looks inside matches, and every deny that does. */
  readonly fault?: Reason
}

/** How much of what is said a record keeps. */
export const CONTENT_MODES = ['off', 'digest', 'redacted', 'full'] as const

/** One of them, from the least to the most. */
export type ContentMode = (typeof CONTENT_MODES)[number]

/** What records keep of prompts and of tool calls. */
export interface ContentModes {
  readonly prompts: ContentMode
  readonly tools: ContentMode
}
