// Whose call is it: the stage `identified`. A listener or a tunnel may belong to a task; else the proxy credential, a
// workload token or a client certificate proves one. Headers by which a client names itself decide nothing, and nobody is
// trusted for having been seen before. Called by `pipeline.ts`.

import type { Arrival, ClientAddress, Identity } from '../call.ts'
import { EgressError, type Reason } from '../errors.ts'
import type { PolicyChain } from '../policy/conjunction.ts'
import type { Moment } from '../policy/facts.ts'
import type { Task, TaskStanding } from '../tasks/task.ts'
import { canonicalAddress, contains, parseCidr, type Cidr } from '../wire/address.ts'
import type { RawHeaders } from '../wire/body.ts'
import { JwtVerifier } from './jwt.ts'
import { readProxyCredential, type ProxyCredential } from './proxy-credential.ts'

/** A refusal of a call whose task is known all the same: it goes on that task's record. */
export class TaskRefusal extends EgressError {
  readonly task: Task

  constructor(reason: Reason, task: Task, detail: EgressError['detail'] = {}) {
    super(reason, { task: task.id, ...detail })
    this.task = task
  }
}

/** The tasks as this room asks for them. */
export interface KnownTasks {
  /** The task of whoever reaches the listener; undefined where there is none. */
  readonly own: TaskStanding | undefined
  byToken(token: string): TaskStanding | undefined
  bySubject(subject: string): TaskStanding | undefined
  /** The task, or the one above it that is not active; undefined where one above is unknown. */
  weakest(standing: TaskStanding): TaskStanding | undefined
}

/** What identifying asks of its surroundings. */
export interface IdentifyOptions {
  readonly tasks: KnownTasks
  /** Verifies workload tokens; undefined where none are taken. */
  readonly jwt: JwtVerifier | undefined
  /** The rules in force for a task and those above it; undefined where none are valid. I5: then nothing leaves. */
  readonly policiesFor: (task: Task) => PolicyChain | undefined
  /** When a call of a task is decided, and after what. */
  readonly momentOf: (task: Task) => Moment
  /** @throws EgressError killed */
  readonly checkSwitches: (task: Task) => void
  /** Told of a client that proved no task. */
  readonly onStranger: (client: ClientAddress, reason: Reason) => void
}

interface Proved {
  readonly standing: TaskStanding
  /** Whether it was proved by what can be carried elsewhere. */
  readonly isPortable: boolean
}

/** Finds the task and the rules in force for one call. */
export class Identifier {
  readonly #options: IdentifyOptions
  readonly #sources: WeakMap<Task, readonly Cidr[]> = new WeakMap()

  constructor(options: IdentifyOptions) {
    this.#options = options
  }

  /** What has to be awaited before `identify` is asked: undefined, but for a workload token not seen before. */
  prove(arrival: Arrival, headers: RawHeaders): Promise<unknown> | undefined {
    const { jwt } = this.#options
    if (jwt === undefined || arrival.boundTo !== undefined) return undefined
    const secret = this.#read(headers)?.secret
    if (secret === undefined || !JwtVerifier.resembles(secret)) return undefined
    if (jwt.known(secret) !== undefined) return undefined
    return jwt.verify(secret).catch((error: unknown) => {
      const reason = error instanceof EgressError ? error.reason : 'identity-unknown'
      this.#options.onStranger(arrival.client, reason)
      throw error
    })
  }

  /**
   * @throws identity-missing, identity-unknown, identity-shared, unknown-client, task-not-active, task-ended, killed,
   * policy-unavailable
   */
  identify(arrival: Pick<Arrival, 'boundTo' | 'client'>, headers: RawHeaders): Identity {
    const { tasks, checkSwitches, policiesFor, momentOf } = this.#options
    const { boundTo, client } = arrival
    const { standing, isPortable } = boundTo
      ? { standing: boundTo, isPortable: false }
      : this.#provedBy(client, headers)
    const { task } = standing
    if (!this.#isKnownSource(task, client)) {
      if (isPortable) throw shared(task, client.address ?? 'a unix socket')
      this.#options.onStranger(client, 'unknown-client')
      throw new TaskRefusal('unknown-client', task)
    }
    const { state = 'ended' } = tasks.weakest(standing) ?? {}
    if (state === 'ended' || state === 'revoking') throw new TaskRefusal('task-ended', task)
    if (state !== 'active') throw new TaskRefusal('task-not-active', task, { state })
    checkSwitches(task)
    const policies = policiesFor(task)
    if (policies === undefined) throw new TaskRefusal('policy-unavailable', task)
    return { task, policies, standing, moment: () => momentOf(task) }
  }

  #provedBy(client: ClientAddress, headers: RawHeaders): Proved {
    const { tasks } = this.#options
    const credential = this.#read(headers)
    const certified =
      client.certificateSubject === undefined
        ? undefined
        : tasks.bySubject(client.certificateSubject)
    const shown = credential && this.#shownBy(credential)
    if (shown !== undefined) {
      const { task } = shown.standing
      // Whoever shows two identities shows one that is not its own.
      if (client.certificateSubject !== undefined && certified !== shown.standing)
        throw shared(task, client.certificateSubject)
      return shown
    }
    if (certified !== undefined) return { standing: certified, isPortable: false }
    if (tasks.own !== undefined) return { standing: tasks.own, isPortable: false }
    const reason =
      credential === undefined && client.certificateSubject === undefined
        ? 'identity-missing'
        : 'identity-unknown'
    this.#options.onStranger(client, reason)
    throw new EgressError(reason)
  }

  // Whoever reaches a task's own listener is that task, whatever else it sends.
  #read(headers: RawHeaders): ProxyCredential | undefined {
    try {
      return readProxyCredential(headers)
    } catch (error) {
      if (this.#options.tasks.own !== undefined) return undefined
      throw error
    }
  }

  #shownBy({ id, secret }: ProxyCredential): Proved | undefined {
    const { tasks, jwt } = this.#options
    const subject = JwtVerifier.resembles(secret) ? jwt?.known(secret)?.subject : undefined
    const standing = subject === undefined ? tasks.byToken(secret) : tasks.bySubject(subject)
    if (standing === undefined) return undefined
    // A token is worth nothing under another task's name.
    if (subject === undefined && id !== undefined && id !== standing.task.id) return undefined
    return { standing, isPortable: true }
  }

  #isKnownSource(task: Task, client: ClientAddress): boolean {
    // A unix socket has no address: whoever may open it is the sandbox.
    if (task.sources.length === 0 || client.address === undefined) return true
    const address = canonicalAddress(client.address)?.host
    if (address === undefined) return false
    let ranges = this.#sources.get(task)
    if (ranges === undefined) {
      ranges = task.sources.map((text) => parseCidr(text)).filter((range) => range !== undefined)
      this.#sources.set(task, ranges)
    }
    return ranges.some((range) => contains(range, address))
  }
}

// A credential came from where it must not.
function shared(task: Task, seen: string): TaskRefusal {
  return new TaskRefusal('identity-shared', task, { seen })
}
