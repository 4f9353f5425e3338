// Takes out of a body what a client says there at the places of a host's credentials, as `client-auth.ts` says of heads: in calls
// that get another credential or none. Called by `brokering/prepare.ts`.

import type { CredentialDefinition, Injection } from '../credentials/definition.ts'
import { EgressError } from '../errors.ts'
import type { RawHeaders } from '../wire/body.ts'
import { findDigest, isPlainBody, mayBeBody } from './body-head.ts'
import { dropField, type EditedBody } from './form.ts'
import { dropMember } from './json-member.ts'

type BodyInjection = Extract<Injection, { readonly kind: 'form' | 'json' }>

/** Whether a kind of injection has its place in a body. */
export function isInBody(inject: Injection): inject is BodyInjection {
  return inject.kind === 'form' || inject.kind === 'json'
}

/**
 * Lists the places of a host's credentials that may be in the body of a call.
 * @param own the credential that the call gets: its place is written anew
 */
export function bodyPlacesOf(
  brokered: readonly CredentialDefinition[],
  headers: RawHeaders,
  own: CredentialDefinition | undefined,
): readonly BodyInjection[] {
  return brokered
    .map(({ inject }) => inject)
    .filter(isInBody)
    .filter((place) => mayBeBody(place.kind, headers) && !isSamePlace(place, own?.inject))
}

function isSamePlace(one: BodyInjection, other: Injection | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

/** Takes places out. @throws malformed-body where nobody can say what stands there */
export function dropFromBody(
  places: readonly BodyInjection[],
  headers: RawHeaders,
  body: Uint8Array,
): EditedBody {
  let edited: EditedBody = { bytes: body, stood: false }
  if (body.length === 0) return edited
  for (const place of places) {
    if (!isPlainBody(place.kind, headers))
      throw new EgressError('malformed-body', { part: place.kind, why: 'not plain' })
    const { bytes, stood } =
      place.kind === 'form'
        ? dropField(edited.bytes, place.field)
        : dropMember(edited.bytes, place.pointer)
    edited = { bytes, stood: edited.stood || stood }
  }
  if (edited.stood && findDigest(headers) !== undefined)
    throw new EgressError('malformed-body', { why: 'digest of what is dropped' })
  return edited
}
