// The routes that make and show tasks. Called by `app.ts`.

import { createRoute, z } from '@hono/zod-openapi'

import { childDefinitionSchema, taskDefinitionSchema, taskId } from '../../tasks/schema.ts'
import type { TaskDefinition } from '../../tasks/schema.ts'
import type { TaskView } from '../../tasks/view.ts'
import {
  createdAnswer,
  environmentAnswer,
  REFUSALS,
  taskAnswer,
  tasksAnswer,
  type CreatedTask,
} from '../answers.ts'
import { answers, body, changeableTask, visibleTask, type RouteApp } from '../context.ts'
import type { ControlParts } from '../parts.ts'
import {
  actorOf,
  canSee,
  hasRole,
  notAllowed,
  requireRole,
  requireTeam,
  type Principal,
} from '../roles.ts'

const LISTED_DEFAULT = 1000
const LISTED_MAX = 10_000
const KEY_HEADER = 'idempotency-key'

const params = z.object({ id: taskId })
const headers = z.object({
  [KEY_HEADER]: z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, { error: 'expected 1 to 255 printable characters' })
    .optional()
    .describe('The same key and definition again are the same task.'),
})

const created = {
  201: answers('The task was made', createdAnswer),
  200: answers('It was made by an earlier request with the same key', createdAnswer),
  ...REFUSALS,
}

/** Adds the routes that show tasks. */
export function addTaskRoutes(app: RouteApp, parts: ControlParts): void {
  const query = z.strictObject({
    state: z.enum(['pending', 'active', 'suspended', 'revoking', 'ended']).optional(),
    owner: z.string().max(256).optional().describe("The owner's name."),
    agent: z.string().max(256).optional().describe("The agent's account or instance."),
    limit: z.coerce
      .number({ error: 'expected a number' })
      .int({ error: 'expected a whole number' })
      .min(1)
      .max(LISTED_MAX, { error: `expected at most ${LISTED_MAX}` })
      .default(LISTED_DEFAULT)
      .describe('How many at the most, those that were made last.'),
  })
  const list = createRoute({
    method: 'get',
    path: '/v1/tasks',
    request: { query },
    responses: { 200: answers('The tasks that the principal may see', tasksAnswer), ...REFUSALS },
  })
  app.openapi(list, (c) => {
    const { state, owner, agent, limit } = c.req.valid('query')
    const isWanted = (task: TaskView): boolean =>
      canSee(c.env.principal, task) &&
      (state === undefined || task.state === state) &&
      (owner === undefined || task.owner.name === owner) &&
      (agent === undefined || [task.agent.account, task.agent.instance].includes(agent))
    const tasks: TaskView[] = []
    for (const task of parts.tasks.list()) {
      if (!isWanted(task)) continue
      if (tasks.length === limit) return c.json({ tasks: tasks.toReversed(), more: true }, 200)
      tasks.push(task)
    }
    return c.json({ tasks: tasks.toReversed(), more: false }, 200)
  })

  const show = createRoute({
    method: 'get',
    path: '/v1/tasks/{id}',
    request: { params },
    responses: { 200: answers('The task', taskAnswer), ...REFUSALS },
  })
  app.openapi(show, (c) =>
    c.json(visibleTask(parts, c.req.valid('param').id, c.env.principal), 200),
  )

  const environment = createRoute({
    method: 'get',
    path: '/v1/tasks/{id}/env',
    request: { params },
    responses: { 200: answers('What its sandbox is given', environmentAnswer), ...REFUSALS },
  })
  app.openapi(environment, (c) => {
    const { id } = changeableTask(parts, c.req.valid('param').id, c.env.principal)
    // The token is not known any more: only its hash is kept.
    return c.json(parts.environmentFor(id, undefined), 200)
  })
}

/** Adds the routes that make tasks. */
export function addCreateRoutes(app: RouteApp, parts: ControlParts): void {
  const create = createRoute({
    method: 'post',
    path: '/v1/tasks',
    request: { headers, body: body(taskDefinitionSchema, true) },
    responses: created,
  })
  app.openapi(create, (c) => {
    const key = c.req.valid('header')[KEY_HEADER]
    const { made, isNew } = makeTask(parts, c.req.valid('json'), c.env.principal, key)
    return isNew ? c.json(made, 201) : c.json(made, 200)
  })

  const child = createRoute({
    method: 'post',
    path: '/v1/tasks/{id}/children',
    request: { params, headers, body: body(childDefinitionSchema, true) },
    responses: created,
  })
  app.openapi(child, (c) => {
    const definition = { ...c.req.valid('json'), parent: c.req.valid('param').id }
    const key = c.req.valid('header')[KEY_HEADER]
    const { made, isNew } = makeTask(parts, definition, c.env.principal, key)
    return isNew ? c.json(made, 201) : c.json(made, 200)
  })
}

function makeTask(
  parts: ControlParts,
  definition: TaskDefinition,
  principal: Principal,
  key: string | undefined,
): { readonly made: CreatedTask; readonly isNew: boolean } {
  requireRole(principal, 'orchestrator', 'operator')
  requireTeam(principal, definition.owner.team)
  if (definition.observe === true && !hasRole(principal, 'operator'))
    throw notAllowed('a task that observes takes the role operator', { field: '/observe' })
  if (definition.parent !== undefined)
    changeableTask(parts, definition.parent, principal, '/parent')
  checkRuleSets(parts, definition)
  // A key is its principal's own: another's request never finds a task by it.
  const ownKey = key === undefined ? undefined : `${principal.name} ${key}`
  const { task, token, created: isNew } = parts.tasks.create(definition, actorOf(principal), ownKey)
  const made = {
    id: task.id,
    ...(token !== undefined && { token }),
    ...parts.environmentFor(task.id, token),
    task,
  }
  return { made, isNew }
}

/** A rule set says whose tasks may be given it. */
function checkRuleSets({ rules }: ControlParts, { rules: wanted, owner }: TaskDefinition): void {
  const sets = new Map(rules.show().map((set) => [set.name, set]))
  wanted.forEach((written, index) => {
    const [name = '', version] = written.split('@', 2)
    const inForce = sets.get(name)
    // What is pinned says by itself whom it is for.
    const isOther = version !== undefined && version !== inForce?.version
    const set = isOther ? rules.find(version) : inForce
    if (set?.for !== undefined && !set.for.teams.includes(owner.team))
      throw notAllowed(`the rule set ${set.name} is not for the team that would own the task`, {
        field: `/rules/${index}`,
      })
  })
}
