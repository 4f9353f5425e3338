// Questions to models: read before they leave where a rule looks at them, otherwise as they flow by, and the answer always as it
// flows by. For the record, that is; nothing is changed and nothing waits. Called by `understand.ts`.

import type { Inspection, UpstreamResponse } from '../call.ts'
import { EgressError } from '../errors.ts'
import { ModelAnswer } from '../inspect/model/answer.ts'
import { recogniseModelApi, type ModelApi } from '../inspect/model/api.ts'
import { modelFields, unreadModelFields } from '../inspect/model/fields.ts'
import { readModelRequest, type ModelRequest } from '../inspect/model/request.ts'
import { joinChunks, tapBody } from '../inspect/whole-body.ts'
import type { Parts } from '../stages.ts'
import type { Body } from '../wire/body.ts'
import { valuesOf } from '../wire/headers.ts'
import type { CanonicalRequest } from '../wire/receive.ts'
import { makeInspection, type Reading, type Screened, type WholeCall } from './inspection.ts'
import { keeperFor, modeOf } from './keeping.ts'

/** Reads a question that a rule looks at; undefined where the call is none. @throws malformed-body */
export function readModelQuestion(whole: WholeCall): Reading | undefined {
  const { call, bytes, body, parts } = whole
  const api = recogniseApi(call.request)
  if (api === undefined) return undefined
  if (isCoded(call.request)) throw new EgressError('malformed-body', { part: 'content-encoding' })
  const question = readModelRequest(api, bytes, { strict: true })
  if (question === undefined) return undefined
  const exchange = new ModelExchange(call, api, parts, question)
  return { content: { model: question.subject }, inspection: exchange.inspect(body) }
}

/** Leaves on a call what reads a question to a model as it flows by; nothing where the call is none. */
export function tapModelCall(call: Screened, body: Body, parts: Parts): void {
  const api = recogniseApi(call.request)
  if (api === undefined || body.length === 0) return
  const exchange = new ModelExchange(call, api, parts)
  call.inspection = exchange.inspect(
    tapBody(
      body,
      (chunk) => exchange.take(chunk),
      () => exchange.readQuestion(),
    ),
  )
}

class ModelExchange {
  readonly #call: Screened
  readonly #api: ModelApi
  readonly #parts: Parts
  #question: ModelRequest | undefined
  #chunks: Uint8Array[] = []
  #bytes = 0
  #answer: ModelAnswer | undefined

  constructor(call: Screened, api: ModelApi, parts: Parts, question?: ModelRequest) {
    this.#call = call
    this.#api = api
    this.#parts = parts
    this.#question = question
  }

  inspect(body: Body): Inspection {
    return makeInspection({
      body,
      filterResponse: (response) => this.#watchAnswer(response),
      finish: () => this.#finish(),
    })
  }

  take(chunk: Uint8Array): void {
    this.#bytes += chunk.length
    if (this.#bytes <= this.#parts.limits.tapBytesMax) this.#chunks.push(chunk)
    else this.#chunks.length = 0
  }

  /** All of the body has flown by. */
  readQuestion(): void {
    if (this.#chunks.length === 0 || isCoded(this.#call.request)) return
    this.#question = readModelRequest(this.#api, joinChunks(this.#chunks), { strict: false })
    this.#chunks.length = 0
  }

  // A guess at the shape that the body did not bear out costs the answer nothing.
  #watchAnswer(response: UpstreamResponse): UpstreamResponse {
    if (this.#question === undefined) return response
    const answer = new ModelAnswer(this.#question.api, response, this.#parts.limits.tapBytesMax)
    this.#answer = answer
    const body = tapBody(
      response.body,
      (chunk) => answer.push(chunk),
      () => undefined,
    )
    return { ...response, body }
  }

  #finish(): void {
    const { decision, identity, cleared } = this.#call
    if (cleared !== true && this.#question === undefined) return
    if (this.#question === undefined) {
      this.#call.inspected = unreadModelFields(this.#api, this.#unread())
      return
    }
    const keeping = {
      keeper: keeperFor({ identity }, this.#parts),
      mode:
        decision === undefined
          ? this.#parts.record.prompts
          : modeOf(decision, 'prompts', this.#parts),
    }
    this.#call.inspected = modelFields(this.#question, this.#answer?.end(), keeping)
  }

  #unread(): Parameters<typeof unreadModelFields>[1] {
    if (this.#bytes > this.#parts.limits.tapBytesMax) return 'too-large'
    return isCoded(this.#call.request) ? 'encoded' : 'malformed'
  }
}

function recogniseApi({ method, endpoint, path, headers }: CanonicalRequest): ModelApi | undefined {
  return recogniseModelApi({ method, host: endpoint.host, path: path.raw, headers })
}

function isCoded({ headers }: CanonicalRequest): boolean {
  return valuesOf(headers, 'content-encoding').some((value) => value.toLowerCase() !== 'identity')
}
