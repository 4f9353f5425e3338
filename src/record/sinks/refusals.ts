// What is told of records that a receiver will never take: one record a delivery, with the exact count. Deliberately tells
// nothing of the refusal of such a record, or two sinks could go on telling for ever. Pure. Called by `feed.ts`.

import type { RecordBody } from '../body.ts'
import { eventRecord } from '../ecs.ts'
import { actionOf, ACTION_WITHIN } from '../line.ts'
import type { RefusedRecord, SinkRecord } from './delivery.ts'

const ACTION = 'sink-records-refused'
const NAMED_MAX = 100
const DETAIL_CHARACTERS_MAX = 200

/** What a receiver will never take of one delivery. */
export interface Refused {
  readonly named: readonly RefusedRecord[]
  /** Further ones, where its protocol does not say which. */
  readonly unnamed: number
  /** Its words for those. */
  readonly detail?: string | undefined
}

/** Says of each record by name why it is refused. */
export function refusedAs(detail: string, records: readonly SinkRecord[]): Refused {
  return { named: records.map(({ id, seq }) => ({ id, seq, detail })), unnamed: 0 }
}

/** Makes the record that tells which records of a delivery were refused; undefined where there is nothing to tell. */
export function refusalRecord(
  sinkName: string,
  { named, unnamed, detail }: Refused,
  delivered: readonly SinkRecord[],
  now: number,
): RecordBody | undefined {
  const told = new Set(delivered.filter(isRefusal).map(({ id }) => id))
  const untold = named.filter(({ id }) => !told.has(id))
  // Which ones they are nobody knows: where there was nothing but tellings, it was these.
  const others = told.size === delivered.length ? 0 : unnamed
  if (untold.length + others === 0) return undefined
  const records = untold.slice(0, NAMED_MAX).map((refused) => ({
    id: refused.id,
    seq: refused.seq,
    detail: refused.detail.slice(0, DETAIL_CHARACTERS_MAX),
  }))
  const among = others > 0 && {
    from: delivered[0]?.seq,
    to: delivered.at(-1)?.seq,
    unnamed: others,
  }
  return eventRecord(ACTION, {
    now,
    detail: {
      sink: sinkName,
      count: untold.length + others,
      records,
      ...among,
      ...(detail !== undefined && { detail: detail.slice(0, DETAIL_CHARACTERS_MAX) }),
    },
  })
}

function isRefusal({ line }: SinkRecord): boolean {
  return actionOf(line.toString('latin1', 0, ACTION_WITHIN)) === ACTION
}
