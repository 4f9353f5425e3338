// The grammar of a source that an authorization server mints, and of a client that proves itself to one. Pure; called by
// `source-schema.ts` and `captured-schema.ts`.

import { z } from 'zod'

import type {
  OAuthClientDefinition,
  OAuthExchangedToken,
  OAuthGrant,
  OAuthSourceDefinition,
} from '../../credentials/source-definition.ts'
import { boundedText } from '../../tasks/scalars.ts'
import { localKeys, localSource, toLocal } from './local-schema.ts'
import { exactlyOne, flag, providerUrl } from './scalars.ts'

const TYPE_PREFIX = 'urn:ietf:params:oauth:token-type:'
const LISTED_MAX = 64
const EXCHANGED_EXPECTED = 'expected { env: NAME }, { file: PATH } or { task: true }'

const client = z
  .strictObject({
    id: boundedText(512),
    secret: localSource.optional(),
    auth: z
      .enum(['basic', 'post'], { error: 'expected basic or post' })
      .optional()
      .describe('How the secret is sent: by the header (the default) or in the body.'),
    key: localSource.optional().describe('A private key in PEM: private_key_jwt, RFC 7523.'),
    keyId: boundedText(256).optional().describe('`kid` of what the key signs.'),
  })
  .refine(({ secret, key }) => secret === undefined || key === undefined, {
    error: 'expected `secret` or `key`, not both',
    path: ['key'],
  })
  .refine(({ secret, auth }) => secret !== undefined || auth === undefined, {
    error: '`auth` says how a `secret` is sent',
    path: ['auth'],
  })
  .refine(({ key, keyId }) => key !== undefined || keyId === undefined, {
    error: '`keyId` names a `key`',
    path: ['keyId'],
  })

/** Whom an authorization server knows us as. */
export const oauthClient: z.ZodType<OAuthClientDefinition> = client.transform(toClient)

const exchangedToken = exactlyOne(
  z.strictObject({ ...localKeys, task: flag.optional() }, { error: EXCHANGED_EXPECTED }),
  EXCHANGED_EXPECTED,
)

const tokenType = z
  .string()
  .regex(
    /^(?:(?:access_token|refresh_token|id_token|jwt|saml1|saml2)|[a-z][a-z0-9+.-]*:\S{1,500})$/,
    {
      error: 'expected access_token, refresh_token, id_token, jwt, saml1, saml2 or a URI',
    },
  )
  .transform((written) => (written.includes(':') ? written : TYPE_PREFIX + written))

const exchange = z
  .strictObject({
    subject: exchangedToken.describe('`task`: what is known of the task, signed by the key.'),
    subjectType: tokenType.optional(),
    actor: exchangedToken.optional(),
    actorType: tokenType.optional(),
    requestedType: tokenType.optional(),
  })
  .refine(({ actor, actorType }) => actor !== undefined || actorType === undefined, {
    error: '`actorType` is the type of an `actor`',
    path: ['actorType'],
  })

const listed = (text: z.ZodType<string, string>): z.ZodType<readonly string[], string[]> =>
  z.array(text).max(LISTED_MAX, { error: `expected at most ${LISTED_MAX}` })

const scopeToken = z
  .string()
  .regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,512}$/, { error: 'expected one scope without spaces' })

const written = z
  .strictObject({
    issuer: providerUrl.optional().describe('Its metadata (RFC 8414) say what is not written.'),
    token: providerUrl.optional().describe('The token endpoint.'),
    revoke: providerUrl.optional().describe('Where tokens are taken back, RFC 7009.'),
    introspect: providerUrl.optional().describe('What confirms that, RFC 7662.'),
    client,
    refresh: localSource.optional().describe('A refresh token; the newest is kept in `state`.'),
    exchange: exchange.optional().describe('RFC 8693.'),
    scope: listed(scopeToken).default([]),
    audience: listed(boundedText(2048)).default([]),
    resource: listed(boundedText(2048)).default([]).describe('RFC 8707.'),
  })
  .refine(({ issuer, token }) => issuer !== undefined || token !== undefined, {
    error: 'expected `token`, or `issuer` whose metadata say where it is',
  })
  .refine(({ issuer, revoke, introspect }) => issuer ?? revoke ?? introspect === undefined, {
    error: '`introspect` confirms what `revoke` takes back',
    path: ['introspect'],
  })
  .refine((source) => source.refresh === undefined || source.exchange === undefined, {
    error: 'expected `refresh` or `exchange`, not both',
    path: ['exchange'],
  })
  .refine(
    ({ client: { secret, key }, refresh, exchange: exchanged }) => {
      return secret ?? key ?? refresh ?? exchanged
    },
    { error: 'a client without `secret` and `key` is given nothing', path: ['client'] },
  )
  .refine(
    ({ client: { key }, exchange: exchanged }) => {
      const isSigned = [exchanged?.subject, exchanged?.actor].some((one) => one?.task === true)
      return key !== undefined || !isSigned
    },
    { error: '`task: true` is signed by `client.key`', path: ['exchange'] },
  )

/** A source that an authorization server mints. */
export const oauthSource: z.ZodType<OAuthSourceDefinition> = written.transform(toSource)

function toSource(source: z.output<typeof written>): OAuthSourceDefinition {
  const { issuer, token, revoke, introspect, scope, audience, resource } = source
  return {
    kind: 'oauth',
    server: {
      ...(issuer !== undefined && { issuer }),
      ...(token !== undefined && { token }),
      ...(revoke !== undefined && { revoke }),
      ...(introspect !== undefined && { introspect }),
    },
    client: toClient(source.client),
    grant: toGrant(source),
    scope,
    audience,
    resource,
  }
}

function toClient({
  id,
  secret,
  auth,
  key,
  keyId,
}: z.output<typeof client>): OAuthClientDefinition {
  if (secret !== undefined) return { id, proof: { kind: auth ?? 'basic', secret } }
  if (key === undefined) return { id, proof: { kind: 'none' } }
  return { id, proof: { kind: 'key', key, ...(keyId !== undefined && { keyId }) } }
}

function toGrant({ refresh, exchange: exchanged }: z.output<typeof written>): OAuthGrant {
  if (refresh !== undefined) return { kind: 'refresh', token: refresh }
  if (exchanged === undefined) return { kind: 'client' }
  const { subject, subjectType, actor, actorType, requestedType } = exchanged
  return {
    kind: 'exchange',
    subject: toExchanged(subject, subjectType),
    ...(actor && { actor: toExchanged(actor, actorType) }),
    ...(requestedType !== undefined && { requestedType }),
  }
}

function toExchanged(
  { task, ...local }: z.output<typeof exchangedToken>,
  type: string | undefined,
): OAuthExchangedToken {
  if (task === true) return { from: 'task', type: type ?? `${TYPE_PREFIX}jwt` }
  return { from: toLocal(local), type: type ?? `${TYPE_PREFIX}access_token` }
}
