// Where the CAs of tasks live, from the configuration: public files beside the installation's, keys with the state.
// Called by `sidecar.ts`.

import path from 'node:path'

import type { Log } from '../record/log.ts'
import type { Ca } from '../tls/ca.ts'
import { TaskAuthorities } from '../tls/task-ca.ts'
import type { Config } from './config.ts'

/** Makes the authorities of the tasks of a sidecar; writes nothing before a task has one. */
export function makeTaskAuthorities(
  { ca, stateDir }: Pick<Config, 'ca' | 'stateDir'>,
  installation: () => Ca,
  log: Log,
): TaskAuthorities {
  return new TaskAuthorities({
    installation,
    publicDir: path.join(ca.dir, 'tasks'),
    keyDir: path.join(stateDir, 'task-ca'),
    now: Date.now,
    onProblem: (problem) => log.warn(problem),
  })
}
