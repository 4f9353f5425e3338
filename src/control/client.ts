// The control API's other side: what an orchestrator and the command line call it by, over a unix socket or TCP, with or
// without TLS. Another process's side: it opens its own connection, imports nothing of the server, and reads answers of
// bounded size. Exported as `sallyport/client`.

import http, { type IncomingMessage, type RequestOptions } from 'node:http'
import https from 'node:https'

import type { HoldAnswer, HoldView } from '../tasks/hold-view.ts'
import type { Evidence, Kill, KillScope, Receipt, RequestView, TaskView } from '../tasks/view.ts'
import { readEvents, readProblem, readText } from './client-read.ts'
import type { MadeTask, WrittenExtension, WrittenTask } from './client-task.ts'
import { ControlProblem } from './client-problem.ts'
import { headersFor, queryOf, reasonOf, taskPath } from './client-path.ts'
import { readTarget, type ClientTls, type Target } from './client-target.ts'
import type {
  CheckpointView,
  CredentialView,
  Inventory,
  ReceiptKey,
  RuleSetView,
  RulesReload,
  TaskEnvironment,
  WantedRecords,
} from './parts.ts'

export { ControlProblem } from './client-problem.ts'
export type * from './client-types.ts'

/** How the API is reached. */
export interface ControlClientOptions {
  /** `unix:PATH`, `HOST:PORT`, `http://HOST:PORT` or `https://HOST:PORT`. */
  readonly address: string
  /** The principal's token. */
  readonly token?: string | undefined
  readonly tls?: ClientTls | undefined
  /** For one answer; ending a task may take as long as its hooks. Default 60 s. */
  readonly timeoutMs?: number
}

interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly path: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
}

const TIMEOUT_MS = 60_000

/** A client of one sidecar's control API; each method throws ControlProblem where the API refuses. */
export class ControlClient {
  readonly #options: ControlClientOptions
  readonly #target: Target

  /** @throws Error where the address is not one */
  constructor(options: ControlClientOptions) {
    this.#options = options
    this.#target = readTarget(options.address, options.tls)
  }

  /** Makes a task. @param idempotencyKey the same key and definition again are the same task */
  createTask(definition: WrittenTask, idempotencyKey?: string): Promise<MadeTask> {
    return this.#make('/v1/tasks', definition, idempotencyKey)
  }

  /** Makes a stage of another task. */
  createChild(
    parent: string,
    definition: Omit<WrittenTask, 'parent'>,
    idempotencyKey?: string,
  ): Promise<MadeTask> {
    return this.#make(`${taskPath(parent)}/children`, definition, idempotencyKey)
  }

  /** Lists the tasks that were made last, the newest last; `more` where there are older ones. */
  listTasks(
    filter: {
      readonly state?: string
      readonly owner?: string
      readonly agent?: string
      readonly limit?: string
    } = {},
  ): Promise<{ readonly tasks: readonly TaskView[]; readonly more: boolean }> {
    return this.#get(`/v1/tasks${queryOf(filter)}`)
  }

  showTask(id: string): Promise<TaskView> {
    return this.#get(taskPath(id))
  }

  /** Lets a task live on. @param expires from now on, such as `30m` */
  extendTask(id: string, expires: string, evidence?: Evidence): Promise<TaskView> {
    return this.#change(id, 'extend', { expires, ...(evidence && { evidence }) })
  }

  /** Adds to what a task declares; takes the role approver. */
  extendIntent(id: string, extension: WrittenExtension): Promise<TaskView> {
    return this.#change(id, 'intent', extension)
  }

  suspendTask(id: string, reason?: string): Promise<TaskView> {
    return this.#change(id, 'suspend', reasonOf(reason))
  }

  resumeTask(id: string, reason?: string): Promise<TaskView> {
    return this.#change(id, 'resume', reasonOf(reason))
  }

  /** Takes back what a task and its tree have read. */
  resetFlow(id: string, reason: string): Promise<TaskView> {
    return this.#change(id, 'flow/reset', { reason })
  }

  /** Says that a task's sandbox is still there. */
  sendHeartbeat(id: string): Promise<TaskView> {
    return this.#change(id, 'heartbeat', {})
  }

  /** Proves a task's sandbox. */
  attestTask(id: string, evidence: Evidence): Promise<TaskView> {
    return this.#change(id, 'attest', evidence)
  }

  /** Ends a task and everything of it. */
  revokeTask(id: string, reason?: string): Promise<Receipt> {
    return this.#change(id, 'revoke', reasonOf(reason))
  }

  /** What a task's sandbox is given; its token is not known any more. */
  showEnvironment(
    id: string,
  ): Promise<Omit<TaskEnvironment, 'proxy'> & { readonly proxy?: string }> {
    return this.#get(`${taskPath(id)}/env`)
  }

