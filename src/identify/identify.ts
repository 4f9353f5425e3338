// Whose call is it: the stage `identified`. A sidecar with one static task needs no credential, whoever reaches its
// listener is that task; headers by which a client names itself decide nothing. Called by `pipeline.ts`.

import type { ClientAddress, Identity } from '../call.ts'
import { EgressError } from '../errors.ts'
import type { Policy } from '../policy/compile.ts'
import type { Task, TaskState } from '../tasks/task.ts'
import { canonicalAddress, contains, parseCidr, type Cidr } from '../wire/address.ts'
import { hasHeader } from '../wire/headers.ts'
import type { RawHeaders } from '../wire/body.ts'
import type { JwtVerifier } from './jwt.ts'
import { readProxyJwt } from './proxy-jwt.ts'

/** The task of a listener as it stands now. */
interface TaskStanding {
  readonly task: Task
  readonly state: TaskState
}

/** What identifying asks of its surroundings. */
export interface IdentifyOptions {
  /** The listener's own task; undefined where there is none. */
  readonly standing: () => TaskStanding | undefined
  /** The rules in force for a task; undefined where none are valid. I5: then nothing leaves. */
  readonly policyFor: (task: Task) => Policy | undefined
  /** Verifies workload tokens; undefined where none are taken. */
  readonly jwt: JwtVerifier | undefined
}

/** Finds the task and the rules in force for one call. */
export class Identifier {
  readonly #options: IdentifyOptions
  readonly #sources: WeakMap<Task, readonly Cidr[]> = new WeakMap()

  constructor(options: IdentifyOptions) {
    this.#options = options
  }

  /**
   * Verifies the JWT that a head carries; undefined where it has none or it is known already, so that nothing is waited for.
   * @throws identity-unknown
   */
  prove(headers: RawHeaders): Promise<void> | undefined {
    const { jwt } = this.#options
    const token = jwt && readProxyJwt(headers)
    if (jwt === undefined || token === undefined || jwt.known(token)) return undefined
    return jwt.verify(token).then(() => undefined)
  }

  /** @throws identity-missing, identity-unknown, unknown-client, task-not-active, task-ended, policy-unavailable */
  identify(client: ClientAddress, headers: RawHeaders): Identity {
    const standing = this.#options.standing()
    if (standing === undefined)
      throw new EgressError(
        hasHeader(headers, 'proxy-authorization') ? 'identity-unknown' : 'identity-missing',
      )
    const { task, state } = standing
    // For the record: what is refused here was nevertheless this task's.
    const whose = { task: task.id }
    if (!this.#isKnownSource(task, client)) throw new EgressError('unknown-client', whose)
    if (state === 'ended' || state === 'revoking') throw new EgressError('task-ended', whose)
    if (state !== 'active') throw new EgressError('task-not-active', whose)
    const policy = this.#options.policyFor(task)
    if (policy === undefined) throw new EgressError('policy-unavailable', whose)
    return { task, policy }
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
