// Reads the answers of OpenAI's responses and of Anthropic's messages, whole or as their events. Reasoning is left out. The
// other shapes: `answer-read.ts`. Called by `answer.ts`.

import type { JsonValue } from '../fields.ts'
import type { AnswerDraft } from './answer-draft.ts'
import type { JsonObject } from '../json-values.ts'
import { asCount, asList, asObject, asText, memberOf } from './shape.ts'

/** Takes a response, or one of its events. */
export function readResponsesAnswer(value: JsonObject, draft: AnswerDraft): void {
  const type = asText(memberOf(value, 'type'))
  const response = asObject(memberOf(value, 'response'))
  if (response) readResponse(response, draft)
  else if (type === undefined || memberOf(value, 'object') !== undefined) readResponse(value, draft)
  else readResponsesEvent(type, value, draft)
}

function readResponse(response: JsonObject, draft: AnswerDraft): void {
  draft.name(asText(memberOf(response, 'id')), asText(memberOf(response, 'model')))
  const usage = asObject(memberOf(response, 'usage'))
  draft.count(
    asCount(memberOf(usage, 'input_tokens')) ?? asCount(memberOf(response, 'input_tokens')),
    asCount(memberOf(usage, 'output_tokens')),
  )
  const output = asList(memberOf(response, 'output')) ?? []
  if (output.length > 0) {
    // The last event brings all that came in pieces.
    draft.restart()
    for (const [at, item] of output.entries()) readItem(at, asObject(item), draft)
  }
  const error = asObject(memberOf(response, 'error'))
  if (error) draft.fail(asText(memberOf(error, 'code')))
  const status = asText(memberOf(response, 'status'))
  if (status === undefined || status === 'in_progress' || status === 'queued') return
  const incomplete = asObject(memberOf(response, 'incomplete_details'))
  draft.finish(0, asText(memberOf(incomplete, 'reason')) ?? status)
}

function readItem(at: number, item: JsonObject | undefined, draft: AnswerDraft): void {
  readItemStart(at, item, draft)
  for (const [index, part] of (asList(memberOf(item, 'content')) ?? []).entries()) {
    const content = asObject(part)
    if (asText(memberOf(item, 'type')) === 'reasoning') continue
    const text = asText(memberOf(content, 'text')) ?? asText(memberOf(content, 'refusal'))
    draft.addText(0, `${at} ${index}`, text)
  }
  const args = asText(memberOf(item, 'arguments')) ?? asText(memberOf(item, 'input'))
  if (isCall(item)) draft.addCall(0, String(at), { text: args })
}

// A call's arguments come later where it is streamed.
function readItemStart(at: number, item: JsonObject | undefined, draft: AnswerDraft): void {
  const type = asText(memberOf(item, 'type'))
  if (type === undefined || !isCall(item)) return
  const isClients = /^(?:function|custom_tool|local_shell|shell|apply_patch|computer)_call$/.test(
    type,
  )
  draft.addCall(0, String(at), {
    kind: isClients ? 'tool_call' : 'server_tool_call',
    id: asText(memberOf(item, 'call_id')) ?? asText(memberOf(item, 'id')),
    name: asText(memberOf(item, 'name')) ?? type.replace(/_call$/, ''),
    value: memberOf(item, 'action'),
  })
}

function isCall(item: JsonObject | undefined): boolean {
  return asText(memberOf(item, 'type'))?.endsWith('_call') === true
}

function readResponsesEvent(type: string, event: JsonObject, draft: AnswerDraft): void {
  const at = asCount(memberOf(event, 'output_index')) ?? 0
  const delta = asText(memberOf(event, 'delta'))
  switch (type) {
    case 'response.output_item.added':
      readItemStart(at, asObject(memberOf(event, 'item')), draft)
      break
    case 'response.output_text.delta':
    case 'response.refusal.delta':
      draft.addText(0, `${at} ${asCount(memberOf(event, 'content_index')) ?? 0}`, delta)
      break
    case 'response.function_call_arguments.delta':
    case 'response.mcp_call_arguments.delta':
    case 'response.custom_tool_call_input.delta':
      draft.addCall(0, String(at), { text: delta })
      break
    case 'error':
      draft.fail(asText(memberOf(event, 'code')))
      break
    default:
  }
}

/** Takes a message, one of its events, a completion of the older kind, or a count of tokens. */
export function readAnthropicAnswer(value: JsonObject, draft: AnswerDraft): void {
  const index = asCount(memberOf(value, 'index')) ?? 0
  switch (asText(memberOf(value, 'type')) ?? 'message') {
    case 'message_start':
      readMessage(asObject(memberOf(value, 'message')), draft)
      break
    case 'content_block_start':
      readBlock(index, asObject(memberOf(value, 'content_block')), draft)
      break
    case 'content_block_delta':
      readDelta(index, asObject(memberOf(value, 'delta')), draft)
      break
    case 'message_delta':
      readUsage(memberOf(value, 'usage'), draft)
      draft.finish(0, asText(memberOf(asObject(memberOf(value, 'delta')), 'stop_reason')))
      break
    default:
      readMessage(value, draft)
  }
}

function readMessage(message: JsonObject | undefined, draft: AnswerDraft): void {
  draft.name(asText(memberOf(message, 'id')), asText(memberOf(message, 'model')))
  readUsage(memberOf(message, 'usage'), draft)
  draft.count(asCount(memberOf(message, 'input_tokens')), undefined)
  for (const [at, block] of (asList(memberOf(message, 'content')) ?? []).entries())
    readBlock(at, asObject(block), draft)
  draft.addText(0, '0', asText(memberOf(message, 'completion')))
  draft.finish(0, asText(memberOf(message, 'stop_reason')))
}

// Tokens that were read from a cache, or put there, are tokens of the prompt that the first number leaves out. What one
// event does not say again still holds.
function readUsage(value: JsonValue | undefined, draft: AnswerDraft): void {
  const usage = asObject(value)
  const read = asCount(memberOf(usage, 'cache_read_input_tokens'))
  const written = asCount(memberOf(usage, 'cache_creation_input_tokens'))
  if (read !== undefined || written !== undefined) draft.cacheTokens = (read ?? 0) + (written ?? 0)
  const plain = asCount(memberOf(usage, 'input_tokens'))
  draft.count(
    plain === undefined ? undefined : plain + draft.cacheTokens,
    asCount(memberOf(usage, 'output_tokens')),
  )
}

function readBlock(at: number, block: JsonObject | undefined, draft: AnswerDraft): void {
  const type = asText(memberOf(block, 'type'))
  if (type === 'text') draft.addText(0, String(at), asText(memberOf(block, 'text')))
  if (type?.endsWith('tool_use') !== true) return
  draft.addCall(0, String(at), {
    kind: type === 'tool_use' ? 'tool_call' : 'server_tool_call',
    id: asText(memberOf(block, 'id')),
    name: asText(memberOf(block, 'name')),
    value: memberOf(block, 'input'),
  })
}

function readDelta(at: number, delta: JsonObject | undefined, draft: AnswerDraft): void {
  const type = asText(memberOf(delta, 'type'))
  if (type === 'text_delta') draft.addText(0, String(at), asText(memberOf(delta, 'text')))
  if (type === 'input_json_delta')
    draft.addCall(0, String(at), { text: asText(memberOf(delta, 'partial_json')) })
}
