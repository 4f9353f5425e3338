// Sees in the calls of tasks what a SOC wants to be told: storms of refusals, much leaving in little time, destinations that
// an agent was never at before. Plain counters beside the recording of calls, nothing is read again. Deliberately writes no
// record itself: `alerts.ts` does. Called by `recorder.ts`.

import type { Call } from '../../call.ts'
import type { Reason } from '../../errors.ts'
import type { Limits } from '../../limits.ts'
import type { Task } from '../../tasks/task.ts'
import type { Alerts } from './alerts.ts'
import { DenialStorms } from './denial-storm.ts'
import type { KnownDestinations } from './known-destinations.ts'
import type { RecordBody } from '../body.ts'
import { OutwardBytes } from './outward-bytes.ts'

/** What detecting needs. */
export interface DetectorOptions {
  readonly alerts: Alerts
  readonly destinations: KnownDestinations
  readonly limits: Pick<
    Limits,
    'denialStormCount' | 'denialStormMs' | 'bytesOutSpikeBytes' | 'bytesOutSpikeMs'
  >
  /** Takes the records that end a storm. */
  readonly append: (record: RecordBody) => void
  /** Epoch milliseconds. */
  readonly now: () => number
}

/** Attempts of somebody else with a task's credential are not that task's storm. */
const NOT_ITS_OWN: ReadonlySet<Reason> = new Set<Reason>(['identity-shared', 'unknown-client'])

/** The detector of one sidecar. */
export class Detector {
  readonly #options: DetectorOptions
  readonly #storms: DenialStorms
  readonly #bytes: OutwardBytes

  constructor(options: DetectorOptions) {
    this.#options = options
    const { alerts, limits, append, now } = options
    this.#storms = new DenialStorms({ alerts, limits, append, now })
    this.#bytes = new OutwardBytes({ alerts, limits, now })
  }

  /** A call is let out and its start is on record. */
  noteStart({ task, request, tunnel, tunnelMode, id }: Call): void {
    // An inspected tunnel dials nothing: each request in it is a call of its own.
    if (task === undefined || tunnelMode === 'inspect') return
    const endpoint = request?.endpoint ?? tunnel
    if (endpoint === undefined) return
    const { destinations, alerts } = this.#options
    const standing = destinations.note(task.agent.account, endpoint)
    if (standing === 'known') return
    const { host, port } = endpoint
    alerts.raise(
      {
        name: 'first-seen-destination',
        task,
        calls: [id],
        count: 1,
        about: `${host}:${port}`,
        endpoint,
        detail: { agent: task.agent.account },
      },
      // Everything is new to an agent that is new: its first destinations are told together.
      standing === 'new-among-new',
    )
  }

  /** Bytes have left since the last time; of calls that are open for long, and of each at its end. */
  noteBytes(call: Call, isOver: boolean): void {
    this.#bytes.note(call, isOver)
  }

  /**
   * A call, a message in it, or a DNS query is refused.
   * @param callId undefined: it is none
   * @param isRecorded whether it has a record of its own
   */
  noteDenial(
    task: Task | undefined,
    reason: Reason,
    callId: string | undefined,
    isRecorded: boolean,
  ): void {
    const whose = NOT_ITS_OWN.has(reason) ? undefined : task
    this.#storms.note(whose, reason, isRecorded ? callId : undefined)
  }

  /** Tells what is counted so far; before the journal is closed. */
  close(): void {
    this.#storms.close()
    this.#options.destinations.close()
  }
}
