// Reads what is asked in Ollama's shapes: chat, generate, embed. Called by `request.ts`.

import type { ModelEndpoint } from './api.ts'
import { readTokens, type Asked } from './asked.ts'
import { contentParts, type ModelMessage } from './messages.ts'
import { readChatMessage } from './openai.ts'
import type { JsonObject } from '../json-values.ts'
import { asList, asObject, memberOf } from './shape.ts'

/** What an Ollama request asks. @throws malformed-body in strict reading */
export function readOllama(body: JsonObject, endpoint: ModelEndpoint, isStrict: boolean): Asked {
  const options = asObject(memberOf(body, 'options'))
  return {
    model: memberOf(body, 'model'),
    maxTokens: readTokens(memberOf(options, 'num_predict'), isStrict),
    messages: readPrompt(body, endpoint),
    // Answers are streams unless the request says otherwise.
    isStream: endpoint !== 'ollama-embed' && memberOf(body, 'stream') !== false,
  }
}

function readPrompt(body: JsonObject, endpoint: ModelEndpoint): ModelMessage[] {
  if (endpoint === 'ollama-chat')
    return (asList(memberOf(body, 'messages')) ?? []).map((message) => readChatMessage(message))
  const system = contentParts(memberOf(body, 'system'))
  const prompt = contentParts(memberOf(body, 'prompt') ?? memberOf(body, 'input'))
  return [
    ...(system.length === 0 ? [] : [{ role: 'system', parts: system }]),
    ...(prompt.length === 0 ? [] : [{ role: 'user', parts: prompt }]),
  ]
}
