// The normal form of what is said to and by models: OpenTelemetry's messages of parts, one for all APIs, so that the same
// prompt is the same value however it was sent. Deliberately without settings. Called by the readers of this folder.

import type { JsonValue } from '../fields.ts'
import type { JsonObject } from '../json-values.ts'
import { asList, asObject, asText, memberOf, parseJson } from './shape.ts'

/** A part of a message: its `type`, and what that type has. */
export type MessagePart = JsonObject

/** One message. */
export interface ModelMessage {
  readonly [key: string]: JsonValue
  readonly role: string
  readonly parts: readonly MessagePart[]
}

/** What counts parts that a list of messages has of one type. */
export function countParts(messages: readonly ModelMessage[], type: string): number {
  return messages.reduce(
    (sum, { parts }) => sum + parts.filter((part) => memberOf(part, 'type') === type).length,
    0,
  )
}

/** A part that is text. */
export function textPart(content: string): MessagePart {
  return { type: 'text', content }
}

/** A part by which a model asks for a tool. Arguments that are JSON in a string stand as the value they are. */
export function toolCallPart(
  id: JsonValue | undefined,
  name: JsonValue | undefined,
  args: JsonValue | undefined,
): MessagePart {
  const text = asText(args)
  return {
    type: 'tool_call',
    ...(asText(id) !== undefined && { id: asText(id)! }),
    name: asText(name) ?? '',
    arguments: text === undefined ? (args ?? null) : (parseJson(text) ?? text),
  }
}

/** A part that gives a model a tool's result. */
export function toolResultPart(
  id: JsonValue | undefined,
  result: JsonValue | undefined,
): MessagePart {
  return {
    type: 'tool_call_response',
    ...(asText(id) !== undefined && { id: asText(id)! }),
    result: plainResult(result),
  }
}

// A result of one text is that text, whichever way it was written.
function plainResult(result: JsonValue | undefined): JsonValue {
  const list = asList(result)
  if (list?.length !== 1) return result ?? null
  const only = asObject(list[0])
  const text = asText(memberOf(only, 'text'))
  return text === undefined ? list : text
}

/** A part of a type that has no normal form: its own members, but those that say how it is cached. */
export function otherPart(type: string, members: JsonObject): MessagePart {
  const rest = Object.entries(members).filter(([name]) => name !== 'cache_control')
  return Object.fromEntries([...rest, ['type', type]])
}

/** The parts of a content that is a string, one part or a list of parts. */
export function contentParts(
  content: JsonValue | undefined,
  read: (part: JsonObject) => MessagePart | undefined = readTypedPart,
): MessagePart[] {
  if (content === undefined || content === null) return []
  const list = asList(content)
  // A prompt in tokens.
  if (typeof list?.[0] === 'number' && list.every((item) => typeof item === 'number'))
    return [otherPart('tokens', { value: list })]
  return (list ?? [content]).flatMap((item) => {
    const text = asText(item)
    if (text !== undefined) return [textPart(text)]
    const part = asObject(item)
    const known = part && read(part)
    return [known ?? otherPart('unknown', { value: item })]
  })
}

/** A part that says its type: text is text by any of its names. */
export function readTypedPart(part: JsonObject): MessagePart {
  const type = asText(memberOf(part, 'type'))
  const text = asText(memberOf(part, 'text'))
  if (text !== undefined && (type === undefined || /^(input_|output_)?text$/.test(type)))
    return textPart(text)
  return otherPart(type ?? 'unknown', part)
}
