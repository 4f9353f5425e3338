// What sending a request upstream needs, whichever version of HTTP it goes by. Types only; made by `pipeline.ts`.

import type { Limits } from '../limits.ts'
import type { CallPermit } from '../net/permit.ts'
import type { Body, RawHeaders } from '../wire/body.ts'
import type { CanonicalRequest } from '../wire/receive.ts'
import type { UpstreamPool } from './pool.ts'

/** What sending needs. */
export interface SendOptions {
  readonly pool: UpstreamPool
  readonly limits: Pick<Limits, 'bufferBytesMax' | 'responseHeadBytesMax'>
  readonly permit: CallPermit
  readonly request: CanonicalRequest
  readonly body: Body
  readonly onInformational: (status: number, headers: RawHeaders) => void
}
