// The numbers and captions of OCSF 1.8.0, as far as records use them: classes, their activities, severities, what a control
// did. Data and look-ups only. Called by the files of this form.

import type { JsonObject } from './members.ts'
import type { Severity } from './severity.ts'

/** The version of the schema. */
export const OCSF_VERSION = '1.8.0'

/** A class of events. */
interface OcsfClass {
  readonly uid: number
  readonly name: string
  readonly category: readonly [number, string]
  /** Captions of the activities, by number; 0 and 99 are everywhere. */
  readonly activities: Readonly<Record<number, string>>
}

const NETWORK = [4, 'Network Activity'] as const
const IDENTITY = [3, 'Identity & Access Management'] as const
const APPLICATION = [6, 'Application Activity'] as const

type ClassName =
  'network' | 'http' | 'dns' | 'authentication' | 'entity' | 'application' | 'api' | 'finding'

/** The classes that records become. */
export const CLASSES: Readonly<Record<ClassName, OcsfClass>> = {
  network: {
    uid: 4001,
    name: 'Network Activity',
    category: NETWORK,
    activities: { 1: 'Open', 2: 'Close', 3: 'Reset', 4: 'Fail', 5: 'Refuse', 6: 'Traffic' },
  },
  http: {
    uid: 4002,
    name: 'HTTP Activity',
    category: NETWORK,
    activities: {
      1: 'Connect',
      2: 'Delete',
      3: 'Get',
      4: 'Head',
      5: 'Options',
      6: 'Post',
      7: 'Put',
      8: 'Trace',
      9: 'Patch',
    },
  },
  dns: {
    uid: 4003,
    name: 'DNS Activity',
    category: NETWORK,
    activities: { 1: 'Query', 2: 'Response', 6: 'Traffic' },
  },
  authentication: {
    uid: 3002,
    name: 'Authentication',
    category: IDENTITY,
    activities: { 1: 'Logon', 2: 'Logoff' },
  },
  entity: {
    uid: 3004,
    name: 'Entity Management',
    category: IDENTITY,
    activities: {
      1: 'Create',
      2: 'Read',
      3: 'Update',
      4: 'Delete',
      8: 'Enable',
      9: 'Disable',
      10: 'Activate',
      11: 'Deactivate',
      12: 'Suspend',
      13: 'Resume',
    },
  },
  application: {
    uid: 6002,
    name: 'Application Lifecycle',
    category: APPLICATION,
    activities: { 3: 'Start', 4: 'Stop', 5: 'Restart', 8: 'Update' },
  },
  api: {
    uid: 6003,
    name: 'API Activity',
    category: APPLICATION,
    activities: { 1: 'Create', 2: 'Read', 3: 'Update', 4: 'Delete' },
  },
  finding: {
    uid: 2004,
    name: 'Detection Finding',
    category: [2, 'Findings'],
    activities: { 1: 'Create', 2: 'Update', 3: 'Close' },
  },
}

/** What happened, in the class's own words: a number of its activities, or the source's word where it has none. */
export type Activity = number | string

/** What a class makes of a record; undefined members are left out. */
export interface OcsfPart {
  readonly of: OcsfClass
  readonly activity: Activity
  readonly members: JsonObject
  /** Where the status is not that of the record's outcome. */
  readonly status?: readonly [number, string]
}

/** An activity's number and caption. */
export function activityOf(of: OcsfClass, activity: Activity): readonly [number, string] {
  if (typeof activity === 'string') return [99, activity]
  return [activity, of.activities[activity] ?? 'Unknown']
}

/** Numbers of HTTP's methods as activities. */
export const HTTP_ACTIVITIES: ReadonlyMap<string, number> = new Map(
  Object.entries(CLASSES.http.activities).map(([id, name]) => [name.toUpperCase(), Number(id)]),
)

const SEVERITIES: Readonly<Record<Severity, readonly [number, string]>> = {
  information: [1, 'Informational'],
  low: [2, 'Low'],
  medium: [3, 'Medium'],
  high: [4, 'High'],
}

/** A severity's number and caption. */
export function severityWords(severity: Severity): readonly [number, string] {
  return SEVERITIES[severity]
}

const STATUSES: Readonly<Record<string, readonly [number, string]>> = {
  success: [1, 'Success'],
  failure: [2, 'Failure'],
}

/** The status of an outcome of ECS. */
export function statusWords(outcome: string | undefined): readonly [number, string] {
  return (
    (outcome !== undefined && Object.hasOwn(STATUSES, outcome) && STATUSES[outcome]) || [
      0,
      'Unknown',
    ]
  )
}

// Reasons that are not the rules' "no": who asks is not who he should be, what was allowed was taken back, what was sent
// is not well formed, what is far away failed, a connection broke.
const DISPOSITIONS: Readonly<Record<string, readonly [number, string]>> = {
  'identity-missing': [26, 'Unauthorized'],
  'identity-unknown': [26, 'Unauthorized'],
  'identity-shared': [26, 'Unauthorized'],
  'attestation-failed': [26, 'Unauthorized'],
  'unknown-client': [26, 'Unauthorized'],
  'task-not-active': [24, 'Access Revoked'],
  'task-ended': [24, 'Access Revoked'],
  'task-ended-midway': [24, 'Access Revoked'],
  killed: [24, 'Access Revoked'],
  'client-gone': [21, 'Reset'],
  'upstream-gone': [21, 'Reset'],
  'idle-timeout': [21, 'Reset'],
  'sidecar-crashed': [21, 'Reset'],
}

/** What became of what was asked. @param denied whether it was refused before anything left */
export function dispositionWords(reason: string, denied: boolean): readonly [number, string] {
  const own = Object.hasOwn(DISPOSITIONS, reason) ? DISPOSITIONS[reason] : undefined
  if (own !== undefined) return own
  if (denied) return reason.startsWith('malformed-') ? [25, 'Rejected'] : [2, 'Blocked']
  return reason === 'allowed' ? [1, 'Allowed'] : [27, 'Error']
}

const CONFIDENTIALITIES: Readonly<Record<string, readonly [number, string]>> = {
  public: [1, 'Not Confidential'],
  internal: [5, 'Private'],
  confidential: [2, 'Confidential'],
  restricted: [6, 'Restricted'],
}

/** How confidential a class of data is; undefined where there is no such class. */
export function confidentialityWords(dataClass: string): readonly [number, string] | undefined {
  return Object.hasOwn(CONFIDENTIALITIES, dataClass) ? CONFIDENTIALITIES[dataClass] : undefined
}
