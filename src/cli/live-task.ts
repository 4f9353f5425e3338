// A task of a running sidecar as rules see it. Called by `explain.ts`.

import type { TaskRules } from '../config/rules.ts'
import type { ControlClient, TaskView } from '../control/client.ts'

/** A task, and those above it, the parent next. @throws ControlProblem */
export async function chainOf(
  client: ControlClient,
  taskId: string,
): Promise<readonly [TaskView, ...TaskView[]]> {
  const own = await client.showTask(taskId)
  const above = own.path.slice(0, -1).toReversed()
  return [own, ...(await Promise.all(above.map((id) => client.showTask(id))))]
}

/** What rules look at of a task, as it is shown. */
export function rulesOf(view: TaskView): TaskRules {
  const { rules, params, environment, intent, owner, agent, path, observe } = view
  return {
    rules,
    params,
    environment,
    ...(observe && { observe }),
    facts: {
      intent,
      owner,
      agent,
      environment,
      params,
      ceiling: view.ceiling,
      depth: path.length - 1,
      ...(observe && { observe }),
      ...(view.labels && { labels: view.labels }),
      ...(view.capabilities && { capabilities: view.capabilities }),
    },
  }
}
