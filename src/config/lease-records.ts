// What becomes of leases, put on record and counted: who has which credential from where and until when, and what is wrong with
// a provider, once. Never a value. Made by `sidecar.ts`, told by the credentials room.

import type { CredentialDefinition } from '../credentials/definition.ts'
import type { LeaseView } from '../credentials/lease.ts'
import type { LeaseWatcher } from '../credentials/lease-watcher.ts'
import type { Log } from '../record/log.ts'
import type { Task } from '../tasks/task.ts'
import type { Records } from './records.ts'

/** What telling of leases needs. */
export interface LeaseRecordsParts {
  readonly credentials: readonly Pick<CredentialDefinition, 'name' | 'source'>[]
  readonly records: () => Pick<Records, 'recorder' | 'metrics'>
  /** Undefined: it is not known any more. */
  readonly taskOf: (id: string) => Task | undefined
  readonly log: Log
}

/** Makes what is told of leases. */
export function recordLeases({
  credentials,
  records,
  taskOf,
  log,
}: LeaseRecordsParts): LeaseWatcher {
  const kinds = new Map(credentials.map(({ name, source }) => [name, source.kind]))
  const whose = (taskId: string | undefined): { readonly task?: Task } => {
    const task = taskId === undefined ? undefined : taskOf(taskId)
    return task === undefined ? {} : { task }
  }
  const detailOf = ({ credential, taskId, id, expiresAt }: LeaseView): Record<string, unknown> => ({
    credential,
    source: kinds.get(credential) ?? '',
    ...(taskId === undefined && { shared: true }),
    ...(id !== undefined && { lease: id }),
    ...(expiresAt !== undefined && { expires: timeOf(expiresAt) }),
  })
  return {
    onLeased: (lease) => {
      const { recorder, metrics } = records()
      metrics.countLease(lease.credential, 'minted')
      recorder.recordEvent('credential-leased', { ...whose(lease.taskId), detail: detailOf(lease) })
    },
    onRefreshed: (lease, { by, cause, isSame }) => {
      const { recorder, metrics } = records()
      metrics.countLease(lease.credential, by === 'renewal' ? 'renewed' : 'minted')
      // What is the same for all is looked for every few minutes: that nothing changed is no event.
      if (isSame && lease.taskId === undefined) return
      const detail = { ...detailOf(lease), by, cause }
      recorder.recordEvent('credential-refreshed', { ...whose(lease.taskId), detail })
    },
    onFailed: ({ credential, taskId, problem, retryAt, isUsable, isNew }) => {
      const { recorder, metrics } = records()
      metrics.countLease(credential, 'failed')
      if (!isNew) return
      const source = kinds.get(credential) ?? ''
      const detail = { credential, source, problem, retry: timeOf(retryAt), usable: isUsable }
      recorder.recordEvent('credential-unavailable', { ...whose(taskId), detail })
    },
    onUnexpected: (error) => {
      records().metrics.countAssertion()
      log.error({ err: error }, 'a credential is unavailable by an error of the proxy itself')
    },
  }
}

// A provider's time may be one that no calendar has.
function timeOf(milliseconds: number): string {
  const time = new Date(milliseconds)
  return Number.isNaN(time.getTime()) ? 'never' : time.toISOString()
}
