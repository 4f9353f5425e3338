// The grammar of a source whose value a client in the sandbox asks a token endpoint for. Pure; called by `source-schema.ts`.

import { z } from 'zod'

import type { CapturedSourceDefinition } from '../../credentials/source-definition.ts'
import { oauthClient } from './oauth-schema.ts'
import { providerUrl } from './scalars.ts'

/** A source that is captured on its way to the sandbox. */
export const capturedSource: z.ZodType<CapturedSourceDefinition> = z
  .strictObject({
    from: providerUrl.describe('The token endpoint that clients in the sandbox ask.'),
    field: z
      .string()
      .regex(/^[A-Za-z_][\w.-]{0,127}$/, { error: 'expected the name of a member' })
      .default('access_token')
      .describe('The member of its answer that is the value.'),
    revoke: providerUrl.optional().describe('Where it is taken back, RFC 7009.'),
    introspect: providerUrl.optional().describe('What confirms that, RFC 7662.'),
    client: oauthClient.optional().describe('Who takes it back.'),
  })
  .refine(({ revoke, client }) => (revoke === undefined) === (client === undefined), {
    error: '`revoke` and `client` go together',
    path: ['client'],
  })
  .refine(({ revoke, introspect }) => revoke !== undefined || introspect === undefined, {
    error: '`introspect` confirms what `revoke` takes back',
    path: ['introspect'],
  })
  .transform(({ from, field, revoke, introspect, client }) => ({
    kind: 'captured' as const,
    from,
    field,
    ...(client && {
      revocation: {
        server: {
          ...(revoke !== undefined && { revoke }),
          ...(introspect !== undefined && { introspect }),
        },
        client,
      },
    }),
  }))
