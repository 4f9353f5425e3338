// Tells from the head of a call whether it asks a model, by whose API and for what. Runs for every call, so the usual one
// costs a comparison or two. Deliberately blind to the body: what only its shape can settle is a candidate.

import type { RawHeaders } from '../../wire/body.ts'
import { firstValue, valuesOf } from '../../wire/headers.ts'
import { isModelHost, readProvider, type ModelFamily } from './provider.ts'

/** What is asked, in the words of the API that has it. */
export type ModelEndpoint =
  | 'chat'
  | 'responses'
  | 'responses-count'
  | 'realtime'
  | 'completions'
  | 'embeddings'
  | 'moderations'
  | 'messages'
  | 'messages-count'
  | 'complete'
  | 'generateContent'
  | 'embedContent'
  | 'batchEmbedContents'
  | 'countTokens'
  | 'ollama-chat'
  | 'ollama-generate'
  | 'ollama-embed'

/** One API that a call speaks, or may speak. */
export interface ModelApi {
  readonly family: ModelFamily
  readonly endpoint: ModelEndpoint
  /** `path`: the path is that of the endpoint; `shape`: family and endpoint are guesses that the body settles. */
  readonly basis: 'path' | 'shape'
  /** As OpenTelemetry names it: of a host that is known, otherwise that whose API is spoken. */
  readonly provider: string
  /** Whether the host is a provider's own, whose paths are known. */
  readonly isKnownHost: boolean
  /** The model that the path names. */
  readonly model?: string
  /** The body is said to be in UTF-8 and in no content coding: nobody reads other words in its bytes. */
  readonly isPlain: boolean
  /** The path asks for a stream, whatever the body says. */
  readonly isStream?: boolean
}

/** What is looked at of a request. */
export interface ModelHead {
  readonly method: string
  /** In normal form, without a port. */
  readonly host: string
  /** As sent, without the query. */
  readonly path: string
  readonly headers: RawHeaders
}

// What is sent without a type, or as plain text, is read as JSON by servers that expect it.
const JSON_TYPE = /^(?:application\/(?:[a-z0-9.-]{1,64}\+)?json|text\/(?:json|plain))\b/i

type Place = readonly [ModelFamily, ModelEndpoint]

// The last segment of a path, and the one before it where the last says too little.
const LAST: ReadonlyMap<string, readonly (readonly [string | undefined, Place])[]> = new Map([
  [
    'completions',
    [
      ['chat', ['openai', 'chat']],
      [undefined, ['openai', 'completions']],
    ],
  ],
  ['responses', [[undefined, ['openai', 'responses']]]],
  ['compact', [['responses', ['openai', 'responses']]]],
  ['input_tokens', [['responses', ['openai', 'responses-count']]]],
  [
    'embeddings',
    [
      ['api', ['ollama', 'ollama-embed']],
      [undefined, ['openai', 'embeddings']],
    ],
  ],
  ['moderations', [[undefined, ['openai', 'moderations']]]],
  ['messages', [['v1', ['anthropic', 'messages']]]],
  ['count_tokens', [['messages', ['anthropic', 'messages-count']]]],
  ['complete', [['v1', ['anthropic', 'complete']]]],
  ['chat', [['api', ['ollama', 'ollama-chat']]]],
  ['generate', [['api', ['ollama', 'ollama-generate']]]],
  ['embed', [['api', ['ollama', 'ollama-embed']]]],
])

// What stands behind the colon of `models/NAME:verb`, in lower case; true: the answer is a stream.
const VERBS: ReadonlyMap<string, readonly [ModelFamily, ModelEndpoint, boolean]> = new Map([
  ['generatecontent', ['gemini', 'generateContent', false]],
  ['streamgeneratecontent', ['gemini', 'generateContent', true]],
  ['embedcontent', ['gemini', 'embedContent', false]],
  ['batchembedcontents', ['gemini', 'batchEmbedContents', false]],
  ['counttokens', ['gemini', 'countTokens', false]],
  ['rawpredict', ['anthropic', 'messages', false]],
  ['streamrawpredict', ['anthropic', 'messages', true]],
])

// Bedrock's `/model/NAME/invoke`: only what Anthropic's shape is read of.
const INVOKES: ReadonlyMap<string, boolean> = new Map([
  ['invoke', false],
  ['invoke-with-response-stream', true],
])

