// The one closed table of detections: how bad each is, and what the frameworks call it, so that a SOC's content can pivot
// on their ids. Data only; `alerts.ts` writes the records, docs/detections.md says what to do, and a test holds both, and
// every id, to this table and to the pinned data of the frameworks.

import type { RecordBody, RecordDetection } from '../body.ts'

/** What is detected; `event.action` of its alert is the same word. */
export type DetectionName =
  | 'placeholder-misused'
  | 'identity-shared'
  | 'denial-storm'
  | 'first-seen-destination'
  | 'bytes-out-spike'
  | 'credential-echoed'
  | 'tool-definition-changed'

/** One row of the table. */
export interface DetectionRow {
  readonly severity: RecordDetection['severity']
  /** Ids of the OWASP Top 10 for Agentic Applications, 2026. */
  readonly asi: readonly string[]
  /** `threat` of its records, with ids and names as MITRE ATLAS has them. */
  readonly threat: NonNullable<RecordBody['threat']>
}

const TECHNIQUES = {
  'AML.T0010.005': 'AI Supply Chain Compromise: AI Agent Tool',
  'AML.T0012': 'Valid Accounts',
  'AML.T0025': 'Exfiltration via Cyber Means',
  'AML.T0053': 'AI Agent Tool Invocation',
  'AML.T0055': 'Unsecured Credentials',
  'AML.T0086': 'Exfiltration via AI Agent Tool Invocation',
  'AML.T0091.000': 'Application Access Token',
  'AML.T0098': 'AI Agent Tool Credential Harvesting',
  'AML.T0109': 'AI Supply Chain Rug Pull',
  'AML.T0110': 'AI Agent Tool Poisoning',
} as const

const row = (
  severity: DetectionRow['severity'],
  asi: readonly string[],
  techniques: readonly (keyof typeof TECHNIQUES)[],
): DetectionRow => ({
  severity,
  asi,
  threat: {
    framework: 'MITRE ATLAS',
    technique: { id: techniques, name: techniques.map((id) => TECHNIQUES[id]) },
  },
})

/** Every detection by its name. */
export const DETECTIONS: Readonly<Record<DetectionName, DetectionRow>> = {
  'placeholder-misused': row('high', ['ASI03'], ['AML.T0055', 'AML.T0086']),
  'identity-shared': row('high', ['ASI03'], ['AML.T0091.000', 'AML.T0012']),
  'denial-storm': row('medium', ['ASI02', 'ASI10'], ['AML.T0053']),
  'first-seen-destination': row('low', ['ASI02', 'ASI10'], ['AML.T0025']),
  'bytes-out-spike': row('medium', ['ASI02'], ['AML.T0025', 'AML.T0086']),
  'credential-echoed': row('high', ['ASI03'], ['AML.T0098', 'AML.T0055']),
  'tool-definition-changed': row('medium', ['ASI04'], ['AML.T0110', 'AML.T0109', 'AML.T0010.005']),
}
