// What is told of a receipt: its record, the seal over its task's records, and the alarm where a sandbox may still run. Called
// by `task-room.ts`.

import type { DurationCounts } from '../record/metrics/counts.ts'
import type { Log } from '../record/log.ts'
import type { TaskEntry } from '../tasks/entry.ts'
import type { Receipt } from '../tasks/view.ts'
import type { Records } from './records.ts'

/** Who is told. */
export interface ReceiptListeners {
  readonly log: Log
  readonly records: Pick<Records, 'recorder' | 'checkpoints'>
  readonly endings: DurationCounts
}

/** Tells of the receipt of an ending, or of one that replaces it. */
export function tellReceipt(
  { task, ending }: Pick<TaskEntry, 'task' | 'ending'>,
  receipt: Receipt,
  { log, records, endings }: ReceiptListeners,
): void {
  const { recorder, checkpoints } = records
  const isLate = ending === undefined
  endings.add((Date.parse(receipt.endedAt) - Date.parse(receipt.startedAt)) / 1000)
  recorder.recordEvent('task-receipt', {
    task,
    outcome: receipt.complete ? 'success' : 'failure',
    detail: { receipt },
  })
  if (isLate) checkpoints.seal(task)
  const sandbox = receipt.items.find(({ kind }) => kind === 'sandbox')
  // One that comes after the end says nothing new of a sandbox that may still run.
  if (isLate || sandbox?.outcome !== 'unconfirmed') return
  log.error({ task: task.id, sandbox: sandbox.name }, "a sandbox's end is not confirmed")
  recorder.recordEvent('teardown-unconfirmed', {
    task,
    kind: 'alert',
    outcome: 'failure',
    detail: { sandbox: sandbox.name, why: sandbox.detail ?? '' },
  })
}
