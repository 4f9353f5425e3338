// Settles by the body which API a request speaks, where its path does not say. Called by `request.ts`.

import { readProvider, type ModelFamily } from './provider.ts'
import type { ModelApi, ModelEndpoint } from './api.ts'
import type { JsonObject } from '../json-values.ts'
import { asList, asObject, asText, memberOf } from './shape.ts'

// What a body has one of where its path is that of an endpoint: others have paths like these for something else.
const MAIN: Readonly<Record<ModelFamily, readonly string[]>> = {
  openai: ['model', 'messages', 'input', 'prompt'],
  anthropic: ['model', 'messages', 'prompt'],
  gemini: ['contents', 'content', 'requests', 'model', 'generateContentRequest'],
  ollama: ['model'],
}

/** The API as the body settles it; undefined: the body has no shape of any. */
export function settleApi(api: ModelApi, body: JsonObject): ModelApi | undefined {
  if (api.basis === 'path') {
    const isQuestion = api.isKnownHost || api.model !== undefined || hasAny(body, MAIN[api.family])
    return isQuestion ? api : undefined
  }
  const shape = shapeOf(api, body)
  if (shape === undefined) return undefined
  const [family, endpoint] = shape
  const provider = api.family === family ? api.provider : readProvider('', family)
  return { ...api, family, endpoint, ...(!api.isKnownHost && { provider }) }
}

function shapeOf(
  api: ModelApi,
  body: JsonObject,
): readonly [ModelFamily, ModelEndpoint] | undefined {
  const contents = asList(memberOf(body, 'contents'))
  if (contents?.some((content) => asList(memberOf(asObject(content), 'parts'))) === true)
    return ['gemini', 'generateContent']
  if (asText(memberOf(body, 'model')) === undefined && !isBedrock(body)) return undefined
  if (hasMessages(body)) return chatShape(api, body)
  const isOllama = hasAny(body, ['options', 'keep_alive'])
  const prompt = memberOf(body, 'prompt')
  if (typeof prompt === 'string' || asList(prompt))
    return isOllama ? ['ollama', 'ollama-generate'] : ['openai', 'completions']
  const input = memberOf(body, 'input')
  if (typeof input !== 'string' && !asList(input)) return undefined
  if (isOllama) return ['ollama', 'ollama-embed']
  return ['openai', hasAny(body, ['encoding_format', 'dimensions']) ? 'embeddings' : 'responses']
}

function chatShape(api: ModelApi, body: JsonObject): readonly [ModelFamily, ModelEndpoint] {
  if (api.family === 'anthropic' || isBedrock(body)) return ['anthropic', 'messages']
  if (memberOf(body, 'system') !== undefined && memberOf(body, 'max_tokens') !== undefined)
    return ['anthropic', 'messages']
  return hasAny(body, ['options', 'keep_alive']) ? ['ollama', 'ollama-chat'] : ['openai', 'chat']
}

function isBedrock(body: JsonObject): boolean {
  return asText(memberOf(body, 'anthropic_version')) !== undefined
}

function hasMessages(body: JsonObject): boolean {
  const messages = asList(memberOf(body, 'messages'))
  return (
    messages !== undefined &&
    messages.length > 0 &&
    messages.every((message) => asText(memberOf(asObject(message), 'role')) !== undefined)
  )
}

function hasAny(body: JsonObject, names: readonly string[]): boolean {
  return names.some((name) => memberOf(body, name) !== undefined)
}
