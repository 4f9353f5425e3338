// The times that verbs take: `--since` and `--until`, a duration ago or a moment; `--at`, a moment. Called by the verbs that read
// a journal, and by `explain`.

import { MOMENT_EXPECTED, parseDate, parseMoment } from '../wire/time.ts'
import { parseDuration } from '../wire/units.ts'
import { UsageError } from './io.ts'

/** A period in epoch milliseconds; its end is not in it. */
export interface Period {
  readonly since?: number
  readonly until?: number
}

/** Reads a period as it was written. @throws UsageError naming the flag */
export function readPeriod(flags: {
  readonly since?: string | undefined
  readonly until?: string | undefined
}): Period {
  const { since, until } = flags
  return {
    ...(since !== undefined && { since: timeOf('--since', since) }),
    ...(until !== undefined && { until: timeOf('--until', until) }),
  }
}

/** Reads a moment, or a date as its beginning in UTC, as epoch milliseconds. @throws UsageError naming the flag */
export function readMoment(flag: string, written: string): number {
  const time = parseDate(written) ?? parseMoment(written)
  if (time === undefined) throw new UsageError(`\`${flag} ${written}\`: ${MOMENT_EXPECTED}`)
  return time
}

function timeOf(flag: string, written: string): number {
  const agoMs = parseDuration(written)
  if (agoMs !== undefined) return Date.now() - agoMs
  const time = Date.parse(written)
  if (Number.isNaN(time))
    throw new UsageError(`\`${flag} ${written}\` is neither a duration nor a time`)
  return time
}
