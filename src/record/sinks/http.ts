// The HTTP sink: batches of records as NDJSON in a POST. Deliberately opens no connection itself: `sidecar.ts` passes
// `net/`'s client for operators as a `Post`. Started by `sidecar.ts`.

import type { Limits } from '../../limits.ts'
import { joinLines, type Delivery } from './delivery.ts'
import { SinkFeed, type FeedOptions } from './feed.ts'

/** Sends a body to the one URL it was made for. */
export interface Post {
  (
    body: Uint8Array,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<{ status: number }>
}

/** How an HTTP sink is fed. */
export interface HttpSinkOptions extends FeedOptions {
  readonly limits: Pick<Limits, 'sinkBatchMax' | 'sinkTimeoutMs'>
  /** The operator's own; they may hold a secret, so they are in no message. */
  readonly headers: Readonly<Record<string, string>>
  readonly post: Post
}

/** Starts an HTTP sink; a receiver tells repeated records by `event.id`. */
export function startHttpSink(options: HttpSinkOptions): SinkFeed {
  const headers = { 'content-type': 'application/x-ndjson', ...options.headers }
  return new SinkFeed(options, async (records, closed) => {
    const signal = AbortSignal.any([closed, AbortSignal.timeout(options.limits.sinkTimeoutMs)])
    const { status } = await options.post(joinLines(records), headers, signal)
    return deliveryOf(status)
  })
}

/** What a status means for the batch; a redirect is a refusal, because records go where the operator said. */
export function deliveryOf(status: number): Delivery {
  if (status >= 200 && status < 300) return { outcome: 'taken' }
  if (status === 413) return { outcome: 'smaller' }
  if (status >= 300 && status < 500 && status !== 408 && status !== 429)
    return { outcome: 'refused' }
  return { outcome: 'later' }
}
