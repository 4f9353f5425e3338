// Where a credential stands in a request: the header or query parameter its `inject` names, and the exact text there.
// Called by `screen.ts` for placeholders and by `prepare.ts` for values, so that both mean the same place.

import type { CredentialDefinition, Injection } from '../credentials/definition.ts'
import type { Endpoint } from '../wire/authority.ts'

/** Names the header an injection goes into, as it is spelled; undefined for a query parameter. */
export function placeHeader(inject: Injection): string | undefined {
  if (inject.kind === 'query') return undefined
  return inject.kind === 'header' ? inject.name : 'Authorization'
}

/** Writes the exact text at an injection's place: of the header's value, or of the query parameter's before encoding. */
export function placeText(inject: Injection, value: string): string {
  if (inject.kind === 'bearer') return `Bearer ${value}`
  if (inject.kind === 'basic')
    return `Basic ${Buffer.from(`${inject.user}:${value}`).toString('base64')}`
  // A function, because `$&` in a value is no pattern.
  return inject.kind === 'header' ? inject.format.replace('{}', () => value) : value
}

/** Tells whether a credential may be sent to a host and port. */
export function isOwnHost(
  { hosts }: Pick<CredentialDefinition, 'hosts'>,
  endpoint: Pick<Endpoint, 'host' | 'port'>,
): boolean {
  return hosts.some(({ host, port }) => host === endpoint.host && port === endpoint.port)
}
