// Reads what is asked in Anthropic's shapes: messages, the counting of their tokens, the older complete; also as Bedrock and
// Vertex carry them. Deliberately not what the provider runs: `server-tools.ts`. Called by `request.ts`.

import type { ModelEndpoint } from './api.ts'
import { largerOf, readTokens, type Asked } from './asked.ts'
import {
  contentParts,
  readTypedPart,
  toolCallPart,
  toolResultPart,
  type MessagePart,
  type ModelMessage,
} from './messages.ts'
import type { JsonObject } from '../json-values.ts'
import { asList, asObject, asText, listOf, memberOf } from './shape.ts'

/** What an Anthropic request asks. @throws malformed-body in strict reading */
export function readAnthropic(
  body: JsonObject,
  _endpoint: ModelEndpoint,
  isStrict: boolean,
): Asked {
  const others = listOf(memberOf(body, 'fallbacks'))
  const bounds = [
    memberOf(body, 'max_tokens'),
    memberOf(body, 'max_tokens_to_sample'),
    ...others.map((other) => memberOf(asObject(other), 'max_tokens')),
  ]
  const otherModels = others.map((other) => memberOf(asObject(other), 'model') ?? null)
  return {
    model: memberOf(body, 'model'),
    ...(otherModels.length > 0 && { otherModels }),
    maxTokens: bounds
      .map((bound) => readTokens(bound, isStrict))
      .reduce((most, bound) => largerOf(most, bound), undefined),
    messages: readPrompt(body),
    isStream: memberOf(body, 'stream') === true,
  }
}

function readPrompt(body: JsonObject): ModelMessage[] {
  const system = contentParts(memberOf(body, 'system'))
  const prompt = contentParts(memberOf(body, 'prompt'))
  const messages = (asList(memberOf(body, 'messages')) ?? []).map((value): ModelMessage => {
    const message = asObject(value)
    return {
      role: asText(memberOf(message, 'role')) ?? '',
      parts: contentParts(memberOf(message, 'content'), readBlock),
    }
  })
  return [
    ...(system.length === 0 ? [] : [{ role: 'system', parts: system }]),
    ...(prompt.length === 0 ? [] : [{ role: 'user', parts: prompt }]),
    ...messages,
  ]
}

function readBlock(block: JsonObject): MessagePart {
  const type = asText(memberOf(block, 'type'))
  if (type === 'tool_use')
    return toolCallPart(memberOf(block, 'id'), memberOf(block, 'name'), memberOf(block, 'input'))
  if (type === 'tool_result')
    return toolResultPart(memberOf(block, 'tool_use_id'), memberOf(block, 'content'))
  return readTypedPart(block)
}
