// A task for what is minted for one.

import type { Task } from '../../../src/tasks/task.ts'

/** A task with params; the same one every time but for these. */
export function taskFor(params: Task['params'], expiresAt: number = Date.now() + 60_000): Task {
  const id = 't_00000000000000000000000001'
  return {
    id,
    path: [id],
    intent: 'test',
    intentDigest: `sha256:${'0'.repeat(64)}`,
    owner: { name: 'ann', team: 'web' },
    agent: { account: 'bot', instance: 'bot/1' },
    sandbox: { id: 'box' },
    rules: [],
    params,
    environment: 'test',
    ceiling: 'internal',
    sources: [],
    startsAt: 0,
    expiresAt,
  }
}
