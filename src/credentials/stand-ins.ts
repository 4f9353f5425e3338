// Where clients first ask for a credential, and a sidecar may answer for the one they mean. Pure; called by `store.ts`,
// `config/` and `brokering/`.

import type { Endpoint } from '../wire/authority.ts'
import { normalizeHost } from '../wire/authority.ts'
import type { Answers, CredentialDefinition } from './definition.ts'

/** One place. */
export interface StandInPlace {
  readonly kind: 'imds' | 'ecs' | 'oauth'
  readonly scheme: 'http' | 'https'
  readonly endpoint: Pick<Endpoint, 'host' | 'port'>
  /** The only path; undefined: there are several. */
  readonly path: string | undefined
}

/** The variable that names the path for containers. */
const RELATIVE_URI = 'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI'

/** The path that a container asks for a credential. */
export function relativeUriOf({ name }: Pick<CredentialDefinition, 'name'>): string {
  return `/v2/credentials/${name}`
}

/** Lists the places of a credential. */
export function placesOf({ imds, ecs, oauth }: Answers): StandInPlace[] {
  return [
    ...(imds === true ? [metadata('imds', '169.254.169.254')] : []),
    ...(ecs === true ? [metadata('ecs', '169.254.170.2')] : []),
    ...(oauth === undefined ? [] : [tokenPlace(new URL(oauth))]),
  ]
}

/** Lists the variables that lead clients to such places. */
export function standInVariables(definition: CredentialDefinition): Record<string, string> {
  return definition.answers?.ecs === true ? { [RELATIVE_URI]: relativeUriOf(definition) } : {}
}

function metadata(kind: 'imds' | 'ecs', host: string): StandInPlace {
  return { kind, scheme: 'http', endpoint: { host, port: 80 }, path: undefined }
}

function tokenPlace(url: URL): StandInPlace {
  const isTls = url.protocol === 'https:'
  return {
    kind: 'oauth',
    scheme: isTls ? 'https' : 'http',
    endpoint: {
      host: normalizeHost(url.hostname).host,
      port: Number(url.port) || (isTls ? 443 : 80),
    },
    path: url.pathname,
  }
}
