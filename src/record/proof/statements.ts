// What records themselves state of their chain: checkpoints and seals, keys, and which segments went. Reads them off lines
// that anybody may have written, so that nothing is taken for what it is not. Pure. Called by what verifies.

import { parseJson } from '../../wire/parse-json.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { KeyAnnouncement } from './key-announcement.ts'
import { checkpointKeyOf } from './key-ring.ts'
import { actionOf } from '../line.ts'
import type { DeletedSegments } from '../journal/retention.ts'
import { SEAL_ACTION } from '../journal/task-heads.ts'

/** What a record states, by kind. */
export type Statement =
  | { readonly kind: 'checkpoint'; readonly checkpoint: Checkpoint }
  | { readonly kind: 'key'; readonly announcement: KeyAnnouncement }
  | { readonly kind: 'deleted'; readonly deleted: Omit<DeletedSegments, 'segments'> }
  /** It says that it is one of these and is not whole. */
  | { readonly kind: 'malformed' }

const STATING: ReadonlySet<string> = new Set([
  'checkpoint',
  SEAL_ACTION,
  'checkpoint-key',
  'journal-segments-deleted',
])

/** Where `event.action` stands at the latest, in bytes. */
const ACTION_WITHIN = 512

/** Reads what a line states; undefined for a record that states nothing, as nearly all do. */
export function statementOf(line: Buffer): Statement | undefined {
  const action = actionOf(line.toString('latin1', 0, ACTION_WITHIN))
  if (action === undefined || !STATING.has(action)) return undefined
  const own = memberOf(parsed(line.toString()), 'sallyport')
  const statement =
    action === 'checkpoint-key'
      ? keyStatement(memberOf(own, 'detail'))
      : action === 'journal-segments-deleted'
        ? deletedStatement(memberOf(own, 'detail'))
        : checkpointStatement(memberOf(own, 'checkpoint'))
  return statement ?? { kind: 'malformed' }
}

/** Reads a checkpoint that stands by itself; undefined where it is none. */
export function checkpointIn(value: unknown): Checkpoint | undefined {
  const journal = textOf(value, 'journal')
  const seq = countOf(value, 'seq')
  const hash = textOf(value, 'hash')
  const time = textOf(value, 'time')
  const key = textOf(value, 'key')
  const signature = textOf(value, 'signature')
  if (journal === undefined || seq === undefined || hash === undefined) return undefined
  if (time === undefined || key === undefined || signature === undefined) return undefined
  const task = textOf(value, 'task')
  const isFinal = memberOf(value, 'final') === true
  return {
    journal,
    ...(task !== undefined && { task }),
    seq,
    hash,
    time,
    ...(isFinal && { final: true as const }),
    key,
    signature,
  }
}

/** Parses JSON; undefined where it is none. */
export function parsed(text: string): unknown {
  try {
    return parseJson(text)
  } catch {
    return undefined
  }
}

/** A member of an object; undefined of anything else. */
export function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}

function checkpointStatement(value: unknown): Statement | undefined {
  const checkpoint = checkpointIn(value)
  return checkpoint && { kind: 'checkpoint', checkpoint }
}

function keyStatement(detail: unknown): Statement | undefined {
  const journal = textOf(detail, 'journal')
  const key = checkpointKeyOf(memberOf(detail, 'key'))
  const from = textOf(detail, 'from')
  const signature = textOf(detail, 'signature')
  if (journal === undefined || key === undefined) return undefined
  if (from === undefined || signature === undefined) return undefined
  const previous = checkpointKeyOf(memberOf(detail, 'previous'))
  const previousSignature = textOf(detail, 'previousSignature')
  const before = previous === undefined ? {} : { previous, previousSignature }
  return { kind: 'key', announcement: { journal, key, from, signature, ...before } }
}

function deletedStatement(detail: unknown): Statement | undefined {
  const from = countOf(detail, 'from')
  const to = countOf(detail, 'to')
  const hash = textOf(detail, 'hash')
  if (from === undefined || to === undefined || hash === undefined) return undefined
  return { kind: 'deleted', deleted: { from, to, hash } }
}

function textOf(value: unknown, name: string): string | undefined {
  const member = memberOf(value, name)
  // A line break would let one member of what is signed pass for two.
  return typeof member === 'string' && !/[\n\r]/.test(member) ? member : undefined
}

function countOf(value: unknown, name: string): number | undefined {
  const member = memberOf(value, name)
  return typeof member === 'number' && Number.isSafeInteger(member) && member >= 0
    ? member
    : undefined
}
