// What a task is told at `http://sallyport.internal/`: its own envelope, read-only, and a queue for requests to people.
// Deliberately dials nothing, changes no rule, and tells no rule's id, pattern, condition or credential. The pipeline asks it
// for a call whose task is known; made by `config/envelope.ts`.

import type { Call, ClientSide, Identified, Received, UpstreamResponse } from '../call.ts'
import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import { listDestinations } from '../policy/listed.ts'
import type { Task } from '../tasks/task.ts'
import { hasHeader, valuesOf } from '../wire/headers.ts'
import { ownHostFault } from '../wire/own-host.ts'
import { found, problem, responseOf, type OwnAnswer } from './answers.ts'
import { indexText } from './index-text.ts'
import { decideAsked, readAsked, refuseAsked, type CheckSwitches } from './may.ts'
import { CallRate } from './rate.ts'
import type { Refusals } from './refusals.ts'
import { openRequest, viewForAgent, type RequestQueue } from './requests.ts'

/** A call to this host. */
export type OwnCall = Call & Received & Identified

/** What of a task others know. */
export interface EnvelopeSources {
  /** What a task is told of itself. */
  readonly describe: (call: OwnCall) => object
  readonly requests: RequestQueue
  readonly refusals: Refusals
  /** Calls of a task that wait for a person; undefined where none ever do. */
  readonly holds?:
    | {
        readonly listOf: (task: Task) => readonly object[]
        readonly show: (task: Task, id: string) => object | undefined
      }
    | undefined
  readonly checkSwitches: CheckSwitches
  /** I5: nothing is told where nothing can be recorded. */
  readonly isRecording: () => boolean
  readonly limits: Pick<Limits, 'envelopeCallsPerMinute'>
}

const BY_ID = /^\/v1\/(refusals|requests|holds)\/([\w-]{1,64})$/
// Fields by which a browser says that a page asks. A person who types the address sends `none`.
const SITE = 'sec-fetch-site'

/** Answers the tasks of one sidecar. */
export class Envelope {
  readonly #sources: EnvelopeSources
  readonly #rate: CallRate

  constructor(sources: EnvelopeSources) {
    this.#sources = sources
    this.#rate = new CallRate(sources.limits.envelopeCallsPerMinute)
  }

  /**
   * Answers one call.
   * @throws EgressError protocol-not-allowed, port-not-allowed; operation-not-allowed where a page of a browser asks;
   *   quota-exceeded, audit-unavailable, body-too-large, busy; what breaks the body off
   */
  async answer(call: OwnCall, client: ClientSide): Promise<UpstreamResponse> {
    const { request, identity } = call
    const fault = ownHostFault(request.endpoint, request.scheme)
    if (fault !== undefined) throw new EgressError(fault)
    if (request.upgrade) throw new EgressError('protocol-not-allowed', { part: 'upgrade' })
    if (isOfPage(call)) throw new EgressError('operation-not-allowed', { part: 'origin' })
    if (!this.#sources.isRecording()) throw new EgressError('audit-unavailable')
    this.#rate.take(identity.task.id)
    const isOpening = request.method === 'POST' && request.path.raw === '/v1/requests'
    const answer = isOpening ? await this.#open(call, client) : this.#read(call)
    return responseOf(answer, request.method === 'HEAD')
  }

  #open(call: OwnCall, client: ClientSide): Promise<OwnAnswer> {
    const { requests, checkSwitches } = this.#sources
    return openRequest(call, client, requests, (asked) =>
      decideAsked(asked, call.identity, checkSwitches),
    )
  }

  #read(call: OwnCall): OwnAnswer {
    const { method, path } = call.request
    const answer = this.#show(call)
    if (answer.status === 404 || method === 'GET' || method === 'HEAD') return answer
    const allow = path.raw === '/v1/requests' ? 'GET, HEAD, POST' : 'GET, HEAD'
    return problem(405, `This is asked for with ${allow}.`, allow)
  }

  #show(call: OwnCall): OwnAnswer {
    const { describe, requests, refusals, holds } = this.#sources
    const { policies, task, moment } = call.identity
    switch (call.request.path.raw) {
      case '/':
        return { status: 200, content: indexText(holds !== undefined) }
      case '/v1/task':
        return found(describe(call))
      case '/v1/allowed':
        return found({ destinations: listDestinations(policies, moment()) })
      case '/v1/may':
        return this.#may(call)
      case '/v1/refusals':
        return found({ refusals: refusals.of(task.id) })
      case '/v1/requests':
        return found({ requests: requests.listOf(task.id).map(viewForAgent) })
      case '/v1/holds':
        return found(holds && { holds: holds.listOf(task) })
      default:
        return this.#showOne(task, call.request.path.raw)
    }
  }

  #showOne(task: Task, path: string): OwnAnswer {
    const { requests, refusals, holds } = this.#sources
    const [, kind, id = ''] = BY_ID.exec(path) ?? []
    if (kind === 'refusals') return found(refusals.of(task.id).find(({ call }) => call === id))
    if (kind === 'holds') return found(holds?.show(task, id))
    const request =
      kind === 'requests' ? requests.listOf(task.id).find((one) => one.id === id) : undefined
    return found(request && viewForAgent(request))
  }

  #may({ request, identity }: OwnCall): OwnAnswer {
    const wanted = new URLSearchParams(request.query ?? '')
    const [method, ...methods] = wanted.getAll('method')
    const [url, ...urls] = wanted.getAll('url')
    if (method === undefined || url === undefined || methods.length > 0 || urls.length > 0)
      return problem(400, 'Ask /v1/may?method=METHOD&url=URL, each once, the URL percent-encoded.')
    try {
      return found(decideAsked(readAsked(method, url), identity, this.#sources.checkSwitches))
    } catch (error) {
      return found(refuseAsked(method, url, error))
    }
  }
}

// A page that a browser in the sandbox shows is a stranger's: it neither reads the envelope nor asks people for anything.
function isOfPage({ request: { headers } }: OwnCall): boolean {
  if (hasHeader(headers, 'origin')) return true
  return hasHeader(headers, SITE) && valuesOf(headers, SITE).some((site) => site.trim() !== 'none')
}
