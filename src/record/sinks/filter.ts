// Which records a sink gets. Pure. Called by `feed.ts`.

import type { RecordBody } from '../body.ts'
import { actionOf } from '../line.ts'
import { isDenial } from '../usual.ts'

/** What a sink asks for; members left out do not restrict. */
export interface SinkFilter {
  readonly verdict?: 'allow' | 'deny'
  readonly reason?: string
  /** A task's id. */
  readonly task?: string
}

/** Where `event.action` of a record stands, at the latest, in characters. */
const ACTION_WITHIN = 512

/**
 * Makes the test of a line: terminal records and events only unless all are asked for.
 * A sink without a filter costs no `JSON.parse`.
 */
export function lineFilter(all: boolean, filter: SinkFilter = {}): (line: Buffer) => boolean {
  const { verdict, reason, task } = filter
  const isFiltered = verdict !== undefined || reason !== undefined || task !== undefined
  return (line) => {
    const action = all ? undefined : actionOf(line.toString('latin1', 0, ACTION_WITHIN))
    if (action === 'call-started' || action === 'call-progress') return false
    if (!isFiltered) return true
    const { event, sallyport }: RecordBody = JSON.parse(line.toString())
    return (
      (verdict === undefined || verdictOf(event.action, sallyport.decision?.verdict) === verdict) &&
      (reason === undefined || event.reason === reason) &&
      (task === undefined || sallyport.task?.path.includes(task) === true)
    )
  }
}

/** A call refused before or after its decision was refused all the same; counts of refusals have no decision. */
function verdictOf(action: string, decided: string | undefined): string | undefined {
  return isDenial(action) ? 'deny' : decided
}
