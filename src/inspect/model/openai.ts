// Reads what is asked in OpenAI's shapes: chat, responses, completions, embeddings, moderations; also of servers that are
// compatible. Deliberately not what the provider runs: `server-tools.ts`. Called by `request.ts`.

import type { JsonValue } from '../fields.ts'
import type { ModelEndpoint } from './api.ts'
import { largerOf, readChoices, readTokens, timesOf, type Asked } from './asked.ts'
import {
  contentParts,
  otherPart,
  toolCallPart,
  toolResultPart,
  type MessagePart,
  type ModelMessage,
} from './messages.ts'
import type { JsonObject } from '../json-values.ts'
import { asList, asObject, asText, listOf, memberOf } from './shape.ts'

/** What an OpenAI request asks. @throws malformed-body in strict reading */
export function readOpenAi(body: JsonObject, endpoint: ModelEndpoint, isStrict: boolean): Asked {
  const otherModels = [...listOf(memberOf(body, 'models')), ...listOf(memberOf(body, 'fallbacks'))]
  return {
    model: memberOf(body, 'model'),
    ...(otherModels.length > 0 && { otherModels }),
    maxTokens: readMaxTokens(body, endpoint, isStrict),
    messages: readPrompt(body, endpoint),
    isStream: memberOf(body, 'stream') === true,
  }
}

function readMaxTokens(
  body: JsonObject,
  endpoint: ModelEndpoint,
  isStrict: boolean,
): number | undefined {
  if (endpoint === 'responses') return readTokens(memberOf(body, 'max_output_tokens'), isStrict)
  const bound = largerOf(
    readTokens(memberOf(body, 'max_tokens'), isStrict),
    readTokens(memberOf(body, 'max_completion_tokens'), isStrict),
  )
  const choices = readChoices(memberOf(body, 'n'), isStrict)
  const best = readChoices(memberOf(body, 'best_of'), isStrict)
  const prompts = endpoint === 'completions' ? countPrompts(memberOf(body, 'prompt')) : 1
  return timesOf(bound, Math.max(choices, best) * prompts)
}

// A list of numbers is one prompt in tokens; any other list is so many prompts.
function countPrompts(prompt: JsonValue | undefined): number {
  const list = asList(prompt)
  return list === undefined || typeof list[0] === 'number' ? 1 : Math.max(list.length, 1)
}

function readPrompt(body: JsonObject, endpoint: ModelEndpoint): ModelMessage[] {
  if (endpoint === 'chat')
    return (asList(memberOf(body, 'messages')) ?? []).map((message) => readChatMessage(message))
  if (endpoint === 'responses' || endpoint === 'responses-count') return readInput(body)
  const prompt = memberOf(body, endpoint === 'completions' ? 'prompt' : 'input')
  const parts = contentParts(prompt)
  return parts.length === 0 ? [] : [{ role: 'user', parts }]
}

/** One message of a chat, in the normal form. */
export function readChatMessage(value: JsonValue): ModelMessage {
  const message = asObject(value)
  const role = asText(memberOf(message, 'role')) ?? ''
  const content = memberOf(message, 'content')
  if (role === 'tool' || role === 'function') {
    const id = memberOf(message, 'tool_call_id') ?? memberOf(message, 'tool_name')
    return { role: 'tool', parts: [toolResultPart(id ?? memberOf(message, 'name'), content)] }
  }
  const calls = (asList(memberOf(message, 'tool_calls')) ?? []).map((call) => readCall(call))
  const legacy = asObject(memberOf(message, 'function_call'))
  if (legacy)
    calls.push(toolCallPart(undefined, memberOf(legacy, 'name'), memberOf(legacy, 'arguments')))
  const refusal = asText(memberOf(message, 'refusal'))
  const images = contentParts(memberOf(message, 'images')).map((part) => ({
    type: 'image',
    content: memberOf(part, 'content') ?? null,
  }))
  return {
    role,
    parts: [...contentParts(content), ...contentParts(refusal), ...images, ...calls],
  }
}

function readCall(value: JsonValue): MessagePart {
  const call = asObject(value)
  const of = asObject(memberOf(call, 'function')) ?? asObject(memberOf(call, 'custom'))
  const args = memberOf(of, 'arguments') ?? memberOf(of, 'input')
  return toolCallPart(memberOf(call, 'id'), memberOf(of, 'name'), args)
}

function readInput(body: JsonObject): ModelMessage[] {
  const system = contentParts(memberOf(body, 'instructions'))
  const messages = listOf(memberOf(body, 'input')).map((item): ModelMessage => {
    const text = asText(item)
    if (text !== undefined) return { role: 'user', parts: contentParts(text) }
    return readItem(asObject(item) ?? {})
  })
  return system.length === 0 ? messages : [{ role: 'system', parts: system }, ...messages]
}

/** One item of a conversation, in the normal form. */
export function readItem(item: JsonObject): ModelMessage {
  const type = asText(memberOf(item, 'type')) ?? 'message'
  if (type === 'message') {
    const parts = contentParts(memberOf(item, 'content'))
    return { role: asText(memberOf(item, 'role')) ?? '', parts }
  }
  const id = memberOf(item, 'call_id')
  if (type === 'function_call' || type === 'custom_tool_call') {
    const args = memberOf(item, 'arguments') ?? memberOf(item, 'input')
    return { role: 'assistant', parts: [toolCallPart(id, memberOf(item, 'name'), args)] }
  }
  if (type.endsWith('_call_output'))
    return { role: 'tool', parts: [toolResultPart(id, memberOf(item, 'output'))] }
  const role = asText(memberOf(item, 'role')) ?? 'assistant'
  return { role, parts: [otherPart(type, item)] }
}
