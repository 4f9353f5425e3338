// The routes of overrides: which wait for a review, and reviewing one, which whoever made it cannot. Called by `app.ts`.

import { createRoute, z } from '@hono/zod-openapi'

import { boundedText } from '../../tasks/scalars.ts'
import { overrideAnswer, overridesAnswer, REFUSALS } from '../answers.ts'
import { answers, body, type RouteApp } from '../context.ts'
import type { ControlParts } from '../parts.ts'
import { actorOf, requireRole, requireTeam, requireUnlimited } from '../roles.ts'

/** Adds the routes. */
export function addOverrideRoutes(app: RouteApp, { overrides }: ControlParts): void {
  const list = createRoute({
    method: 'get',
    path: '/v1/overrides',
    responses: { 200: answers('What waits for a review', overridesAnswer), ...REFUSALS },
  })
  app.openapi(list, (c) => {
    const { principal } = c.env
    requireRole(principal, 'viewer', 'approver', 'operator')
    const shown = overrides
      .list()
      .filter(
        ({ team }) =>
          principal.teams.length === 0 || (team !== undefined && principal.teams.includes(team)),
      )
    return c.json({ overrides: shown.map(({ by, ...one }) => ({ ...one, by: [...by] })) }, 200)
  })

  const review = createRoute({
    method: 'post',
    path: '/v1/overrides/{id}/review',
    request: {
      params: z.object({ id: boundedText(128) }),
      body: body(z.strictObject({}), false),
    },
    responses: { 200: answers('What was reviewed', overrideAnswer), ...REFUSALS },
  })
  app.openapi(review, (c) => {
    const { principal } = c.env
    const { id } = c.req.valid('param')
    requireRole(principal, 'approver', 'operator')
    const team = overrides.list().find((one) => one.id === id)?.team
    if (team === undefined) requireUnlimited(principal)
    else requireTeam(principal, team)
    const { by, ...one } = overrides.review(id, actorOf(principal))
    return c.json({ ...one, by: [...by] }, 200)
  })
}
