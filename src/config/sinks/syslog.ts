// Starts a syslog sink as the configuration describes it. Loaded by `sinks.ts` when there is one.

import { hostname } from 'node:os'

import { streamOpener } from '../../net/operator-stream.ts'
import { projectionFor } from '../../record/project/load.ts'
import type { FeedOptions, SinkFeed } from '../../record/sinks/feed.ts'
import { startSyslogSink } from '../../record/sinks/syslog.ts'
import { permitEndpoint } from '../operator-permit.ts'
import type { SyslogSinkDefinition } from '../sink-definition.ts'
import { originOf, type ReceiverParts } from './receivers.ts'
import { openTlsClient } from './tls-client.ts'

/** Starts it. @throws Error where a file of its TLS cannot be read */
export function startSyslog(
  definition: SyslogSinkDefinition,
  feed: FeedOptions,
  options: ReceiverParts,
): SinkFeed {
  const { address, insecurePlaintext, facility, appName, format } = definition
  const key = `sinks.${definition.name}`
  return startSyslogSink({
    ...feed,
    limits: options.config.limits,
    sender: { facility, appName, hostname: hostname() },
    open: streamOpener(options.dialer, permitEndpoint(key, address, !insecurePlaintext), {
      client: openTlsClient(key, definition),
    }),
    ...(format !== 'ndjson' && {
      loadForm: async () => {
        const project = await projectionFor(format)
        const origin = originOf(options)
        return (record) => project(record, origin)
      },
    }),
  })
}
