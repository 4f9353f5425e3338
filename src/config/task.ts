// The static task: its definition as configured, and the task that it becomes when it starts.
// Deliberately gives it no life: that is `tasks/adopt.ts`. Called by `task-room.ts`, and by the command line.

import { createHash } from 'node:crypto'

import { beginsAt } from '../tasks/make-task.ts'
import { canonicalJson } from '../tasks/canonical.ts'
import { declarationOf } from '../tasks/intent.ts'
import type { Task } from '../tasks/task.ts'
import type { TaskDefinition } from './config.ts'

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz'
const ID_CHARACTERS = 26

/**
 * Makes the task that a definition describes, starting now. The id is a digest of the definition: the same definition is
 * the same task over restarts, and any change makes another one.
 * @param now epoch milliseconds
 */
export function buildStaticTask(definition: TaskDefinition, now: number): Task {
  const { lifetimeMs, notBefore, ...defined } = definition
  const begins = beginsAt(notBefore, now)
  const id = `t_${encodeBase32(createHash('sha256').update(canonicalJson(definition)).digest())}`
  return {
    ...defined,
    id,
    path: [id],
    proofs: ['configuration'],
    ...declarationOf(definition),
    startsAt: now,
    ...begins,
    expiresAt: (begins.notBefore ?? now) + lifetimeMs,
  }
}

function encodeBase32(digest: Buffer): string {
  let bits = BigInt(`0x${digest.toString('hex')}`) >> BigInt(digest.length * 8 - ID_CHARACTERS * 5)
  let text = ''
  for (let index = 0; index < ID_CHARACTERS; index += 1) {
    text = (CROCKFORD[Number(bits & 31n)] ?? '') + text
    bits >>= 5n
  }
  return text
}
