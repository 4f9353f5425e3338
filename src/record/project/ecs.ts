// The journal's own form: a record as it is, which is ECS 9.1 with our own members below `sallyport`. Pure. Called by
// whoever writes records in a form that is chosen by name.

import type { RecordBody } from '../body.ts'

/** A record as the journal has it. */
export function projectEcs(record: RecordBody): object {
  return record
}
