// Starts the configured sinks: each a feed from the journal, HTTP ones with an operator's permit for exactly their URL.
// Called by `sidecar.ts`.

import { HttpPoster } from '../net/http-client.ts'
import type { Dialer } from '../net/dial.ts'
import type { Limits } from '../limits.ts'
import type { Journal, RecordLog } from '../record/journal.ts'
import type { SinkFeed } from '../record/sinks/feed.ts'
import { startHttpSink } from '../record/sinks/http.ts'
import { startStdoutSink } from '../record/sinks/stdout.ts'
import type { SinkDefinition } from './config.ts'
import { permitUrl } from './operator-permit.ts'

/** What sinks are started with. */
export interface SinkOptions {
  readonly journal: Journal
  readonly stateDir: string
  readonly dialer: Dialer
  readonly limits: Limits
  readonly log: RecordLog
  readonly now: () => number
}

/** Starts every sink. */
export function startSinks(
  definitions: readonly SinkDefinition[],
  options: SinkOptions,
): SinkFeed[] {
  return definitions.map((definition) => startSink(definition, options))
}

function startSink(definition: SinkDefinition, options: SinkOptions): SinkFeed {
  const { journal, stateDir, limits, log, now } = options
  const feed = {
    name: definition.name,
    journal,
    stateDir,
    limits,
    log,
    now,
    all: definition.all,
    filter: definition.filter,
  }
  if (definition.kind === 'stdout') return startStdoutSink(feed)
  const url = new URL(definition.url)
  const permit = permitUrl(`sinks.${definition.name}`, url)
  const poster = new HttpPoster(options.dialer, permit, `${url.pathname}${url.search}`, limits)
  return startHttpSink({
    ...feed,
    headers: definition.headers,
    post: (body, headers, signal) => poster.post(body, headers, signal),
  })
}
