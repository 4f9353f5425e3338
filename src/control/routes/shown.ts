// The routes that only show: credentials by name, what is known of sandboxes, the keys that receipts are signed with.
// Called by `app.ts`.

import { createRoute } from '@hono/zod-openapi'

import { inventoryAnswer, keysAnswer, REFUSALS } from '../answers.ts'
import { credentialsAnswer } from '../credential-answers.ts'
import { answers, type RouteApp } from '../context.ts'
import type { ControlParts } from '../parts.ts'
import { requireRole, requireUnlimited } from '../roles.ts'

/** Adds the routes. */
export function addShownRoutes(app: RouteApp, parts: ControlParts): void {
  const credentials = createRoute({
    method: 'get',
    path: '/v1/credentials',
    responses: {
      200: answers('Credentials and their state, never their values', credentialsAnswer),
      ...REFUSALS,
    },
  })
  app.openapi(credentials, async (c) => {
    requireRole(c.env.principal, 'viewer', 'approver', 'operator')
    return c.json({ credentials: [...(await parts.credentials())] }, 200)
  })

  const inventory = createRoute({
    method: 'get',
    path: '/v1/inventory',
    responses: { 200: answers('What is known of the sandboxes', inventoryAnswer), ...REFUSALS },
  })
  app.openapi(inventory, (c) => {
    requireRole(c.env.principal, 'viewer', 'approver', 'operator')
    requireUnlimited(c.env.principal)
    const known = parts.inventory()
    const shown = {
      sandboxes: [...known.sandboxes],
      identities: known.identities.map((one) => ({ ...one, credentials: [...one.credentials] })),
      credentials: [...known.credentials],
      unknownClients: [...known.unknownClients],
    }
    return c.json({ ...known, ...shown }, 200)
  })

  const keys = createRoute({
    method: 'get',
    path: '/v1/keys',
    responses: { 200: answers('The keys of receipts, as a JWKS', keysAnswer), ...REFUSALS },
  })
  // Whoever is given a receipt can check it.
  app.openapi(keys, (c) => c.json({ keys: [parts.receiptKey()] }, 200))
}
