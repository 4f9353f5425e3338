// Reads what is asked in Gemini's shapes, of Google AI and of Vertex, members in camelCase and in snake_case. Deliberately
// not what the provider runs: `server-tools.ts`. Called by `request.ts`.

import type { JsonValue } from '../fields.ts'
import type { ModelEndpoint } from './api.ts'
import { readChoices, readTokens, timesOf, type Asked } from './asked.ts'
import {
  contentParts,
  otherPart,
  textPart,
  toolCallPart,
  toolResultPart,
  type MessagePart,
  type ModelMessage,
} from './messages.ts'
import type { JsonObject } from '../json-values.ts'
import { anyMemberOf, asList, asObject, asText, listOf, memberOf } from './shape.ts'

const CONFIG = ['generationConfig', 'generation_config']
const SYSTEM = ['systemInstruction', 'system_instruction']
const COUNTED = ['generateContentRequest', 'generate_content_request']

/** What a Gemini request asks. @throws malformed-body in strict reading */
export function readGemini(body: JsonObject, endpoint: ModelEndpoint, isStrict: boolean): Asked {
  const config = asObject(anyMemberOf(body, CONFIG))
  const tokens = readTokens(anyMemberOf(config, ['maxOutputTokens', 'max_output_tokens']), isStrict)
  const choices = readChoices(anyMemberOf(config, ['candidateCount', 'candidate_count']), isStrict)
  const inner = innerRequests(body, endpoint)
  const otherModels = inner
    .map((request) => memberOf(request, 'model'))
    .filter((model) => model !== undefined)
    .map((model) => withoutPrefix(model))
  return {
    model: withoutPrefix(memberOf(body, 'model')),
    ...(otherModels.length > 0 && { otherModels }),
    maxTokens: timesOf(tokens, choices),
    messages: [body, ...inner].flatMap((request) => readPrompt(request)),
    isStream: false,
  }
}

// A batch of contents, and what tokens are counted of, are whole requests inside.
function innerRequests(body: JsonObject, endpoint: ModelEndpoint): JsonObject[] {
  if (endpoint === 'batchEmbedContents')
    return (asList(memberOf(body, 'requests')) ?? []).map((request) => asObject(request) ?? {})
  const counted = endpoint === 'countTokens' ? asObject(anyMemberOf(body, COUNTED)) : undefined
  return counted === undefined ? [] : [counted]
}

function withoutPrefix(model: JsonValue): JsonValue
function withoutPrefix(model: JsonValue | undefined): JsonValue | undefined
function withoutPrefix(model: JsonValue | undefined): JsonValue | undefined {
  return typeof model === 'string' ? model.replace(/^models\//, '') : model
}

function readPrompt(body: JsonObject): ModelMessage[] {
  const system = anyMemberOf(body, SYSTEM)
  const list = listOf(anyMemberOf(body, ['contents', 'content']))
  return [
    ...(system === undefined ? [] : [{ ...readContent(system), role: 'system' }]),
    ...list.map((content) => readContent(content)),
  ]
}

function readContent(value: JsonValue): ModelMessage {
  const text = asText(value)
  if (text !== undefined) return { role: 'user', parts: [textPart(text)] }
  const content = asObject(value)
  const role = asText(memberOf(content, 'role')) ?? 'user'
  const parts = contentParts(memberOf(content, 'parts'), readGeminiPart)
  return { role: role === 'model' ? 'assistant' : role, parts }
}

function readGeminiPart(part: JsonObject): MessagePart {
  const call = asObject(anyMemberOf(part, ['functionCall', 'function_call']))
  if (call)
    return toolCallPart(memberOf(call, 'id'), memberOf(call, 'name'), memberOf(call, 'args'))
  const result = asObject(anyMemberOf(part, ['functionResponse', 'function_response']))
  if (result) {
    const id = memberOf(result, 'id') ?? memberOf(result, 'name')
    return toolResultPart(id, memberOf(result, 'response'))
  }
  const text = asText(memberOf(part, 'text'))
  if (text !== undefined)
    return memberOf(part, 'thought') === true
      ? { type: 'reasoning', content: text }
      : textPart(text)
  return otherPart(Object.keys(part).find((name) => name !== 'thoughtSignature') ?? 'unknown', part)
}
