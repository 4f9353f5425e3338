// What a record says of a question to a model and of its answer, in OpenTelemetry's names for generative AI (Development).
// Called by `understand/model.ts` when a call is over.

import type { ContentMode } from '../../policy/subject.ts'
import type { InspectedFields, KeptContent } from '../fields.ts'
import type { Keeper } from '../keep.ts'
import type { ModelAnswerRead } from './answer.ts'
import type { ModelApi } from './api.ts'
import { MODEL_LENGTH_MAX, operationOf, type ModelRequest } from './request.ts'

type GenAi = NonNullable<InspectedFields['gen_ai']>
type ContentFields = NonNullable<InspectedFields['content']>

/** How content is kept. */
export interface Keeping {
  readonly keeper: Keeper
  /** Of prompts and completions. */
  readonly mode: ContentMode
}

/** Names of server tools that a record lists, and characters of each. */
const LISTED_MAX = 64
const NAME_LENGTH_MAX = 128

/**
 * The members that a record has of a question to a model that was not read; none where its path does not say that it is one.
 * @param unread why not
 */
export function unreadModelFields(
  api: ModelApi,
  unread: 'too-large' | 'encoded' | 'malformed',
): InspectedFields {
  if (api.basis === 'shape') return {}
  return {
    gen_ai: {
      operation: { name: operationOf(api) },
      provider: { name: api.provider },
      ...(api.model !== undefined && {
        request: { model: api.model.slice(0, MODEL_LENGTH_MAX) },
      }),
    },
    content: { unread },
  }
}

/**
 * The members that a record has of a question to a model.
 * @param answer undefined where no response came
 */
export function modelFields(
  request: ModelRequest,
  answer: ModelAnswerRead | undefined,
  { keeper, mode }: Keeping,
): InspectedFields {
  const input = request.prompt.length > 0 ? keeper.keep(request.prompt, mode) : undefined
  const hasOutput = answer !== undefined && answer.messages.length > 0
  const output = hasOutput ? keeper.keep(answer.messages, mode) : undefined
  return {
    ...request.fields,
    gen_ai: {
      ...request.fields.gen_ai!,
      ...(answer && answerFields(answer)),
      ...(input?.value !== undefined && { input: { messages: input.value } }),
      ...(output?.value !== undefined && { output: { messages: output.value } }),
    },
    ...(answer?.errorType !== undefined && { error: { type: answer.errorType } }),
    content: contentFields(request, answer, input, output),
  }
}

function answerFields(answer: ModelAnswerRead): Pick<GenAi, 'response' | 'usage'> {
  const { id, model, finishReasons, inputTokens, outputTokens } = answer
  return {
    response: {
      ...(id !== undefined && { id }),
      ...(model !== undefined && { model }),
      ...(finishReasons.length > 0 && { finish_reasons: finishReasons }),
    },
    usage: {
      ...(inputTokens !== undefined && { input_tokens: inputTokens }),
      ...(outputTokens !== undefined && { output_tokens: outputTokens }),
    },
  }
}

function contentFields(
  request: ModelRequest,
  answer: ModelAnswerRead | undefined,
  input: KeptContent | undefined,
  output: KeptContent | undefined,
): ContentFields {
  const { serverTools } = request.subject
  return {
    ...(input && { input: withoutValue(input, false) }),
    ...(output && { output: withoutValue(output, answer?.isCut === true) }),
    ...(answer && answer.toolCalls.length > 0 && { tool_calls: answer.toolCalls }),
    ...(request.toolResults > 0 && { tool_results: request.toolResults }),
    ...(serverTools.length > 0 && {
      server_tools: serverTools.slice(0, LISTED_MAX).map((name) => name.slice(0, NAME_LENGTH_MAX)),
    }),
    ...(answer?.unread !== undefined && { unread: answer.unread }),
  }
}

function withoutValue(kept: KeptContent, isCut: boolean): Omit<KeptContent, 'value'> {
  const { digest, bytes } = kept
  return { digest, bytes, ...((kept.truncated || isCut) && { truncated: true }) }
}
