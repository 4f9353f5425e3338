// The grammar of `control:`: where the control API listens, its TLS, and who its principals are. Pure; called by
// `schema.ts`.

import { z } from 'zod'

import { ROLES, type PrincipalDefinition, type Role } from '../control/roles.ts'
import { boundedText } from '../tasks/scalars.ts'
import { listenAddress } from './scalars.ts'
import type { ListenAddress } from './units.ts'

/** One principal as it is written. */
export interface PrincipalSection {
  readonly name: string
  readonly tokenFile?: string | undefined
  readonly mtls?: { readonly subject: string } | undefined
  readonly roles: readonly Role[]
  readonly teams: readonly string[]
}

/** `control:` as it is written. */
export interface ControlSection {
  readonly listen: ListenAddress
  readonly tokenFile?: string | undefined
  readonly principals: readonly PrincipalSection[]
  readonly tls?:
    | { readonly cert: string; readonly key: string; readonly clientCa?: string | undefined }
    | undefined
}

const PRINCIPALS_MAX = 256

const filePath = boundedText(4096)

const principal = z
  .strictObject({
    name: z.string({ error: 'expected a name' }).regex(/^[A-Za-z0-9][\w.@-]{0,127}$/, {
      error: 'expected letters, digits, _ . @ and - only, 128 at the most',
    }),
    tokenFile: filePath.optional().describe("Holds the principal's token, 16 characters or more."),
    mtls: z
      .strictObject({ subject: boundedText(2048) })
      .optional()
      .describe("A client certificate's URI (spiffe://…) or common name."),
    roles: z.array(z.enum(ROLES, { error: `expected ${ROLES.join(', ')}` })).min(1, {
      error: 'expected at least one role',
    }),
    teams: z
      .array(boundedText(256))
      .default([])
      .describe("Owners' teams whose tasks it is limited to; none: any."),
  })
  .refine(({ tokenFile, mtls }) => (tokenFile === undefined) !== (mtls === undefined), {
    error: 'expected one proof: tokenFile or mtls',
  })

/** The section's schema. */
export const controlSchema: z.ZodType<ControlSection> = z
  .strictObject({
    listen: listenAddress
      .prefault('unix:state/control.sock')
      .describe("The operators' door; never the data port's."),
    tokenFile: filePath
      .optional()
      .describe("Holds the administrator's token, where no principals are named."),
    principals: z
      .array(principal)
      .max(PRINCIPALS_MAX, { error: `expected at most ${PRINCIPALS_MAX} principals` })
      .default([])
      .describe('Who may use the control API, and as what.'),
    tls: z
      .strictObject({
        cert: filePath.describe("PEM file of the listener's certificate and its chain."),
        key: filePath.describe('PEM file of its key.'),
        clientCa: filePath.optional().describe("PEM file of the CA of principals' certificates."),
      })
      .optional()
      .describe('TLS on a TCP listener; required beyond loopback.'),
  })
  .prefault({})

/** Resolves a principal's definition. */
export function resolvePrincipal(
  { name, tokenFile, mtls, roles, teams }: PrincipalSection,
  absolute: (written: string) => string,
): PrincipalDefinition {
  const proof: PrincipalDefinition['proof'] =
    mtls === undefined
      ? { kind: 'token', file: absolute(tokenFile ?? '') }
      : { kind: 'mtls', subject: mtls.subject }
  return { name, proof, roles, teams }
}
