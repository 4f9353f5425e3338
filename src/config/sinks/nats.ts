// Starts a NATS sink as the configuration describes it. Loaded by `sinks.ts` when there is one.

import { readFileSync } from 'node:fs'

import { streamOpener } from '../../net/operator-stream.ts'
import type { FeedOptions, SinkFeed } from '../../record/sinks/feed.ts'
import type { NatsLogin } from '../../record/sinks/nats-login.ts'
import { GREETING_BYTES_MAX } from '../../record/sinks/nats-protocol.ts'
import { startNatsSink } from '../../record/sinks/nats.ts'
import { normalizeHost } from '../../wire/authority.ts'
import { permitEndpoint } from '../operator-permit.ts'
import type { NatsSinkDefinition } from '../sink-definition.ts'
import { readSinkSecret, type SinkEnvironment } from '../sink-secrets.ts'
import type { ReceiverParts } from './receivers.ts'
import { openTlsClient } from './tls-client.ts'

/** Starts it. @throws Error where a secret or a file cannot be read, saying which and why */
export function startNats(
  definition: NatsSinkDefinition,
  feed: FeedOptions,
  { dialer, environment, version, config }: ReceiverParts,
): SinkFeed {
  const key = `sinks.${definition.name}`
  const url = new URL(definition.url)
  const tls = url.protocol === 'tls:'
  const endpoint = { ...normalizeHost(url.hostname), port: Number(url.port) }
  return startNatsSink({
    ...feed,
    limits: config.limits,
    subject: definition.subject,
    stream: definition.stream,
    tls,
    version,
    login: openLogin(key, definition, environment),
    open: streamOpener(dialer, permitEndpoint(key, endpoint, tls), {
      client: openTlsClient(key, definition),
      greetingBytesMax: GREETING_BYTES_MAX,
    }),
  })
}

/** Secrets are read once; a credentials file again for each connection, because what is in it expires. */
function openLogin(
  key: string,
  { token, user, password, credentialsFile }: NatsSinkDefinition,
  environment: SinkEnvironment,
): () => NatsLogin {
  if (credentialsFile !== undefined) {
    const read = (): string => readFileSync(credentialsFile, 'utf8')
    return () => ({ credentials: read() })
  }
  const login = {
    token: token && readSinkSecret(`${key}.token`, token, environment),
    user,
    password: password && readSinkSecret(`${key}.password`, password, environment),
  }
  return () => login
}
