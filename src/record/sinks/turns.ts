// Makes something of each record of a batch without keeping calls waiting: the event loop serves them between pieces of a
// batch. Called by the sinks that tell records anew.

import { setImmediate } from 'node:timers/promises'

import type { SinkRecord } from './delivery.ts'

/** What is read in one turn of the event loop, which serves calls too: about a millisecond. */
const BYTES_PER_TURN = 48 * 1024

/** Makes something of each record, in order, over as many turns of the event loop as that takes. */
export async function makeInTurns<Made>(
  records: readonly SinkRecord[],
  make: (record: SinkRecord) => Made,
): Promise<Made[]> {
  const made: Made[] = []
  let bytes = 0
  for (const record of records) {
    if (bytes >= BYTES_PER_TURN) {
      await setImmediate()
      bytes = 0
    }
    made.push(make(record))
    bytes += record.line.length
  }
  return made
}
