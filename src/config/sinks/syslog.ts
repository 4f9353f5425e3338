// Starts a syslog sink as the configuration describes it. Called by `sinks.ts`.

import { hostname } from 'node:os'

import type { Dialer } from '../../net/dial.ts'
import { streamOpener } from '../../net/operator-stream.ts'
import type { Limits } from '../../limits.ts'
import type { FeedOptions, SinkFeed } from '../../record/sinks/feed.ts'
import { startSyslogSink } from '../../record/sinks/syslog.ts'
import { permitEndpoint } from '../operator-permit.ts'
import type { SyslogSinkDefinition } from '../sink-definition.ts'
import { openTlsClient } from './tls-client.ts'

/** Starts it. @throws Error where a file of its TLS cannot be read */
export function startSyslog(
  definition: SyslogSinkDefinition,
  feed: FeedOptions & { readonly limits: Limits },
  dialer: Dialer,
): SinkFeed {
  const { address, insecurePlaintext, facility, appName } = definition
  const key = `sinks.${definition.name}`
  return startSyslogSink({
    ...feed,
    sender: { facility, appName, hostname: hostname() },
    open: streamOpener(dialer, permitEndpoint(key, address, !insecurePlaintext), {
      client: openTlsClient(key, definition),
    }),
  })
}
