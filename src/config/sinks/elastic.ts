// Starts the sink for Elasticsearch and OpenSearch as the configuration describes it. Loaded by `sinks.ts` when there is one.

import type { FeedOptions, SinkFeed } from '../../record/sinks/feed.ts'
import { bulkPath, startElasticSink } from '../../record/sinks/elastic.ts'
import type { ElasticSinkDefinition } from '../sink-definition.ts'
import { readSinkHeaders, readSinkSecret } from '../sink-secrets.ts'
import { postTo, type ReceiverParts } from './receivers.ts'

/** Starts an Elasticsearch sink. @throws Error where a secret cannot be read */
export function startElastic(
  { name, url, index, headers, apiKey, compress }: ElasticSinkDefinition,
  feed: FeedOptions,
  options: ReceiverParts,
): SinkFeed {
  const key = `sinks.${name}`
  const written = readSinkHeaders(key, headers, options.environment)
  return startElasticSink({
    ...feed,
    limits: options.config.limits,
    path: bulkPath(new URL(url), index),
    headers:
      apiKey === undefined
        ? written
        : {
            ...written,
            authorization: `ApiKey ${readSinkSecret(`${key}.apiKey`, apiKey, options.environment)}`,
          },
    compress,
    post: postTo(key, url, options),
  })
}
