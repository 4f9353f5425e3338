// How bad a record is, in one scale that every form translates into its own. Pure. Called by the projections.

import { isDenial } from '../usual.ts'
import { textAt } from './members.ts'

/** From what is only told to what needs somebody now. */
export type Severity = 'information' | 'low' | 'medium' | 'high'

// The sidecar's own distress: nothing is refused by a rule here, something is broken.
const BROKEN: ReadonlySet<string> = new Set(['audit-unavailable', 'policy-unavailable', 'internal'])

// Alerts that tell of somebody who is where he must not be.
const GRAVE: ReadonlySet<string> = new Set([
  'identity-shared',
  'attestation-failed',
  'placeholder-misused',
  'teardown-unconfirmed',
])

const DETECTED: Readonly<Record<string, Severity>> = { low: 'low', medium: 'medium', high: 'high' }

/** How bad a record is: a detection's own word first, then whether it is an alert, a refusal, a failure or none of these. */
export function severityOf(record: unknown): Severity {
  const detected = textAt(record, 'sallyport', 'detection', 'severity')
  if (detected !== undefined && Object.hasOwn(DETECTED, detected))
    return DETECTED[detected] ?? 'medium'
  const action = textAt(record, 'event', 'action') ?? ''
  const reason = textAt(record, 'event', 'reason') ?? ''
  if (BROKEN.has(reason) || GRAVE.has(action)) return 'high'
  if (textAt(record, 'event', 'kind') === 'alert') return 'medium'
  if (isDenial(action)) return 'low'
  return textAt(record, 'event', 'outcome') === 'failure' ? 'low' : 'information'
}

// Numbers and texts of OpenTelemetry's log data model, one for each of ours.
const NUMBERS: Readonly<Record<Severity, readonly [number, string]>> = {
  information: [9, 'INFO'],
  low: [10, 'INFO2'],
  medium: [13, 'WARN'],
  high: [17, 'ERROR'],
}

/** A record's severity as number and text of OpenTelemetry's log data model. */
export function severityNumber(record: unknown): readonly [number, string] {
  return NUMBERS[severityOf(record)]
}
