// What a running sidecar says of itself: whether its controls hold, whether it would let calls through, how old its secrets
// are. Made by `sidecar.ts`, asked by the health listener.

import { readinessOf, type Readiness } from '../control/readiness.ts'
import { SecretAges } from '../credentials/ages.ts'
import type { CredentialStore } from '../credentials/store.ts'
import type { TakeBack } from '../credentials/take-back.ts'
import type { SelfChecks, SelfCheckState } from '../record/detect/self-check.ts'
import { placeholderKey } from './placeholder-key.ts'
import { startSelfChecks, type SelfCheckParts } from './self-checks.ts'
import type { TaskRoom } from './task-room.ts'

/** What there is to look at. */
export interface OversightParts extends Omit<SelfCheckParts, 'ages' | 'clock'> {
  readonly credentials: CredentialStore
  readonly takeBack: Pick<TakeBack, 'pending' | 'failures' | 'late'>
  readonly room: SelfCheckParts['room'] & Pick<TaskRoom, 'numbers'>
}

/** The oversight of one sidecar. */
export class Oversight {
  readonly #parts: OversightParts
  readonly #ages: SecretAges
  readonly #selfChecks: SelfChecks

  constructor(parts: OversightParts) {
    this.#parts = parts
    const { config, log, credentials } = parts
    const { stateDir } = config
    this.#ages = new SecretAges({
      stateDir,
      key: placeholderKey(stateDir),
      names: credentials.staticNames(),
      secretOf: (name) => credentials.staticSecret(name),
      onProblem: (error) => log.error({ err: error }, 'ages of credentials are not remembered'),
      now: Date.now,
    })
    this.#selfChecks = startSelfChecks({
      ...parts,
      ages: this.#ages,
      clock: { now: Date.now, elapsed: () => performance.now() },
    })
  }

  /** Of each credential that is minted, how many leases are held. */
  get leases(): { readonly credential: string; readonly leases: number }[] {
    const { credentials } = this.#parts
    return credentials.names().flatMap((credential) => {
      const standing = credentials.standing(credential)
      return standing === undefined ? [] : [{ credential, leases: standing.leases }]
    })
  }

  /** How many static credentials there are, and how old. */
  get secrets(): Pick<SecretAges, 'count' | 'oldestSeconds' | 'secondsOf'> {
    return this.#ages
  }

  /** What is to be taken back of minted credentials. */
  get revocations(): Pick<TakeBack, 'pending' | 'failures'> {
    return this.#parts.takeBack
  }

  /** How the controls stood when they were last looked at. */
  get selfChecks(): SelfCheckState {
    return this.#selfChecks.state
  }

  /** Whether calls would be let through, condition by condition. */
  readiness(): Readiness[] {
    const { records, room, rules } = this.#parts
    return readinessOf({
      isRecording: records.journal.stats.available,
      task: room.own?.state,
      hasRules: rules.inForce !== undefined,
      hasPolicy: rules.inForce?.policy !== undefined,
      hasRefused: rules.refusedProblems.length > 0,
      observing: room.numbers().observing,
      sinks: this.#parts.sinks.map(({ stats }) => stats),
      failing: this.#selfChecks.state.failing,
    })
  }

  close(): void {
    this.#selfChecks.close()
  }
}
