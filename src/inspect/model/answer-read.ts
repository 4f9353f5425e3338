// Reads the answers of OpenAI's chat, completions, embeddings and moderations, of Gemini and of Ollama, whole or piece by
// piece: both have one shape. Reasoning is left out. The others: `answer-read-events.ts`. Called by `answer.ts`.

import type { JsonValue } from '../fields.ts'
import type { AnswerDraft } from './answer-draft.ts'
import type { JsonObject } from '../json-values.ts'
import { anyMemberOf, asCount, asList, asObject, asText, memberOf } from './shape.ts'

/** Takes one object of a chat's answer, or of one that is no conversation. */
export function readChatAnswer(value: JsonObject, draft: AnswerDraft): void {
  draft.name(asText(memberOf(value, 'id')), asText(memberOf(value, 'model')))
  const usage = asObject(memberOf(value, 'usage'))
  draft.count(
    asCount(anyMemberOf(usage, ['prompt_tokens', 'input_tokens'])),
    asCount(anyMemberOf(usage, ['completion_tokens', 'output_tokens'])),
  )
  for (const item of asList(memberOf(value, 'choices')) ?? []) {
    const choice = asObject(item)
    const index = asCount(memberOf(choice, 'index')) ?? 0
    const said = asObject(anyMemberOf(choice, ['delta', 'message']))
    draft.addText(index, '', asText(memberOf(choice, 'text')))
    draft.addText(index, '', asText(memberOf(said, 'content')))
    draft.addText(index, 'refusal', asText(memberOf(said, 'refusal')))
    readChatCalls(index, said, draft)
    draft.finish(index, asText(memberOf(choice, 'finish_reason')))
  }
}

function readChatCalls(choice: number, said: JsonObject | undefined, draft: AnswerDraft): void {
  for (const [at, item] of (asList(memberOf(said, 'tool_calls')) ?? []).entries()) {
    const call = asObject(item)
    const of = asObject(anyMemberOf(call, ['function', 'custom']))
    const slot = asCount(memberOf(call, 'index')) ?? at
    draft.addCall(choice, String(slot), {
      id: asText(memberOf(call, 'id')),
      name: asText(memberOf(of, 'name')),
      ...argumentsOf(anyMemberOf(of, ['arguments', 'input'])),
    })
  }
  const legacy = asObject(memberOf(said, 'function_call'))
  if (legacy)
    draft.addCall(choice, 'function', {
      name: asText(memberOf(legacy, 'name')),
      ...argumentsOf(memberOf(legacy, 'arguments')),
    })
}

function argumentsOf(value: JsonValue | undefined): { text?: string; value?: JsonValue } {
  if (typeof value === 'string') return { text: value }
  return value === undefined ? {} : { value }
}

/** Takes one object of Gemini's answer. */
export function readGeminiAnswer(value: JsonObject, draft: AnswerDraft): void {
  draft.name(asText(memberOf(value, 'responseId')), asText(memberOf(value, 'modelVersion')))
  const usage = asObject(memberOf(value, 'usageMetadata'))
  const said = asCount(memberOf(usage, 'candidatesTokenCount'))
  const thought = asCount(memberOf(usage, 'thoughtsTokenCount'))
  draft.count(
    asCount(memberOf(usage, 'promptTokenCount')) ?? asCount(memberOf(value, 'totalTokens')),
    said === undefined && thought === undefined ? undefined : (said ?? 0) + (thought ?? 0),
  )
  const blocked = asObject(memberOf(value, 'promptFeedback'))
  draft.finish(0, asText(memberOf(blocked, 'blockReason')))
  for (const item of asList(memberOf(value, 'candidates')) ?? []) {
    const candidate = asObject(item)
    const index = asCount(memberOf(candidate, 'index')) ?? 0
    const content = asObject(memberOf(candidate, 'content'))
    for (const part of asList(memberOf(content, 'parts')) ?? [])
      readGeminiPiece(index, asObject(part), draft)
    draft.finish(index, asText(memberOf(candidate, 'finishReason')))
  }
}

function readGeminiPiece(choice: number, part: JsonObject | undefined, draft: AnswerDraft): void {
  const call = asObject(memberOf(part, 'functionCall'))
  // A call comes whole, and no number tells one from the next.
  if (call)
    draft.addCall(choice, String(draft.nextSlot()), {
      id: asText(memberOf(call, 'id')),
      name: asText(memberOf(call, 'name')),
      value: memberOf(call, 'args') ?? null,
    })
  const code = asObject(memberOf(part, 'executableCode'))
  if (code)
    draft.addCall(choice, String(draft.nextSlot()), {
      kind: 'server_tool_call',
      name: 'codeExecution',
      value: code,
    })
  if (memberOf(part, 'thought') !== true) draft.addText(choice, '', asText(memberOf(part, 'text')))
}

/** Takes one object of Ollama's answer. */
export function readOllamaAnswer(value: JsonObject, draft: AnswerDraft): void {
  draft.name(undefined, asText(memberOf(value, 'model')))
  draft.count(asCount(memberOf(value, 'prompt_eval_count')), asCount(memberOf(value, 'eval_count')))
  const message = asObject(memberOf(value, 'message'))
  draft.addText(0, '', asText(memberOf(message, 'content')))
  draft.addText(0, '', asText(memberOf(value, 'response')))
  for (const item of asList(memberOf(message, 'tool_calls')) ?? []) {
    const call = asObject(item)
    const of = asObject(memberOf(call, 'function'))
    draft.addCall(0, String(draft.nextSlot()), {
      id: asText(memberOf(call, 'id')),
      name: asText(memberOf(of, 'name')),
      value: memberOf(of, 'arguments') ?? null,
    })
  }
  if (memberOf(value, 'done') === true)
    draft.finish(0, asText(memberOf(value, 'done_reason')) ?? 'stop')
}

/** Takes what went wrong, where an object says so in any API's way. */
export function readAnswerError(value: JsonObject, draft: AnswerDraft): void {
  const error = memberOf(value, 'error')
  if (typeof error === 'string') draft.fail(undefined)
  const object = asObject(error)
  if (object)
    draft.fail(asText(memberOf(object, 'type')) ?? asText(anyMemberOf(object, ['status', 'code'])))
}
