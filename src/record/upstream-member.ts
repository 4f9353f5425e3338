// What records say of the connection to an upstream: the member `sallyport.upstream`. Pure; called by
// `ecs.ts` and `call-text.ts`.

import type { Call } from '../call.ts'
import type { RecordBody } from './body.ts'

type Member = RecordBody['sallyport']['upstream']

/** The member; undefined where there is nothing to say. */
export function upstreamMember({
  tlsVersion: spoken,
  connectBy,
}: NonNullable<Call['upstream']>): Member {
  if (spoken === undefined && connectBy === undefined) return undefined
  return { tls: tlsVersion(spoken), connect_by: connectBy }
}

/** A version of TLS as ECS has it: a number. */
export function tlsVersion(version: string | undefined): string | undefined {
  return version?.startsWith('TLSv') === true ? version.slice(4) : version
}
