// The secrets of a sidecar as its configuration describes them: the store of credentials, and what keeps their values out of all
// that is written down. Called by `sidecar.ts`.

import { KnownSecrets } from '../credentials/known-secrets.ts'
import { CredentialStore } from '../credentials/store.ts'
import { Redactor } from '../inspect/redactor.ts'
import { compileRe2 } from '../policy/re2.ts'
import type { Config } from './config.ts'
import { placeholderKey } from './placeholder-key.ts'

/** Credentials, and what masks them. */
export interface Secrets {
  readonly credentials: CredentialStore
  readonly redactor: Redactor
}

/** Takes secrets out of the lines of the log, once there are any. */
export interface LogGuard {
  mask: (line: string) => string
}

/** Makes both; values are known once they are read. */
export function openSecrets(
  config: Pick<Config, 'credentials' | 'limits' | 'redact' | 'sinks' | 'stateDir'>,
  environment: Readonly<Record<string, string | undefined>>,
  guard: LogGuard,
): Secrets {
  const known = new KnownSecrets()
  const credentials = new CredentialStore(config.credentials, {
    environment,
    limits: config.limits,
    placeholderKey: placeholderKey(config.stateDir),
    known,
  })
  learnSinkHeaders(config.sinks, known)
  const injected = config.credentials.flatMap(({ inject }) =>
    inject.kind === 'query' ? [inject.name] : [],
  )
  const redactor = new Redactor(known, {
    patterns: config.redact.patterns.map(patternOf),
    query: [...config.redact.query, ...injected],
  })
  guard.mask = (line) => redactor.known(line, undefined)
  return { credentials, redactor }
}

// What a sink authenticates with is written in its headers: the last word of them is what matters.
function learnSinkHeaders(sinks: Config['sinks'], known: KnownSecrets): void {
  for (const sink of sinks)
    if ('headers' in sink)
      for (const [name, value] of Object.entries(sink.headers))
        if (/auth|token|key|secret/i.test(name))
          known.learn(`${sink.name} ${name}`, value.split(' ').at(-1) ?? '')
}

// What is empty where it is found is no find.
function patternOf(written: string): (text: string) => string {
  const compiled = compileRe2(written)
  if ('fault' in compiled) throw new Error(`\`${written}\` is no RE2 expression`)
  return (text) => {
    const matcher = compiled.matcher(text)
    let masked = ''
    let from = 0
    while (matcher.find()) {
      if (matcher.end() === matcher.start()) continue
      masked += `${text.slice(from, matcher.start())}[secret:pattern]`
      from = matcher.end()
    }
    return from === 0 ? text : masked + text.slice(from)
  }
}
