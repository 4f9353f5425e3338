// The secrets of a sidecar as its configuration describes them: the store of credentials, and what keeps their values out of all
// that is written down. Called by `sidecar.ts`.

import { KnownSecrets } from '../credentials/known-secrets.ts'
import { CredentialStore } from '../credentials/store.ts'
import { Redactor } from '../inspect/redactor.ts'
import { compileRe2 } from '../policy/re2.ts'
import type { Config } from './config.ts'
import { placeholderKey } from './placeholder-key.ts'
import type { SinkDefinition, SinkSecret } from './sink-definition.ts'
import { readSinkSecret, type SinkEnvironment } from './sink-secrets.ts'

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
  learnSinkSecrets(config.sinks, environment, known)
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

// Of a header that says `Bearer …`, the last word is what matters. What cannot be read is told when its sink starts.
function learnSinkSecrets(
  sinks: Config['sinks'],
  environment: SinkEnvironment,
  known: KnownSecrets,
): void {
  for (const sink of sinks)
    for (const [key, secret] of secretsOf(sink)) {
      try {
        const value = readSinkSecret(key, secret, environment)
        known.learn(`${sink.name} ${key}`, value.split(' ').at(-1) ?? '')
      } catch {
        continue
      }
    }
}

function secretsOf(sink: SinkDefinition): [key: string, secret: SinkSecret][] {
  const named = Object.entries('headers' in sink ? sink.headers : {}).filter(([name]) =>
    /auth|token|key|secret/i.test(name),
  )
  for (const key of ['token', 'apiKey', 'password'] as const) {
    const secret: SinkSecret | undefined = Reflect.get(sink, key)
    if (secret !== undefined) named.push([key, secret])
  }
  return named
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
