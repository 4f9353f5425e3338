// Starts the HTTP sink: an operator's permit for its URL, its secrets, and the form that its records take. Loaded by `sinks.ts` when there is
// one.

import { projectionFor } from '../../record/project/load.ts'
import type { FeedOptions, SinkFeed } from '../../record/sinks/feed.ts'
import { startHttpSink, type HttpForm } from '../../record/sinks/http.ts'
import type { HttpSinkDefinition } from '../sink-definition.ts'
import { readSinkHeaders } from '../sink-secrets.ts'
import { originOf, postTo, type ReceiverParts } from './receivers.ts'

/** Starts an HTTP sink. @throws Error where a secret cannot be read */
export function startHttp(
  { name, url, format, headers, compress }: HttpSinkDefinition,
  feed: FeedOptions,
  options: ReceiverParts,
): SinkFeed {
  const key = `sinks.${name}`
  const { pathname, search } = new URL(url)
  return startHttpSink({
    ...feed,
    limits: options.config.limits,
    path: `${pathname}${search}`,
    headers: readSinkHeaders(key, headers, options.environment),
    compress,
    ...(format !== 'ndjson' && { form: formOf(format, options) }),
    post: postTo(key, url, options),
  })
}

function formOf(
  format: Exclude<HttpSinkDefinition['format'], 'ndjson'>,
  options: ReceiverParts,
): HttpForm {
  const origin = originOf(options)
  const isEvents = format === 'cloudevents'
  return {
    type: isEvents ? 'application/cloudevents-batch+json' : 'application/x-ndjson',
    framing: isEvents ? 'array' : 'lines',
    load: async () => {
      const project = await projectionFor(format)
      return (record) => project(record, origin)
    },
  }
}
