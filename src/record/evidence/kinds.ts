// What a record is evidence of, in the words of the control map. Pure. Called by `controls.ts`.

import type { RecordBody } from '../body.ts'
import { isDenial } from '../usual.ts'

/** The kinds of evidence, and what each means. */
export const KINDS = {
  decision: 'a call or message with its decision, whoever it was decided for',
  denial: 'a call or message that was refused',
  flood: 'refusals or messages that were counted together',
  tool: 'a call of a tool that was decided on',
  'tool-changed': 'a tool that is not what it was, or was switched off',
  message: 'an MCP message that was judged by itself',
  model: 'a question to a model',
  credential: 'a credential that was used, replaced or dropped',
  placeholder: 'a placeholder where it must not stand',
  identity: 'an identity that was missing, unknown, shared or not attested',
  stranger: 'a client that nobody knows',
  attestation: 'a sandbox that was proved or was not',
  environment: 'a rule for another environment',
  address: 'an address that must not be dialed',
  bound: 'a bound that was reached',
  tls: 'a call within TLS',
  delegation: 'what was done for a task above, or refused because of it',
  life: 'a beginning, a change or an end of a task',
  suspension: 'a task that was suspended or went on',
  extension: 'a task that was given more time',
  widening: 'rules that allow more than before',
  receipt: 'the receipt of an end',
  kill: 'the kill switch',
  rules: 'rules that were loaded or refused',
  detection: 'an alert or a detection',
  'self-check': 'a check of the program by itself',
  seal: 'a signed checkpoint or seal',
} as const

/** One of them. */
export type Kind = keyof typeof KINDS

const BY_ACTION: Readonly<Record<string, readonly Kind[]>> = {
  'task-activated': ['attestation'],
  'attestation-failed': ['attestation', 'identity'],
  'identity-shared': ['identity'],
  'task-suspended': ['suspension'],
  'task-resumed': ['suspension'],
  'task-extended': ['extension'],
  'task-widened': ['widening'],
  'task-receipt': ['receipt'],
  'kill-switch-thrown': ['kill'],
  'kill-switch-lifted': ['kill'],
  'rules-loaded': ['rules'],
  'rules-refused': ['rules'],
  'placeholder-misused': ['placeholder'],
  'tool-definition-changed': ['tool-changed'],
  'tool-definition-changed-repeated': ['tool-changed'],
}

const BY_REASON: Readonly<Record<string, readonly Kind[]>> = {
  'identity-missing': ['identity'],
  'identity-unknown': ['identity', 'stranger'],
  'identity-shared': ['identity'],
  'unknown-client': ['stranger'],
  'attestation-failed': ['identity', 'attestation'],
  'environment-mismatch': ['environment'],
  'resolved-address-denied': ['address'],
  'ip-not-on-allowlist': ['address'],
  'scoped-ip': ['address'],
  'placeholder-misused': ['placeholder'],
  'tool-definition-changed': ['tool-changed'],
  killed: ['kill'],
  busy: ['bound'],
  'quota-exceeded': ['bound'],
  'body-too-large': ['bound'],
  'head-too-large': ['bound'],
}

/** The kinds that a record belongs to. */
export function kindsOf(record: RecordBody): ReadonlySet<Kind> {
  const { event, sallyport } = record
  const { action, reason = '' } = event
  const kinds = new Set<Kind>()
  if (action === 'call-started' || action === 'call-progress') return kinds
  for (const kind of own(BY_ACTION, action)) kinds.add(kind)
  for (const kind of own(BY_REASON, reason)) kinds.add(kind)
  if (/^(?:call|message)-(?:ended|denied|allowed)$/.test(action)) addDecided(record, kinds)
  if (action.endsWith('-repeated')) kinds.add('flood')
  if (isDenial(action)) kinds.add('denial')
  if (action.startsWith('task-')) kinds.add('life')
  if (action.startsWith('self-check')) kinds.add('self-check')
  if (sallyport.checkpoint !== undefined) kinds.add('seal')
  if (event.kind === 'alert' || sallyport.detection !== undefined) kinds.add('detection')
  const isBelow = sallyport.task?.delegation !== undefined
  if (isBelow || sallyport.detail?.['refusedFor'] !== undefined) kinds.add('delegation')
  return kinds
}

function addDecided({ gen_ai: asked, tls, sallyport }: RecordBody, kinds: Set<Kind>): void {
  kinds.add('decision')
  if (sallyport.message !== undefined) kinds.add('message')
  if (asked?.tool !== undefined) kinds.add('tool')
  if (asked?.request?.model !== undefined) kinds.add('model')
  if (sallyport.credential !== undefined) kinds.add('credential')
  if (tls !== undefined || sallyport.upstream?.tls !== undefined) kinds.add('tls')
}

function own(table: Readonly<Record<string, readonly Kind[]>>, key: string): readonly Kind[] {
  return (Object.hasOwn(table, key) && table[key]) || []
}
