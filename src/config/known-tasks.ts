// The tasks as identifying asks for them. Called by `task-room.ts`.

import type { KnownTasks } from '../identify/identify.ts'
import type { TaskRegistry } from '../tasks/registry.ts'
import type { TaskStanding } from '../tasks/task.ts'

/** Makes the view. @param ownOf the configuration's own task, as it is by then */
export function knownTasks(
  registry: TaskRegistry,
  ownOf: () => TaskStanding | undefined,
): KnownTasks {
  return {
    get own() {
      return ownOf()
    },
    byToken: (token) => {
      const entry = registry.byToken(token)
      // From now on a repeated creation is no lost answer any more.
      if (entry?.kept.isTokenUsed === false) registry.update(entry, { isTokenUsed: true })
      return entry
    },
    bySubject: (subject) => registry.entries.bySubject(subject),
    weakest: (standing) => registry.weakest(standing),
  }
}