/** The API that a call speaks or may speak; undefined: it surely asks no model one question. */
export function recogniseModelApi(head: ModelHead): ModelApi | undefined {
  if (head.method !== 'POST') return undefined
  const segments = lastSegments(head.path)
  const place = placeOf(segments)
  if (place !== undefined) return { ...place, ...aroundOf(head, place.family), basis: 'path' }
  // One question by itself is what rules judge; many in one body are not understood.
  if (segments.last.toLowerCase() === 'batches') return undefined
  const type = firstValue(head.headers, 'content-type')
  if (type !== undefined && !JSON_TYPE.test(type)) return undefined
  const family = guessFamily(head.headers)
  const endpoint = family === 'anthropic' ? 'messages' : 'chat'
  return { family, endpoint, basis: 'shape', ...aroundOf(head, family) }
}

function guessFamily(headers: RawHeaders): ModelFamily {
  return firstValue(headers, 'anthropic-version') === undefined ? 'openai' : 'anthropic'
}

function aroundOf(
  head: ModelHead,
  family: ModelFamily,
): Pick<ModelApi, 'provider' | 'isKnownHost' | 'isPlain'> {
  return {
    provider: readProvider(head.host, family),
    isKnownHost: isModelHost(head.host),
    isPlain: isPlain(head.headers),
  }
}

function isPlain(headers: RawHeaders): boolean {
  const types = valuesOf(headers, 'content-type')
  const charset = /charset\s{0,8}=\s{0,8}"?([^\s";,]*)/i.exec(types.join())?.[1]
  return (
    types.length <= 1 &&
    (charset === undefined || /^utf-?8$/i.test(charset)) &&
    valuesOf(headers, 'content-encoding').every((coding) => coding.toLowerCase() === 'identity')
  )
}

interface Segments {
  readonly last: string
  readonly before: string
  readonly all: () => readonly string[]
}

// Upstreams read `/v1//messages/` and `/v1/%6dessages` as they like; so every reading of them is the endpoint.
function lastSegments(path: string): Segments {
  const decoded = path.includes('%') ? decodeSafely(path) : path
  let end = decoded.length
  while (end > 0 && decoded[end - 1] === '/') end -= 1
  const lastStart = decoded.lastIndexOf('/', end - 1)
  let beforeEnd = Math.max(lastStart, 0)
  while (beforeEnd > 0 && decoded[beforeEnd - 1] === '/') beforeEnd -= 1
  const before = decoded.slice(decoded.lastIndexOf('/', beforeEnd - 1) + 1, beforeEnd)
  return {
    last: decoded.slice(lastStart + 1, end),
    before,
    all: () => decoded.split('/').filter((segment) => segment !== ''),
  }
}

function decodeSafely(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

function placeOf(
  segments: Segments,
): Pick<ModelApi, 'family' | 'endpoint' | 'model' | 'isStream'> | undefined {
  const colon = segments.last.lastIndexOf(':')
  if (colon >= 0) return verbPlace(segments.last, colon)
  const name = segments.last.toLowerCase()
  const rows = LAST.get(name)
  if (rows !== undefined) {
    const before = segments.before.toLowerCase()
    const row = rows.find(([wanted]) => wanted === undefined || wanted === before)
    if (row === undefined) return undefined
    const [family, endpoint] = row[1]
    const deployment = family === 'openai' ? deploymentOf(segments, row[0]) : undefined
    return { family, endpoint, ...(deployment !== undefined && { model: deployment }) }
  }
  const isStream = INVOKES.get(name)
  if (isStream === undefined) return undefined
  const all = segments.all()
  const model = all.at(-2)
  if (all.at(-3)?.toLowerCase() !== 'model' || model === undefined || !/anthropic/i.test(model))
    return undefined
  return { family: 'anthropic', endpoint: 'messages', model, isStream }
}

function verbPlace(
  last: string,
  colon: number,
): Pick<ModelApi, 'family' | 'endpoint' | 'model' | 'isStream'> | undefined {
  const verb = VERBS.get(last.slice(colon + 1).toLowerCase())
  if (verb === undefined || colon === 0) return undefined
  const [family, endpoint, isStream] = verb
  return { family, endpoint, model: last.slice(0, colon), isStream }
}

// Azure: `/openai/deployments/NAME/chat/completions`; OpenAI's first paths had `engines` there. To some servers a slash is a
// part of the name.
function deploymentOf(segments: Segments, before: string | undefined): string | undefined {
  const all = segments.all()
  const at = all.findIndex((segment) => /^(?:deployments|engines)$/i.test(segment))
  if (at < 0) return undefined
  const name = all.slice(at + 1, before === undefined ? -1 : -2).join('/')
  return name === '' ? undefined : name
}
