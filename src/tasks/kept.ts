// Tells whether a line of the state file is a task as it was written: a file that was changed by hand must not bring a task
// to life. Called by `registry.ts`.

import type { KeptTask } from './entry.ts'

const STATES = ['pending', 'active', 'suspended', 'revoking', 'ended']
const TEXTS = ['id', 'cause', 'actor', 'createdBy', 'definitionDigest', 'teardown']

/** Whether a value has what every kept task has. */
export function isKeptTask(value: unknown): value is KeptTask {
  if (typeof value !== 'object' || value === null) return false
  const member = (name: string): unknown => Reflect.get(value, name)
  const task = member('task')
  return (
    TEXTS.every((name) => typeof member(name) === 'string') &&
    STATES.includes(String(member('state'))) &&
    typeof member('since') === 'number' &&
    Array.isArray(member('unproven')) &&
    Array.isArray(member('credentialsUsed')) &&
    typeof task === 'object' &&
    task !== null &&
    Array.isArray(Reflect.get(task, 'path')) &&
    typeof Reflect.get(task, 'expiresAt') === 'number' &&
    Reflect.get(task, 'id') === member('id')
  )
}
