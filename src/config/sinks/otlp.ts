// Starts the sink for OTLP over HTTP as the configuration describes it. Loaded by `sinks.ts` when there is one.

import type { FeedOptions, SinkFeed } from '../../record/sinks/feed.ts'
import { logsPath, startOtlpSink } from '../../record/sinks/otlp.ts'
import type { OtlpSinkDefinition } from '../sink-definition.ts'
import { readSinkHeaders } from '../sink-secrets.ts'
import { originOf, postTo, type ReceiverParts } from './receivers.ts'

/** Starts an OTLP sink. @throws Error where a secret cannot be read */
export function startOtlp(
  { name, url, headers, compress }: OtlpSinkDefinition,
  feed: FeedOptions,
  options: ReceiverParts,
): SinkFeed {
  const key = `sinks.${name}`
  return startOtlpSink({
    ...feed,
    limits: options.config.limits,
    path: logsPath(new URL(url)),
    origin: originOf(options),
    headers: readSinkHeaders(key, headers, options.environment),
    compress,
    post: postTo(key, url, options),
  })
}
