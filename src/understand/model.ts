// Questions to models: read before they leave where a rule looks at them, otherwise as they flow by, and the answer always as it
// flows by. For the record, that is; nothing is changed and nothing waits. Called by `inside.ts` and, as it flows by, through `taps.ts`.

import type { Answer, Call, Inspection, UpstreamResponse } from '../call.ts'
import { EgressError, REASONS, type Reason } from '../errors.ts'
import { ModelAnswer } from '../inspect/model/answer.ts'
import type { ModelApi } from '../inspect/model/api.ts'
import { modelFields, unreadModelFields } from '../inspect/model/fields.ts'
import { recogniseQuestion } from '../inspect/model/question.ts'
import { readModelRequest, type ModelRequest } from '../inspect/model/request.ts'
import { tapBody } from '../inspect/whole-body.ts'
import type { Parts } from '../stages.ts'
import type { Body } from '../wire/body.ts'
import { valuesOf } from '../wire/headers.ts'
import { adviceFor, refusalHeaders, problemBody } from '../wire/proxy-status.ts'
import type { CanonicalRequest } from '../wire/receive.ts'
import { makeInspection, type Reading, type Screened, type WholeCall } from './inspection.ts'
import { keeperFor, modeOf } from './keeping.ts'
import { TappedBytes } from './tapped-bytes.ts'

/** Reads a question that a rule looks at; undefined where the call is none. @throws malformed-body, protocol-not-allowed */
export function readModelQuestion(whole: WholeCall): Reading | undefined {
  const { call, bytes, body, parts } = whole
  const { method, endpoint, path, headers } = call.request
  const api = recogniseQuestion({ method, host: endpoint.host, path, headers })
  if (api === undefined) return undefined
  if (isCoded(call.request)) throw new EgressError('malformed-body', { part: 'content-encoding' })
  const question = readModelRequest(api, bytes, { strict: true })
  if (question === undefined) return undefined
  const exchange = new ModelExchange(call, api, parts, question)
  return { content: { model: question.subject }, inspection: exchange.inspect(body) }
}

/** Leaves on a call what reads a question to a model as it flows by. */
export function tapModelCall(api: ModelApi, call: Screened, body: Body, parts: Parts): void {
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
  readonly #tapped: TappedBytes
  #isTooLarge = false
  #answer: ModelAnswer | undefined

  constructor(call: Screened, api: ModelApi, parts: Parts, question?: ModelRequest) {
    this.#call = call
    this.#api = api
    this.#parts = parts
    this.#tapped = new TappedBytes(call, parts)
    this.#question = question
  }

  inspect(body: Body): Inspection {
    return makeInspection({
      body,
      filterResponse: (response) => this.#watchAnswer(response),
      writeRefusal: (reason) => writeModelRefusal(this.#call, reason),
      finish: () => this.#finish(),
    })
  }

  take(chunk: Uint8Array): void {
    this.#tapped.push(chunk)
  }

  /** All of the body has flown by. */
  readQuestion(): void {
    const bytes = this.#tapped.take()
    if (bytes === undefined || isCoded(this.#call.request)) return
    try {
      this.#question = readModelRequest(this.#api, bytes, { strict: false })
    } catch (error) {
      if (!(error instanceof EgressError)) throw error
      this.#isTooLarge = true
    }
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
    if (this.#isTooLarge || this.#tapped.isTooLarge) return 'too-large'
    return isCoded(this.#call.request) ? 'encoded' : 'malformed'
  }
}

// The usual words, once more where the SDKs of model APIs look for them: of anything else they show the status alone.
function writeModelRefusal({ id, task, wait, hold }: Call, reason: Reason): Answer {
  const { status, title } = REASONS[reason]
  const { remedy } = adviceFor(reason, wait)
  const error = {
    type: 'sallyport',
    code: reason,
    message: `Sallyport: ${reason}: ${title}. ${remedy}`,
  }
  return {
    status,
    statusText: `Sallyport: ${reason}`,
    headers: refusalHeaders(reason, 'application/problem+json'),
    body: problemBody(reason, id, task?.id, wait, { error, ...(hold && { hold: hold.id }) }),
  }
}

function isCoded({ headers }: CanonicalRequest): boolean {
  return valuesOf(headers, 'content-encoding').some((value) => value.toLowerCase() !== 'identity')
}
