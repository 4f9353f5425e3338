// The grammar of `identity:`. Pure; called by `schema.ts`.

import { z } from 'zod'

import { boundedText } from '../tasks/scalars.ts'

/** How a caller proves its task, as it is written. */
export interface IdentitySection {
  readonly token: boolean
  readonly jwt?:
    | {
        readonly issuer?: string | undefined
        readonly audience: string
        readonly jwks: string
      }
    | undefined
  readonly mtls?: { readonly ca: string } | undefined
}

const label = boundedText(2048)
const filePath = boundedText(4096)

const jwt = z
  .strictObject({
    issuer: label
      .optional()
      .describe('What `iss` must be; not looked at unless given, as a JWT-SVID may have none.'),
    audience: label.describe('What `aud` must contain: a name for this sidecar and no other.'),
    jwks: filePath
      .refine((written) => !written.includes('://') || isKeySetUrl(written), {
        error: 'expected a file, an https:// URL, or an http:// URL to a loopback address',
      })
      .describe("The issuer's public keys: a file, or a URL (https, or http to loopback)."),
  })
  .describe('Tokens of workloads: SPIFFE JWT-SVID, Kubernetes service account, any OIDC issuer.')

const mtls = z
  .strictObject({ ca: filePath.describe('PEM file of the trust bundle, and of nothing else.') })
  .describe('X.509-SVIDs; the proxy listener then takes TLS as well as plain connections.')

/** The section. */
export const identitySchema: z.ZodType<IdentitySection> = z
  .strictObject({
    token: z.boolean({ error: 'expected true or false' }).default(true),
    jwt: jwt.optional(),
    mtls: mtls.optional(),
  })
  .prefault({})

// Keys that come over a network in the clear are whoever's keys; a name that ought to be loopback is a resolver's word.
function isKeySetUrl(written: string): boolean {
  if (!/^https?:\/\/[^\s/@#][^\s@#]*$/.test(written) || !URL.canParse(written)) return false
  const { protocol, hostname } = new URL(written)
  return protocol === 'https:' || hostname === '[::1]' || /^127(?:\.\d+){3}$/.test(hostname)
}
