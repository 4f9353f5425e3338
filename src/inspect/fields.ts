// What a recogniser says of a call or a message for the record, in the field names of ECS and OpenTelemetry (GenAI and MCP
// conventions, Development). Types only; made in this room, written by `record/`.

/** A value of JSON. */
export type JsonValue =
  string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue }

/** What was said, as the record's mode lets it be kept. */
export interface KeptContent {
  /** `sha256:` and 64 hex digits over the canonical JSON of what was said: the same words have the same one. */
  readonly digest: string
  /** Bytes of the canonical JSON. */
  readonly bytes: number
  /** Only where the mode is `redacted` or `full`. */
  readonly value?: JsonValue
  /** The value was cut: it is larger than a record keeps. */
  readonly truncated?: true
}

/** Members that are added to a record. */
export interface InspectedFields {
  readonly gen_ai?: {
    /** Absent where a prompt of an MCP server is named: that is no operation of the standard. */
    readonly operation?: { readonly name: string }
    readonly provider?: { readonly name: string }
    readonly request?: {
      readonly model?: string
      readonly max_tokens?: number
      readonly stream?: boolean
    }
    readonly response?: {
      readonly id?: string
      readonly model?: string
      readonly finish_reasons?: readonly string[]
    }
    readonly usage?: { readonly input_tokens?: number; readonly output_tokens?: number }
    /** The session that a model and its client are in. */
    readonly conversation?: { readonly id: string }
    readonly tool?: {
      readonly name: string
      readonly call?: {
        readonly id?: string
        readonly arguments?: JsonValue
        readonly result?: JsonValue
      }
    }
    readonly prompt?: { readonly name: string }
    readonly input?: { readonly messages: JsonValue }
    readonly output?: { readonly messages: JsonValue }
  }
  readonly mcp?: {
    readonly method?: { readonly name: string }
    readonly protocol?: { readonly version: string }
    readonly session?: { readonly id: string }
    readonly resource?: { readonly uri: string }
  }
  readonly jsonrpc?: { readonly request: { readonly id: string } }
  readonly rpc?: { readonly response: { readonly status_code: string } }
  readonly error?: { readonly type: string }
  /** Below `sallyport.content`: what the standards have no name for. */
  readonly content?: {
    /** Of prompt or arguments. */
    readonly input?: Omit<KeptContent, 'value'>
    /** Of completion or result. */
    readonly output?: Omit<KeptContent, 'value'>
    /** Tools that the model asks for, by name, each as often as it is asked for. */
    readonly tool_calls?: readonly string[]
    /** How many results of tools the prompt brings. */
    readonly tool_results?: number
    /** Ids of the answers within one session, the first of them where they are many. */
    readonly responses?: readonly string[]
    readonly server_tools?: readonly string[]
    readonly graphql?: {
      readonly operations: readonly string[]
      readonly fields: readonly string[]
    }
    readonly git?: {
      readonly repo: string
      readonly service: string
      readonly commands: readonly string[]
    }
    /** `sha256:` of a tool's definition. */
    readonly definition?: string
    /** Why not all of it was understood. */
    readonly unread?: string
  }
}
