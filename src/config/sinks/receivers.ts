// What the sinks for receivers over HTTP have in common: the post to the endpoint of a URL alone, by an operator's permit, and
// where records are from. Called by the starters beside this.

import type { Limits } from '../../limits.ts'
import type { Dialer } from '../../net/dial.ts'
import { HttpPoster } from '../../net/http-client.ts'
import type { Checkpoints } from '../../record/proof/checkpoints.ts'
import type { Origin } from '../../record/project/format.ts'
import type { ReceiverPost } from '../../record/sinks/receiver.ts'
import { permitUrl } from '../operator-permit.ts'
import type { SinkEnvironment } from '../sink-secrets.ts'

/** What they are started with besides their feed. */
export interface ReceiverParts {
  readonly dialer: Dialer
  readonly environment: SinkEnvironment
  readonly version: string
  readonly config: { readonly limits: Limits }
  readonly records: { readonly checkpoints: Pick<Checkpoints, 'view'> }
}

/** Posts to the endpoint of a URL alone. */
export function postTo(key: string, url: string, { dialer, config }: ReceiverParts): ReceiverPost {
  const { pathname, search } = new URL(url)
  const permit = permitUrl(key, new URL(url))
  const poster = new HttpPoster(dialer, permit, `${pathname}${search}`, config.limits)
  return (body, headers, signal, keep) => poster.post(body, headers, signal, keep)
}

/** Where records are from, as those forms say it that leave the sidecar. */
export function originOf({ version, records }: ReceiverParts): Origin {
  return { version, journal: records.checkpoints.view.journal }
}
