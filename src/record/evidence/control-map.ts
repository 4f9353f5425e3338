// Which control of which framework is met by what, how far, and which records are evidence of it. Data only: the levels are
// for what can be seen on the network, and an all-green table would be false. Called by `controls.ts`.

import type { Kind } from './kinds.ts'

/** `E` enforced, `P` partly, `R` recorded only, `-` out of reach for a proxy. */
export type ControlLevel = 'E' | 'P' | 'R' | 'E/P' | 'R/-'

/** The frameworks by the word that chooses them. */
export const FRAMEWORKS = {
  asi: 'OWASP Top 10 for Agentic Applications 2026',
  nhi: 'OWASP Non-Human Identities Top 10 2025',
  mcp: 'OWASP MCP Top 10 v0.1',
  maestro: 'CSA MAESTRO',
  'ai-rmf': 'NIST AI RMF 1.0',
  csf: 'NIST CSF 2.0',
  atlas: 'MITRE ATLAS v5.6',
  aims: 'AIMS, minimum fields',
  wimse: 'WIMSE and CAEP 1.0',
} as const

/** One of them. */
export type Framework = keyof typeof FRAMEWORKS

/** One row of the map. */
export interface Control {
  readonly framework: Framework
  readonly ids: readonly string[]
  readonly level: ControlLevel
  /** What of the program meets it. */
  readonly feature: string
  /** The kinds of records that show it. */
  readonly kinds: readonly Kind[]
}

type Row = readonly [ids: string, level: ControlLevel, feature: string, kinds: string]