  /** The latest records of calls, newest last. */
  async listCalls(
    filter: WantedRecords & { readonly limit?: number } = {},
  ): Promise<readonly object[]> {
    const { limit, ...wanted } = filter
    const query = queryOf({ ...wanted, limit: limit?.toString() })
    return (await this.#get<{ calls: object[] }>(`/v1/calls${query}`)).calls
  }

  /** Records of calls as they are written, until the signal; ends also where the reader is too slow. */
  async *followCalls(
    filter: WantedRecords = {},
    signal?: AbortSignal,
  ): AsyncGenerator<object, void, undefined> {
    const headers = { Accept: 'text/event-stream' }
    const path = `/v1/calls${queryOf({ ...filter })}`
    yield* readEvents(await this.#open({ method: 'GET', path, headers, signal }))
  }

  async showRules(): Promise<readonly RuleSetView[]> {
    return (await this.#get<{ rules: RuleSetView[] }>('/v1/rules')).rules
  }

  /** Loads the rule files now. */
  reloadRules(): Promise<RulesReload> {
    return this.#send({ method: 'POST', path: '/v1/rules/reload', body: {} })
  }

  async listCredentials(): Promise<readonly CredentialView[]> {
    return (await this.#get<{ credentials: CredentialView[] }>('/v1/credentials')).credentials
  }

  /** Throws the kill switch. @param value which one; empty for `all` */
  kill(
    scope: KillScope,
    value: string,
    reason?: string,
  ): Promise<{ readonly kill: Kill; readonly ended: readonly string[]; readonly cut: number }> {
    const body = { scope, value, ...reasonOf(reason) }
    return this.#send({ method: 'POST', path: '/v1/kill', body })
  }

  async listKills(): Promise<readonly Kill[]> {
    return (await this.#get<{ kills: Kill[] }>('/v1/kill')).kills
  }

  liftKill(id: string): Promise<Kill> {
    return this.#send({ method: 'DELETE', path: `/v1/kill/${encodeURIComponent(id)}` })
  }

  /** Held calls, opened last last. */
  async listHolds(
    filter: { readonly task?: string; readonly state?: string } = {},
  ): Promise<readonly HoldView[]> {
    return (await this.#get<{ holds: HoldView[] }>(`/v1/holds${queryOf(filter)}`)).holds
  }

  showHold(id: string): Promise<HoldView> {
    return this.#get(`/v1/holds/${encodeURIComponent(id)}`)
  }

  answerHold(id: string, answer: HoldAnswer, reason?: string): Promise<HoldView> {
    const path = `/v1/holds/${encodeURIComponent(id)}/${answer}`
    return this.#send({ method: 'POST', path, body: reasonOf(reason) })
  }

  /** Names of owners who were disabled. */
  async listDisabledOwners(): Promise<readonly string[]> {
    return (await this.#get<{ disabled: string[] }>('/v1/owners')).disabled
  }

  /** Disables an owner, whose tasks are then suspended, or enables one again. */
  setOwner(
    owner: string,
    disabled: boolean,
  ): Promise<{ readonly disabled: boolean; readonly suspended: readonly string[] }> {
    const path = `/v1/owners/${encodeURIComponent(owner)}`
    return this.#send({ method: 'PUT', path, body: { disabled } })
  }

  /** What agents ask people for, the oldest first. */
  async listRequests(
    filter: { readonly state?: string; readonly task?: string } = {},
  ): Promise<readonly RequestView[]> {
    const path = `/v1/requests${queryOf({ ...filter })}`
    return (await this.#get<{ requests: RequestView[] }>(path)).requests
  }

  /** Answers a request; takes the role approver, and changes no rule. */
  closeRequest(id: string, answer: 'granted' | 'refused', reason?: string): Promise<RequestView> {
    const path = `/v1/requests/${encodeURIComponent(id)}/close`
    return this.#send({ method: 'POST', path, body: { answer, ...reasonOf(reason) } })
  }

  showInventory(): Promise<Inventory> {
    return this.#get('/v1/inventory')
  }

  /** The keys that receipts are signed with. */
  async listKeys(): Promise<readonly ReceiptKey[]> {
    return (await this.#get<{ keys: ReceiptKey[] }>('/v1/keys')).keys
  }

  /** Puts on record how far the journal has come, or one task's part of it, signed. */
  makeCheckpoint(task?: string): Promise<CheckpointView> {
    return this.#send({ method: 'POST', path: '/v1/checkpoints', body: { ...(task && { task }) } })
  }

  #make(path: string, body: unknown, key: string | undefined): Promise<MadeTask> {
    const headers = key === undefined ? {} : { 'Idempotency-Key': key }
    return this.#send({ method: 'POST', path, body, headers })
  }

  #change<Answer>(id: string, name: string, body: unknown): Promise<Answer> {
    return this.#send({ method: 'POST', path: `${taskPath(id)}/${name}`, body })
  }

  #get<Answer>(path: string): Promise<Answer> {
    return this.#send({ method: 'GET', path })
  }

  async #send<Answer>(call: Call): Promise<Answer> {
    const text = await readText(await this.#open(call))
    const answer: Answer = JSON.parse(text)
    return answer
  }

  /** @throws ControlProblem where the API refuses */
  async #open({ method, path, body, headers, signal }: Call): Promise<IncomingMessage> {
    const { token, timeoutMs = TIMEOUT_MS } = this.#options
    const text = body === undefined ? undefined : JSON.stringify(body)
    const { connection, isSecure } = this.#target
    const options: RequestOptions = {
      ...connection,
      method,
      path,
      agent: false,
      timeout: timeoutMs,
      ...(signal && { signal }),
      headers: { ...headersFor(token, text), ...headers },
    }
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = (isSecure ? https : http).request(options, resolve)
      request.once('timeout', () => request.destroy(new Error('the control API does not answer')))
      request.on('error', reject)
      request.end(text)
    })
    if ((response.statusCode ?? 0) < 300) return response
    const retryAfter = Number(response.headers['retry-after'] ?? Number.NaN)
    const problem = readProblem(await readText(response), response.statusCode ?? 0)
    throw new ControlProblem(problem, Number.isNaN(retryAfter) ? undefined : retryAfter)
  }
}
