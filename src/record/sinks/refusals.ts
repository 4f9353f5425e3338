// What is told of records that a receiver will never take: one record a delivery, with the exact count. Deliberately tells
// nothing of the refusal of such a record, or two sinks could go on telling for ever. Pure. Called by `feed.ts`.

import type { RecordBody } from '../body.ts'
import { eventRecord } from '../ecs.ts'
import { actionOf, ACTION_WITHIN } from '../line.ts'
import type { RefusedRecord, SinkRecord } from './delivery.ts'

const ACTION = 'sink-records-refused'
const NAMED_MAX = 100
const DETAIL_CHARACTERS_MAX = 200

/** Makes the record that tells which records of a delivery were refused; undefined where there is nothing to tell. */
export function refusalRecord(
  sinkName: string,
  refused: readonly RefusedRecord[],
  delivered: readonly SinkRecord[],
  now: number,
): RecordBody | undefined {
  const told = new Set(delivered.filter(isRefusal).map(({ id }) => id))
  const untold = refused.filter(({ id }) => !told.has(id))
  if (untold.length === 0) return undefined
  const records = untold.slice(0, NAMED_MAX).map(({ id, seq, detail }) => ({
    id,
    seq,
    detail: detail.slice(0, DETAIL_CHARACTERS_MAX),
  }))
  return eventRecord(ACTION, { now, detail: { sink: sinkName, count: untold.length, records } })
}

function isRefusal({ line }: SinkRecord): boolean {
  return actionOf(line.toString('latin1', 0, ACTION_WITHIN)) === ACTION
}
