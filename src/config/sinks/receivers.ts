// Starts the sinks for receivers that answer by a protocol of their own over HTTP: OTLP, Splunk, Elasticsearch. Each gets an
// operator's permit for the endpoint of its URL alone. Called by `sinks.ts`.

import type { Limits } from '../../limits.ts'
import type { Dialer } from '../../net/dial.ts'
import { HttpPoster } from '../../net/http-client.ts'
import type { Checkpoints } from '../../record/checkpoints.ts'
import type { Origin } from '../../record/project/format.ts'
import { bulkPath, startElasticSink } from '../../record/sinks/elastic.ts'
import type { FeedOptions, SinkFeed } from '../../record/sinks/feed.ts'
import { logsPath, startOtlpSink } from '../../record/sinks/otlp.ts'
import type { ReceiverPost } from '../../record/sinks/receiver.ts'
import { channelOf, collectorPaths, startSplunkSink } from '../../record/sinks/splunk.ts'
import { permitUrl } from '../operator-permit.ts'
import type {
  ElasticSinkDefinition,
  OtlpSinkDefinition,
  SplunkSinkDefinition,
} from '../sink-definition.ts'
import { readSinkHeaders, readSinkSecret, type SinkEnvironment } from '../sink-secrets.ts'

/** What they are started with besides their feed. */
export interface ReceiverParts {
  readonly dialer: Dialer
  readonly environment: SinkEnvironment
  readonly version: string
  readonly config: { readonly limits: Limits }
  readonly records: { readonly checkpoints: Pick<Checkpoints, 'view'> }
}

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
