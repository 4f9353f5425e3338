// Reads what a request asks of a model: strictly where a rule looks inside, so that no upstream can read it otherwise, or as
// well as can be for the record. Deliberately no judgement and no forwarding. Called by `understand/`.

import { Buffer } from 'node:buffer'

import { EgressError } from '../../errors.ts'
import type { ModelSubject } from '../../policy/subject.ts'
import type { InspectedFields, JsonValue } from '../fields.ts'
import { readJson } from '../json.ts'
import { hasFewValues } from '../json-size.ts'
import { readAnthropic } from './anthropic.ts'
import type { ModelApi, ModelEndpoint } from './api.ts'
import { refuseBody, type Asked } from './asked.ts'
import { readGemini } from './gemini.ts'
import { countParts, type ModelMessage } from './messages.ts'
import { readOllama } from './ollama.ts'
import { readOpenAi } from './openai.ts'
import type { ModelFamily } from './provider.ts'
import { readServerTools } from './server-tools.ts'
import { settleApi } from './settle.ts'
import type { JsonObject } from '../json-values.ts'
import { asObject, asText, parseJson } from './shape.ts'

/** A question to a model, as it was read. */
export interface ModelRequest {
  /** Settled: family and endpoint are no guesses any more. */
  readonly api: ModelApi
  /** For rules. */
  readonly subject: ModelSubject
  /** For the record, without what was said. */
  readonly fields: InspectedFields
  /** System and messages in the normal form: the same prompt is the same value however it was sent. */
  readonly prompt: readonly ModelMessage[]
  /** Results of tools that the prompt brings. */
  readonly toolResults: number
  /** Whether the answer is asked for as a stream. */
  readonly stream: boolean
}

const OPERATIONS: Readonly<Record<ModelEndpoint, string>> = {
  chat: 'chat',
  responses: 'chat',
  'responses-count': 'count_tokens',
  realtime: 'chat',
  completions: 'text_completion',
  embeddings: 'embeddings',
  moderations: 'moderation',
  messages: 'chat',
  'messages-count': 'count_tokens',
  complete: 'text_completion',
  generateContent: 'generate_content',
  embedContent: 'embeddings',
  batchEmbedContents: 'embeddings',
  countTokens: 'count_tokens',
  'ollama-chat': 'chat',
  'ollama-generate': 'text_completion',
  'ollama-embed': 'embeddings',
}
const READERS: Readonly<
  Record<ModelFamily, (body: JsonObject, endpoint: ModelEndpoint, isStrict: boolean) => Asked>
> = { openai: readOpenAi, anthropic: readAnthropic, gemini: readGemini, ollama: readOllama }
const WITHOUT_OUTPUT: ReadonlySet<string> = new Set(['embeddings', 'moderation', 'count_tokens'])

/** Characters of a model's name that a record has. */
export const MODEL_LENGTH_MAX = 256

/** What an API is asked for, in OpenTelemetry's words where it has some. */
export function operationOf(api: ModelApi): string {
  return OPERATIONS[api.endpoint]
}

const OPEN_OBJECT = 0x7b
// One of these stands in the bytes of every request that has the shape of a question to a model.
const MARKS = ['"messages"', '"contents"', '"input"', '"prompt"'].map((mark) => Buffer.from(mark))

/**
 * What a request asks; undefined: the bytes are not of a question to a model.
 * @param bytes the whole body, without content coding
 * @throws body-too-large where there are more values than anybody needs; in strict reading also malformed-body where the bytes, or what they say, could be read in two ways, protocol-not-allowed
 *   where a provider's own host may make a question of them all the same
 */
export function readModelRequest(
  api: ModelApi,
  bytes: Uint8Array,
  options: { readonly strict: boolean },
): ModelRequest | undefined {
  const isStrict = options.strict
  // To who undoes the coding, the bytes may be other words.
  if (isStrict && !api.isPlain) throw refuseBody('coding')
  // A plain text, a form: no reader finds an object in it.
  if (api.basis === 'shape' && !bytes.includes(OPEN_OBJECT)) return undefined
  const body = asObject(isStrict ? readStrictly(bytes) : readLoosely(api, bytes))
  const settled = body && settleApi(api, body)
  if (body === undefined || settled === undefined) {
    if (isStrict && api.isKnownHost) throw new EgressError('protocol-not-allowed')
    return undefined
  }
  // A provider's own host has paths for what it serves; what it makes of this body elsewhere is not known.
  if (isStrict && api.basis === 'shape' && api.isKnownHost) throw refuseBody('endpoint')
  const asked = READERS[settled.family](body, settled.endpoint, isStrict)
  const model = readModel(settled, asked, isStrict)
  const operation = operationOf(settled)
  const subject: ModelSubject = {
    operation,
    model,
    hasOutput: !WITHOUT_OUTPUT.has(operation),
    maxTokens: asked.maxTokens,
    serverTools: readServerTools(body, settled, model, isStrict),
  }
  const stream = asked.isStream || settled.isStream === true
  return {
    api: settled,
    subject,
    fields: fieldsOf(settled, subject, stream),
    prompt: asked.messages,
    toolResults: countParts(asked.messages, 'tool_call_response'),
    stream,
  }
}

function readStrictly(bytes: Uint8Array): JsonValue {
  checkSize(viewOf(bytes))
  return readJson(bytes)
}

// Most bodies that have no shape of these are not parsed for it.
function readLoosely(api: ModelApi, bytes: Uint8Array): JsonValue | undefined {
  const buffer = viewOf(bytes)
  if (api.basis === 'shape' && !MARKS.some((mark) => buffer.includes(mark))) return undefined
  checkSize(buffer)
  return parseJson(buffer.toString())
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function checkSize(bytes: Buffer): void {
  if (!hasFewValues(bytes.toString('latin1')))
    throw new EgressError('body-too-large', { part: 'model', why: 'values' })
}

// Rules look at one model, so a request that names two is refused where they look.
function readModel(api: ModelApi, asked: Asked, isStrict: boolean): string | undefined {
  const named = [api.model, asked.model, ...(asked.otherModels ?? [])].filter(
    (model) => model !== undefined,
  )
  if (isStrict && named.some((model) => typeof model !== 'string')) throw refuseBody('model type')
  if (isStrict && new Set(named).size > 1) throw refuseBody('models')
  return asText(named[0])
}

function fieldsOf(api: ModelApi, subject: ModelSubject, stream: boolean): InspectedFields {
  return {
    gen_ai: {
      operation: { name: subject.operation },
      provider: { name: api.provider },
      request: {
        ...(subject.model !== undefined && { model: subject.model.slice(0, MODEL_LENGTH_MAX) }),
        ...(subject.maxTokens !== undefined && { max_tokens: subject.maxTokens }),
        ...(stream && { stream }),
      },
    },
  }
}
