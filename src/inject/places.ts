// Where a credential stands in a request: the header or query parameter its `inject` names, and the exact text there.
// Called by `screen.ts` for placeholders and by `prepare.ts` for values, so that both mean the same place.

import { HEAD_KINDS, type CredentialDefinition, type Injection } from '../credentials/definition.ts'
import type { Endpoint } from '../wire/authority.ts'
import { hmacHeaders } from './hmac.ts'
import { SIGNATURE_HEADERS } from './http-signature.ts'

const IN_HEAD: ReadonlySet<string> = new Set(HEAD_KINDS)

/** Whether an injection is no matter of the head that is written first. */
export function isAddedLast({ kind }: Injection): boolean {
  return !IN_HEAD.has(kind)
}

/** Names the header that an injection is in by itself, as it is spelled; undefined where it is in none, or signs. */
export function placeHeader(inject: Injection): string | undefined {
  if (inject.kind === 'header') return inject.name
  return inject.kind === 'bearer' || inject.kind === 'basic' ? 'Authorization' : undefined
}

/** Names every header that only its injection may write, as it is spelled. */
export function headersOf(inject: Injection): readonly string[] {
  if (inject.kind === 'hmac') return hmacHeaders(inject)
  if (inject.kind === 'http-signature') return SIGNATURE_HEADERS
  const header = placeHeader(inject)
  return header === undefined ? [] : [header]
}

/** Names the query parameter that is an injection's, or is read as the field of a form that is. */
export function parameterOf(inject: Injection): string | undefined {
  if (inject.kind === 'query') return inject.name
  return inject.kind === 'form' ? inject.field : undefined
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
