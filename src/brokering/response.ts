// A response on its way from the upstream to whoever reads it next, without the values of its task's credentials: all that comes
// back while a task has one in use, whether or not this call carries it. Called by `pipeline.ts`.

import type { Call, Identified, Prepared, Received, UpstreamResponse } from '../call.ts'
import { scrubTexts } from '../inject/scrub/head.ts'
import { scrubResponse } from '../inject/scrub/scrub-response.ts'
import { finderOf } from '../inject/scrub/sought.ts'
import type { Watch } from '../inject/scrub/watch.ts'
import type { Parts } from '../stages.ts'
import type { RawHeaders } from '../wire/body.ts'
import { captureTokens } from './capture.ts'

/** The response as it goes on: without the tokens that are captured. @throws credential-echoed, response-malformed */
export function takeResponse(
  call: Call & Received & Identified & Prepared,
  answered: UpstreamResponse,
  parts: Parts,
): UpstreamResponse | Promise<UpstreamResponse> {
  const response = captureTokens(call, answered, parts)
  // Most calls capture nothing, and wait for nothing here.
  return response instanceof Promise
    ? response.then((taken) => scrub(call, taken, parts))
    : scrub(call, response, parts)
}

/** A response looked through for the values of its task's credentials. @throws credential-echoed, response-malformed */
export function scrub(
  call: Call & Prepared,
  response: UpstreamResponse,
  parts: Parts,
): UpstreamResponse | Promise<UpstreamResponse> {
  const watch = watchFor(call, parts)
  if (watch === undefined) return response
  const { decodedRatioMax, bufferBytesMax } = parts.limits
  const isInjected = call.outgoing.secret !== undefined
  return scrubResponse(response, watch, { isInjected, ratioMax: decodedRatioMax, bufferBytesMax })
}

/** The fields of a head without a body as they go on. */
export function takeFields(call: Call & Prepared, headers: RawHeaders, parts: Parts): RawHeaders {
  const watch = watchFor(call, parts)
  return watch === undefined ? headers : scrubTexts(headers, watch, 'header')
}

/** What is looked for in all that comes back for a call; undefined where its task has no credential in use. */
export function watchFor(
  call: Call & Prepared,
  { credentials, recorder }: Parts,
): Watch | undefined {
  const { id } = call.identity.task
  const definition = credentials.definition.bind(credentials)
  const find = (): ReturnType<typeof finderOf> => finderOf(credentials.secretsOf(id), definition)
  const first = find()
  if (first === undefined) return undefined
  let last = first
  const told = new Set<string>()
  return {
    // What a task had stays looked for where it has ended meanwhile.
    finder: () => {
      last = find() ?? last
      return last
    },
    onFound: (credential, place) => {
      const key = `${place} ${credential}`
      if (told.has(key)) return
      told.add(key)
      recorder.recordEcho(call, credential, place)
    },
  }
}
