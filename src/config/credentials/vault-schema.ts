// The grammar of a source `vault`: where HashiCorp Vault or OpenBao is, how one logs in, and what is asked of it. Paths of files
// are as written. Pure; called by `source-schema.ts`.

import { z } from 'zod'

import type {
  VaultAsk,
  VaultFields,
  VaultLogin,
  VaultSourceDefinition,
} from '../../credentials/source-definition.ts'
import { PART_NAMES } from '../../credentials/material.ts'
import { boundedText, positiveInteger } from '../../tasks/scalars.ts'
import { localSource } from './local-schema.ts'
import { exactlyOne, providerUrl } from './scalars.ts'

const PATH_EXPECTED = 'expected a path such as database/creds/readonly'
const SERVICE_ACCOUNT_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token'

const path = boundedText(512).refine(isPath, { error: PATH_EXPECTED })
const fixedPath = path.refine((written) => !/[{}]/.test(written), {
  error: 'a secret that is kept is the same for all tasks: no {param} here',
})
const member = boundedText(256)

const fields: z.ZodType<VaultFields> = z
  .strictObject(Object.fromEntries(PART_NAMES.map((name) => [name, member.optional()])))
  .refine((written) => Object.values(written).some((name) => name !== undefined), {
    error: `expected at least one of ${PART_NAMES.join(', ')}`,
  })
  .transform((written) =>
    Object.fromEntries(Object.entries(written).filter(([, name]) => name !== undefined)),
  )
  .describe("The answer's members by the parts of the credential that they are.")

const kubernetes = z
  .strictObject({ role: member, token: localSource.optional(), mount: path.default('kubernetes') })
  .describe("By the pod's service account.")

const jwt = z.strictObject({ role: member, token: localSource, mount: path.default('jwt') })

const writtenLogin = z.strictObject({
  appRole: z
    .strictObject({ roleId: member, secretId: localSource, mount: path.default('approle') })
    .optional(),
  kubernetes: kubernetes.optional(),
  jwt: jwt.optional(),
  token: localSource.optional().describe('A token that somebody else renews and revokes.'),
})

const login: z.ZodType<VaultLogin> = exactlyOne(
  writtenLogin,
  `expected one way to log in: ${Object.keys(writtenLogin.shape).join(', ')}`,
).transform(toLogin)

const kv = z
  .strictObject({
    mount: fixedPath.default('secret'),
    path: fixedPath,
    field: member.optional().describe('The member that is the value.'),
    fields: fields.optional(),
    version: positiveInteger.optional().describe('Default: the latest.'),
  })
  .refine((written) => (written.field === undefined) !== (written.fields === undefined), {
    error: 'expected one of field and fields',
  })

const lease = z
  .strictObject({
    path,
    parameters: z.record(member, boundedText(4096)).optional(),
    ttlParameter: member
      .optional()
      .describe('The parameter that gets the seconds until the end of the task.'),
    fields: fields.optional(),
  })
  .describe('A secret that is made when it is asked for; by GET, with parameters by POST.')

/** A source `vault` as it is written. */
export const vaultSource: z.ZodType<VaultSourceDefinition> = exactlyOne(
  z.strictObject({
    address: providerUrl.refine((written) => !written.includes('?'), {
      error: 'expected a URL without a query',
    }),
    namespace: path.optional(),
    login,
    kv: kv.optional(),
    lease: lease.optional(),
    ca: boundedText(4096).optional().describe('PEM of roots trusted for it besides the others.'),
  }),
  'expected one of kv and lease',
  ['kv', 'lease'],
).transform(
  ({ address, namespace, login: by, kv: kept, lease: made, ca }): VaultSourceDefinition => {
    return {
      kind: 'vault',
      address: address.replace(/\/+$/, ''),
      ...(namespace !== undefined && { namespace }),
      login: by,
      ask: toAsk(kept, made),
      ...(ca !== undefined && { caFile: ca }),
    }
  },
)

function toLogin(written: z.output<typeof writtenLogin>): VaultLogin {
  const { appRole, token = { file: '' } } = written
  if (appRole) {
    const { mount, roleId, secretId } = appRole
    return { kind: 'appRole', mount, roleId, secret: secretId }
  }
  if (written.kubernetes) {
    const { mount, role, token: secret = { file: SERVICE_ACCOUNT_TOKEN } } = written.kubernetes
    return { kind: 'kubernetes', mount, role, secret }
  }
  if (written.jwt) {
    const { mount, role, token: secret } = written.jwt
    return { kind: 'jwt', mount, role, secret }
  }
  return { kind: 'token', secret: token }
}

function toAsk(
  kept: z.output<typeof kv> | undefined,
  made: z.output<typeof lease> | undefined,
): VaultAsk {
  if (kept) {
    const { mount, path: at, field, fields: by = { value: field ?? '' }, version } = kept
    return { kind: 'kv', mount, path: at, fields: by, ...(version !== undefined && { version }) }
  }
  const { path: at, parameters, ttlParameter, fields: by } = made ?? { path: '' }
  return {
    kind: 'lease',
    path: at,
    ...(parameters && { parameters }),
    ...(ttlParameter !== undefined && { ttlParameter }),
    ...(by && { fields: by }),
  }
}

function isPath(written: string): boolean {
  const segments = written.split('/')
  return !/[?#%\\\s]/.test(written) && !segments.some((one) => /^\.{0,2}$/.test(one))
}