// prettier-ignore
const ROWS: Readonly<Record<Framework, readonly Row[]>> = {
  asi: [
    ['ASI01 Agent Goal Hijack', 'P', 'intent digest with every decision, rules as the envelope of the task', 'decision detection'],
    ['ASI02 Tool Misuse and Exploitation', 'E', 'allowlist of destinations and tools, a decision for each call and message', 'decision tool denial flood'],
    ['ASI03 Identity and Privilege Abuse', 'E', 'identity of the instance, credentials for the task, delegation that only narrows', 'life receipt credential delegation'],
    ['ASI04 Agentic Supply Chain Vulnerabilities', 'P', 'pinned tools, kill switch for a tool', 'tool-changed kill'],
    ['ASI05 Unexpected Code Execution (RCE)', 'P', 'no unlisted egress, unknown clients refused', 'denial stranger self-check'],
    ['ASI06 Memory and Context Poisoning', 'R', 'allowlist of data sources, digests of prompts', 'message model'],
    ['ASI07 Insecure Inter-Agent Communication', 'P', 'identity proved for each connection', 'identity delegation'],
    ['ASI08 Cascading Failures', 'P', 'bounds for each task, children end with their parent', 'receipt life bound'],
    ['ASI09 Human-Agent Trust Exploitation', 'P', 'records that the agent cannot change', 'decision seal'],
    ['ASI10 Rogue Agents', 'E', 'kill switch, suspension, signed chain', 'kill suspension receipt detection seal'],
  ],
  nhi: [
    ['NHI1:2025 Improper Offboarding', 'E', 'everything of a task ends together', 'receipt life'],
    ['NHI2:2025 Secret Leakage', 'E', 'no secret in sandbox or records', 'credential placeholder'],
    ['NHI3:2025 Vulnerable Third-Party NHI', 'P', 'allowlist of destinations', 'decision credential'],
    ['NHI4:2025 Insecure Authentication', 'E', 'identity proved for each connection', 'identity'],
    ['NHI5:2025 Overprivileged NHI', 'E', 'least scope, checked as rules are loaded', 'rules widening denial'],
    ['NHI6:2025 Insecure Cloud Deployment Configurations', 'P', 'configuration is checked, sandboxes are attested', 'attestation rules'],
    ['NHI7:2025 Long-Lived Secrets', 'E', 'credentials are used for the task and forgotten with it', 'credential receipt'],
    ['NHI8:2025 Environment Isolation', 'E', 'rules for an environment alone', 'environment'],
    ['NHI9:2025 NHI Reuse', 'E', 'shared credentials are seen, one sandbox a task', 'identity'],
    ['NHI10:2025 Human Use of NHI', 'P', 'principal and actor are told apart', 'decision'],
  ],
  mcp: [
    ['MCP01', 'E', 'no secret in the sandbox', 'credential placeholder'],
    ['MCP02', 'E', 'delegation only narrows', 'delegation widening'],
    ['MCP03', 'P', 'definitions of tools are pinned', 'tool-changed'],
    ['MCP07', 'E', 'each request is judged, not the session', 'message identity'],
    ['MCP08', 'E', 'chained records of each message', 'message seal'],
    ['MCP09', 'E', 'servers that no rule allows are refused', 'denial stranger'],
    ['MCP10', 'P', 'allowlist of resources and prompts', 'message'],
  ],
  maestro: [
    ['Data Exfiltration (L2)', 'E', 'allowlist of destinations, bytes on record', 'decision denial bound'],
    ['Framework Evasion (L3), Supply Chain Attacks (L3)', 'P', 'enforced outside of the framework, pinned tools', 'tool-changed self-check'],
    ['Lateral Movement (L4), Orchestration Attacks (L4)', 'E/P', 'addresses are checked, unknown clients refused', 'address stranger'],
    ['Evasion of Detection (L5), Data Leakage through Observability (L5), Poisoning Observability Data (L5)', 'E', 'written outside of the agent, chained, floods folded with exact counts', 'decision flood seal'],
    ['Policy and access failure (L6: T24, BV-9)', 'E', 'fails closed, each request is decided, rules are swapped whole', 'decision rules'],
    ['Agent Tool Misuse (L7), Agent Identity Attack (L7), Repudiation (L7), Privilege Escalation (Cross-Layer)', 'E', 'identity, decision and chain of every call', 'decision tool identity delegation seal'],
  ],
  'ai-rmf': [
    ['GOVERN 1.6, GOVERN 1.7', 'E', 'inventory, teardown', 'life receipt'],
    ['GOVERN 2.1, GOVERN 3.2, MAP 3.5', 'P', 'an owner for every task', 'decision life'],
    ['GOVERN 6.1, MANAGE 3.1', 'P', 'inventory of third-party destinations', 'decision'],
    ['MEASURE 2.4, MEASURE 2.7, MEASURE 2.8', 'E', 'monitoring, self-checks, accountability', 'decision self-check seal'],
    ['MANAGE 2.3, MANAGE 2.4, MANAGE 4.1, MANAGE 4.3', 'E', 'suspension, kill switch, findings', 'suspension kill receipt detection'],
  ],
  csf: [
    ['GV.RR-02, GV.PO-01', 'P', 'an owner is mandatory, rules have versions', 'decision rules'],
    ['ID.AM-03, ID.AM-04, ID.AM-07, ID.AM-08', 'E/P', 'the allowlist is the map of authorised flows; life cycle', 'decision life'],
    ['ID.RA-07', 'E', 'extensions and widenings are on record', 'extension widening'],
    ['PR.AA-01, PR.AA-02, PR.AA-03, PR.AA-04, PR.AA-05', 'E', 'identity, issuance and permission of each call', 'identity life decision credential'],
    ['PR.DS-02, PR.DS-10', 'P', 'strict TLS, nothing secret on record', 'tls placeholder'],
    ['PR.PS-01, PR.PS-04', 'E', 'checked configuration, log records', 'rules decision'],
    ['PR.PS-05', 'P', 'unlisted tools are refused', 'tool denial'],
    ['PR.IR-01', 'E', 'nothing leaves that no rule allows', 'denial self-check'],
    ['DE.CM-01, DE.CM-06, DE.CM-09, DE.AE-02, DE.AE-03, DE.AE-06', 'E', 'records as they happen, trace context, detections', 'decision detection'],
    ['RS.AN-03, RS.AN-06, RS.AN-07', 'E', 'decisions can be made again, chain, this bundle', 'decision seal'],
    ['RS.MI-01', 'E', 'suspend, revoke, kill', 'suspension receipt kill'],
  ],
  atlas: [
    ['AML.T0086, AML.T0053, AML.T0101, AML.T0025, AML.T0072, AML.T0075', 'E', 'rules for destinations, methods and tools; private addresses refused', 'tool denial address'],
    ['AML.T0083, AML.T0055, AML.T0098, AML.T0091.000, AML.T0012', 'E/P', 'nothing real in the sandbox, what it sends to authenticate is dropped', 'credential placeholder identity'],
    ['AML.T0096, AML.T0108, AML.T0034.002', 'P', 'models are destinations with bounds', 'model bound'],
    ['AML.T0110, AML.T0109, AML.T0010.005', 'P', 'pinned tools', 'tool-changed'],
    ['AML.T0105, AML.T0051.001', 'R/-', 'detection or containment only', 'stranger detection'],
    ['AML.M0024, AML.M0026, AML.M0027, AML.M0028, AML.M0032, AML.M0033', 'E/P', 'logging, permissions, segmentation, validation', 'decision tool rules'],
  ],
  aims: [
    ['section 11, seven fields', 'E', 'agent, principal, delegation, decision, action, resource and time of each record', 'decision'],
  ],
  wimse: [
    ['audit trail', 'E', 'both identities in each record', 'decision identity'],
    ['CAEP session-revoked, credential-change', 'E', 'the end of a task and of its credentials', 'receipt'],
  ],
}

/** The whole map. */
export const CONTROLS: readonly Control[] = Object.entries(ROWS).flatMap(([framework, rows]) =>
  rows.map(([ids, level, feature, kinds]): Control => {
    if (!isFramework(framework)) throw new Error(framework)
    const names = kinds.split(' ').filter((kind): kind is Kind => kind !== '')
    return { framework, ids: splitIds(ids), level, feature, kinds: names }
  }),
)

/** Whether a word chooses a framework. */
export function isFramework(word: string): word is Framework {
  return Object.hasOwn(FRAMEWORKS, word)
}

// A comma within brackets divides nothing.
function splitIds(ids: string): string[] {
  return ids.split(/, (?![^(]*\))/)
}
