// The ledger's memory as a configuration describes it: what tasks have seen of tools, and the calls that wait for a person,
// each change of which is put on record. Called by `sidecar.ts`.

import { Holds } from '../ledger/holds/holds.ts'
import type { Log } from '../record/log.ts'
import type { Dialer } from '../net/dial.ts'
import type { TaskEntry } from '../tasks/entry.ts'
import type { HoldView } from '../tasks/hold-view.ts'
import { normalizeHost } from '../wire/authority.ts'
import type { Config } from './config.ts'
import type { Records } from './records.ts'
import { Reviewers } from './reviewers.ts'
import type { SinkEnvironment } from './sink-secrets.ts'
import type { QuotaSurroundings } from './task-quotas.ts'
import { openTaskTools, type TaskTools } from './task-tools.ts'

/** What decisions depend on and change. */
export interface Ledger {
  readonly tools: TaskTools
  readonly holds: Holds
  readonly signedAnswers: Reviewers
}

/** What the ledger is opened with. */
export interface LedgerOptions {
  readonly config: Config
  readonly log: Log
  readonly records: Pick<Records, 'recorder' | 'metrics'>
  readonly dialer: Dialer
  readonly environment: SinkEnvironment
  /** The tasks, once they are there. */
  readonly room: () => QuotaSurroundings['room']
}

/** Opens the ledger. @throws Error where what is kept of it cannot be read */
export function openLedger(options: LedgerOptions): Ledger {
  const { config, log, records, room } = options
  const { stateDir, limits } = config
  const entryOf = (id: string): TaskEntry | undefined => room().registry.entries.get(id)
  const holds: Holds = new Holds({
    stateDir,
    limits,
    now: () => room().clock.now(),
    askersOf: (taskId) => {
      const { task, kept } = entryOf(taskId) ?? {}
      return [kept?.createdBy, task?.principal].filter((name) => name !== undefined)
    },
    onChange: (action, hold, callId) => {
      const { host, port } = hold.request
      records.recorder.recordEvent(action, {
        task: entryOf(hold.task.id)?.task,
        callId,
        endpoint: { ...normalizeHost(host), port },
        detail: detailOf(hold),
      })
      if (action === 'hold-opened') signedAnswers.tell(hold)
    },
    onProblem: (error) => log.error({ err: error }, 'a hold could not be written down'),
  })
  const { environment, dialer } = options
  const sections = config.reviewers
  const signedAnswers = new Reviewers({ sections, environment, dialer, holds, log })
  const tools = openTaskTools(config, log, () => ({ room: room(), metrics: records.metrics }))
  return { tools, holds, signedAnswers }
}

// What a record says of a hold; the reviewer's view is kept with the hold itself.
function detailOf(hold: HoldView): Readonly<Record<string, unknown>> {
  const { id, digest, rule, request, separate, reviewers, waitsUntil } = hold
  const { by, via, reason, answerUntil, usedBy, cause } = hold
  const { kind, method, scheme, path, query, body, tools = [] } = request
  return {
    hold: id,
    digest,
    rule: rule.id,
    ruleset: rule.ruleset,
    version: rule.version,
    kind,
    method,
    scheme,
    ...(path !== undefined && { path }),
    ...(query !== undefined && { query }),
    ...(body && { bytes: body.bytes, sha256: body.sha256 }),
    ...(tools.length > 0 && { tools: tools.map(({ name }) => name) }),
    separate,
    ...(reviewers && { reviewers }),
    waitsUntil,
    ...(by !== undefined && { actor: by, via }),
    ...(reason !== undefined && { reason }),
    ...(answerUntil !== undefined && { answerUntil }),
    ...(usedBy !== undefined && { usedBy }),
    ...(cause !== undefined && { cause }),
  }
}

/** Closes the ledger. */
export function closeLedger({ tools, holds, signedAnswers }: Ledger): void {
  signedAnswers.close()
  tools.close()
  holds.close()
}
