// The credentials as the control API shows them: where each comes from, how it stands, what is wrong with it; never a value.
// Called by `control-parts.ts`.

import type { CredentialView } from '../control/parts.ts'
import type { SecretAges } from '../credentials/ages.ts'
import type { CredentialDefinition } from '../credentials/definition.ts'
import type { SourceDefinition } from '../credentials/source-definition.ts'
import type { CredentialStore } from '../credentials/store.ts'
import { EgressError } from '../errors.ts'

/** What showing credentials needs. */
export interface CredentialViewParts {
  readonly definitions: readonly CredentialDefinition[]
  readonly credentials: Pick<CredentialStore, 'isStatic' | 'secret' | 'standing'>
  readonly ages: () => Pick<SecretAges, 'secondsOf'>
}

type Standing = Pick<CredentialView, 'state' | 'leases' | 'expires' | 'problem' | 'retry'>

/** How each credential stands, in the order of the configuration. */
export async function credentialViews({
  definitions,
  credentials,
  ages,
}: CredentialViewParts): Promise<CredentialView[]> {
  const views = definitions.map(async (definition): Promise<CredentialView> => {
    const { name, hosts, inject, source } = definition
    const ageSeconds = ages().secondsOf(name)
    return {
      name,
      hosts: hosts.map(({ host, port }) => `${host}:${port}`),
      inject: inject.kind,
      source: kindOf(source),
      static: credentials.isStatic(name),
      ...(leaseStanding(credentials, name) ?? (await localStanding(credentials, name))),
      ...(ageSeconds !== undefined && { ageSeconds }),
    }
  })
  return Promise.all(views)
}

function kindOf(source: SourceDefinition): string {
  if (source.kind !== 'local') return source.kind
  return 'env' in source.from ? 'env' : 'file'
}

function leaseStanding(
  credentials: CredentialViewParts['credentials'],
  name: string,
): Standing | undefined {
  const standing = credentials.standing(name)
  if (standing === undefined) return undefined
  const { state, leases, endsAt, problem, retryAt } = standing
  return {
    state,
    leases,
    ...(endsAt !== undefined && { expires: new Date(endsAt).toISOString() }),
    ...(problem !== undefined && { problem }),
    ...(retryAt !== undefined && { retry: new Date(retryAt).toISOString() }),
  }
}

async function localStanding(
  credentials: CredentialViewParts['credentials'],
  name: string,
): Promise<Standing> {
  try {
    await credentials.secret(name)
    return { state: 'available', leases: 0 }
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    return { state: 'unavailable', leases: 0, problem: String(error.detail['why']) }
  }
}
