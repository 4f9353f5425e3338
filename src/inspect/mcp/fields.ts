// What a record says of a message, in OpenTelemetry's names for MCP (Development). Deliberately ignorant of how much of what is
// said may be kept: a function given in decides it. Called by `understand/mcp-judge.ts`.

import type { InspectedFields, JsonValue, KeptContent } from '../fields.ts'
import { redactText } from '../redact.ts'
import type { McpMessage, McpRequest, McpResponse } from './messages.ts'
import { type JsonObject, own } from '../json-values.ts'

/** What is known around a message. */
export interface FieldsContext {
  /** Decides what of arguments and results is kept. */
  readonly keep: (value: JsonValue) => KeptContent | undefined
  /** The client's request that a response answers. */
  readonly request?: McpRequest
  readonly protocolVersion?: string
  readonly sessionId?: string
  /** `sha256:` of the definition of the tool that is called. */
  readonly definition?: string
}

// More of it is no name any more.
const TEXT_LENGTH_MAX = 8192
const WITH_OUTPUT: ReadonlySet<string> = new Set([
  'tools/call',
  'prompts/get',
  'resources/read',
  'tasks/result',
])

/** The members that a message adds to its record. @see https://opentelemetry.io/docs/specs/semconv/gen-ai/mcp/ */
export function messageFields(message: McpMessage, context: FieldsContext): InspectedFields {
  const about = message.kind === 'response' ? context.request : message
  const id = message.kind === 'notification' ? null : message.id
  return {
    ...protocolFields(about, context),
    ...(id !== null && { jsonrpc: { request: { id: String(id) } } }),
    ...(message.kind === 'response'
      ? responseFields(message, about, context)
      : callFields(message, context)),
  }
}

type Call = Exclude<McpMessage, McpResponse>

function protocolFields(
  about: Call | undefined,
  { protocolVersion, sessionId }: FieldsContext,
): InspectedFields {
  const uri = about?.params && textAt(about.params, 'uri')
  const mcp: NonNullable<InspectedFields['mcp']> = {
    ...(about && { method: { name: about.method } }),
    ...(protocolVersion !== undefined && { protocol: { version: protocolVersion } }),
    ...(sessionId !== undefined && { session: { id: sessionId } }),
    ...(uri !== undefined && { resource: { uri: redactText(uri) } }),
  }
  return Object.keys(mcp).length > 0 ? { mcp } : {}
}

function callFields(message: Call, { keep, definition }: FieldsContext): InspectedFields {
  const { method, params = {} } = message
  const name = textAt(params, 'name')
  if (message.kind !== 'request' || name === undefined) return {}
  if (method !== 'tools/call' && method !== 'prompts/get') return {}
  const given = own(params, 'arguments')
  const kept = given === undefined ? undefined : keep(given)
  const content = {
    ...(kept && { input: withoutValue(kept) }),
    ...(definition !== undefined && { definition }),
  }
  return {
    gen_ai:
      method === 'prompts/get'
        ? { prompt: { name } }
        : toolFields(name, kept?.value === undefined ? undefined : { arguments: kept.value }),
    ...(Object.keys(content).length > 0 && { content }),
  }
}

function responseFields(
  { result, error }: McpResponse,
  request: Call | undefined,
  { keep }: FieldsContext,
): InspectedFields {
  const name = request?.params && textAt(request.params, 'name')
  const isTool = request?.method === 'tools/call' && name !== undefined
  const kept = result && request && WITH_OUTPUT.has(request.method) ? keep(result) : undefined
  const value = kept?.value
  return {
    ...(isTool && {
      gen_ai: toolFields(name, value === undefined ? undefined : { result: value }),
    }),
    ...(request?.method === 'prompts/get' &&
      name !== undefined && { gen_ai: { prompt: { name } } }),
    ...(error && errorFields(error)),
    ...(isTool && result && own(result, 'isError') === true && { error: { type: 'tool_error' } }),
    ...(kept && { content: { output: withoutValue(kept) } }),
  }
}

function toolFields(
  name: string,
  call: { readonly arguments?: JsonValue; readonly result?: JsonValue } | undefined,
): NonNullable<InspectedFields['gen_ai']> {
  return { operation: { name: 'execute_tool' }, tool: { name, ...(call && { call }) } }
}

function errorFields(error: JsonObject): InspectedFields {
  const code = JSON.stringify(own(error, 'code') ?? null)
  return { rpc: { response: { status_code: code } }, error: { type: code } }
}

function withoutValue({ digest, bytes, truncated }: KeptContent): Omit<KeptContent, 'value'> {
  return { digest, bytes, ...(truncated && { truncated }) }
}

function textAt(params: JsonObject, key: string): string | undefined {
  const value = own(params, key)
  return typeof value === 'string' && value.length <= TEXT_LENGTH_MAX ? value : undefined
}
