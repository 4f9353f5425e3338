// Starts the sink for Splunk as the configuration describes it. Loaded by `sinks.ts` when there is one.

import type { FeedOptions, SinkFeed } from '../../record/sinks/feed.ts'
import { channelOf, collectorPaths, startSplunkSink } from '../../record/sinks/splunk.ts'
import type { SplunkSinkDefinition } from '../sink-definition.ts'
import { readSinkSecret } from '../sink-secrets.ts'
import { originOf, postTo, type ReceiverParts } from './receivers.ts'

/** Starts a Splunk sink. @throws Error where a secret cannot be read */
export function startSplunk(
  { name, url, token, acknowledge, index, sourcetype, compress }: SplunkSinkDefinition,
  feed: FeedOptions,
  options: ReceiverParts,
): SinkFeed {
  const key = `sinks.${name}`
  return startSplunkSink({
    ...feed,
    limits: options.config.limits,
    paths: collectorPaths(new URL(url)),
    token: readSinkSecret(`${key}.token`, token, options.environment),
    channel: channelOf(originOf(options).journal, name),
    acknowledge,
    index,
    sourcetype,
    compress,
    post: postTo(key, url, options),
  })
}
