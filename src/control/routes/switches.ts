// The routes of what stops or changes things for many tasks at once: the kill switch, owners who left, the rules. Each
// change is put on record here. Called by `app.ts`.

import { createRoute, z } from '@hono/zod-openapi'

import { ControlError } from '../../tasks/control-error.ts'
import { boundedText } from '../../tasks/scalars.ts'
import {
  killAnswer,
  killedAnswer,
  killsAnswer,
  ownerAnswer,
  ownersAnswer,
  REFUSALS,
  reloadAnswer,
  ruleTextAnswer,
  rulesAnswer,
} from '../answers.ts'
import { answers, body, changeableTask, type RouteApp } from '../context.ts'
import type { ControlParts } from '../parts.ts'
import { actorOf, requireRole, requireUnlimited, type Principal } from '../roles.ts'

const READERS = ['viewer', 'approver', 'operator'] as const
const SCOPES = ['host', 'credential', 'tool', 'task', 'agent', 'owner', 'all'] as const

const killBody = z
  .strictObject({
    scope: z.enum(SCOPES, { error: `expected ${SCOPES.join(', ')}` }),
    value: z
      .string({ error: 'expected a text' })
      .max(512, { error: 'expected at most 512 characters' })
      .default('')
      .describe('Which one; a tool as NAME, or HOST/NAME; nothing for `all`.'),
    reason: boundedText(1024).optional().describe('Put on record.'),
  })
  .refine(({ scope, value }) => (value === '') === (scope === 'all'), {
    error: 'expected which one; nothing for `all`',
    path: ['value'],
  })

/** Adds the routes of the kill switch. */
export function addKillRoutes(app: RouteApp, parts: ControlParts): void {
  const list = createRoute({
    method: 'get',
    path: '/v1/kill',
    responses: { 200: answers('What is switched off', killsAnswer), ...REFUSALS },
  })
  app.openapi(list, (c) => {
    requireRole(c.env.principal, ...READERS)
    return c.json({ kills: [...parts.kills.list()] }, 200)
  })

  const kill = createRoute({
    method: 'post',
    path: '/v1/kill',
    request: { body: body(killBody, true) },
    responses: { 200: answers('What ended; it stays switched off', killedAnswer), ...REFUSALS },
  })
  app.openapi(kill, async (c) => {
    const { principal } = c.env
    const { scope, value, reason } = c.req.valid('json')
    requireRole(principal, 'operator')
    if (scope === 'task') changeableTask(parts, value, principal, '/value')
    else requireUnlimited(principal)
    const killed = await parts.kills.kill(scope, value, actorOf(principal), reason)
    const detail = { kill: killed.kill.id, scope, value, ...(reason !== undefined && { reason }) }
    changed(parts, principal, 'kill', detail)
    return c.json(killed, 200)
  })

  const lift = createRoute({
    method: 'delete',
    path: '/v1/kill/{id}',
    request: { params: z.object({ id: boundedText(128) }) },
    responses: { 200: answers('What is not switched off any more', killAnswer), ...REFUSALS },
  })
  app.openapi(lift, (c) => {
    const { principal } = c.env
    const { id } = c.req.valid('param')
    requireRole(principal, 'operator')
    const standing = parts.kills.list().find((one) => one.id === id)
    // Whoever is not limited lifts it also where the task is not known any more.
    if (standing?.scope !== 'task') requireUnlimited(principal)
    else if (principal.teams.length > 0) changeableTask(parts, standing.value, principal)
    const lifted = parts.kills.lift(id, actorOf(principal))
    if (lifted === undefined) throw new ControlError('not-found', 'nothing has that id', '/id')
    changed(parts, principal, 'kill-lifted', { kill: id, scope: lifted.scope, value: lifted.value })
    return c.json(lifted, 200)
  })
}

/** Adds the routes of owners. */
export function addOwnerRoutes(app: RouteApp, parts: ControlParts): void {
  const { owners } = parts
  const params = z.object({ owner: boundedText(256) })
  const list = createRoute({
    method: 'get',
    path: '/v1/owners',
    responses: { 200: answers('Owners who were disabled', ownersAnswer), ...REFUSALS },
  })
  app.openapi(list, (c) => {
    requireRole(c.env.principal, ...READERS)
    return c.json({ disabled: [...owners.disabled()] }, 200)
  })

  const show = createRoute({
    method: 'get',
    path: '/v1/owners/{owner}',
    request: { params },
    responses: { 200: answers("The owner's standing", ownerAnswer), ...REFUSALS },
  })
  app.openapi(show, (c) => {
    requireRole(c.env.principal, ...READERS)
    const { owner } = c.req.valid('param')
    return c.json({ owner, disabled: owners.disabled().includes(owner) }, 200)
  })

  const set = createRoute({
    method: 'put',
    path: '/v1/owners/{owner}',
    request: {
      params,
      body: body(
        z.strictObject({ disabled: z.boolean({ error: 'expected true or false' }) }),
        true,
      ),
    },
    responses: { 200: answers("The owner's standing now", ownerAnswer), ...REFUSALS },
  })
  app.openapi(set, (c) => {
    const { principal } = c.env
    const { owner } = c.req.valid('param')
    const { disabled } = c.req.valid('json')
    requireRole(principal, 'operator')
    requireUnlimited(principal)
    const suspended = disabled ? owners.disable(owner, actorOf(principal)).suspended : []
    if (!disabled) owners.enable(owner, actorOf(principal))
    changed(parts, principal, disabled ? 'owner-disabled' : 'owner-enabled', { owner })
    return c.json({ owner, disabled, suspended: [...suspended] }, 200)
  })
}

/** Adds the routes of the rules. */
export function addRuleRoutes(app: RouteApp, parts: ControlParts): void {
  const show = createRoute({
    method: 'get',
    path: '/v1/rules',
    responses: { 200: answers('The rule sets in force', rulesAnswer), ...REFUSALS },
  })
  app.openapi(show, (c) => c.json({ rules: [...parts.rules.show()] }, 200))

  const one = createRoute({
    method: 'get',
    path: '/v1/rules/{version}',
    request: { params: z.object({ version: boundedText(128) }) },
    responses: { 200: answers('A rule set as it is or was in force', ruleTextAnswer), ...REFUSALS },
  })
  app.openapi(one, (c) => {
    const found = parts.rules.find(c.req.valid('param').version)
    if (found === undefined) throw new ControlError('not-found', 'no text of that digest is kept')
    return c.json(found, 200)
  })

  const reload = createRoute({
    method: 'post',
    path: '/v1/rules/reload',
    request: { body: body(z.strictObject({}), false) },
    responses: { 200: answers('What the rule files are now', reloadAnswer), ...REFUSALS },
  })
  app.openapi(reload, (c) => {
    const { principal } = c.env
    requireRole(principal, 'operator')
    const found = parts.rules.reload(actorOf(principal))
    const { inForce, changed: isChanged } = found
    changed(parts, principal, 'rules-reload', { inForce, changed: isChanged })
    return c.json(found, 200)
  })
}

function changed(
  parts: ControlParts,
  { name }: Principal,
  operation: string,
  detail: Readonly<Record<string, unknown>>,
): void {
  parts.record('control-changed', { principal: name, operation, ...detail })
}
