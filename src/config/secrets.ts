// The secrets of a sidecar as its configuration describes them: the store of credentials, and what keeps their values out of all
// that is written down. Called by `sidecar.ts`.

import { KnownSecrets } from '../credentials/known-secrets.ts'
import { openSource, type SecretSource } from '../credentials/local-source.ts'
import { CredentialStore } from '../credentials/store.ts'
import { Redactor } from '../inspect/redactor.ts'
import { compileRe2 } from '../policy/re2.ts'
import type { Dialer } from '../net/dial.ts'
import type { TaskRegistry } from '../tasks/registry.ts'
import type { Config } from './config.ts'
import { openIssuers } from './credentials/issuers.ts'
import { placeholderKey } from './placeholder-key.ts'
import { ownSecrets, type SecretOwners } from './own-secrets.ts'

/** Credentials, and what masks them. */
export interface Secrets {
  readonly credentials: CredentialStore
  readonly redactor: Redactor
  /** What this side proves itself to the proxy above with. */
  readonly proxyPassword: SecretSource | undefined
  /** Reads every value that there is, so that it is known before anybody can say it. */
  readonly readAll: () => Promise<void>
}

/** What is made after the secrets and needed once a task uses one. */
export interface SecretsAround {
  readonly dialer: Dialer
  readonly room: { readonly registry: Pick<TaskRegistry, 'ancestors'> }
}

/** Takes secrets out of the texts of the log, once there are any. */
export interface LogGuard {
  mask: (text: string) => string
}

/** Makes both; values are known once they are read. */
export function openSecrets(
  config: Pick<Config, 'credentials' | 'limits' | 'redact' | 'stateDir' | 'upstream'> &
    SecretOwners,
  environment: Readonly<Record<string, string | undefined>>,
  guard: LogGuard,
  around: () => SecretsAround,
): Secrets {
  const known = new KnownSecrets()
  const credentials = new CredentialStore(config.credentials, {
    environment,
    limits: config.limits,
    placeholderKey: placeholderKey(config.stateDir),
    known,
    issuers: openIssuers(config.credentials, {
      environment,
      limits: config.limits,
      known,
      dialer: () => around().dialer,
    }),
    above: (task) =>
      around()
        .room.registry.ancestors(task)
        ?.map((entry) => entry.task) ?? [],
  })
  for (const [name, value] of ownSecrets(config, environment)) known.learn(name, value)
  const injected = config.credentials.flatMap(({ inject }) =>
    inject.kind === 'query' ? [inject.name] : [],
  )
  const redactor = new Redactor(known, {
    patterns: config.redact.patterns.map(patternOf),
    query: [...config.redact.query, ...injected],
  })
  guard.mask = (text) => redactor.known(text, undefined)
  const proxyPassword = openProxyPassword(config, environment, known)
  return {
    credentials,
    redactor,
    proxyPassword,
    // What is not there is told by the call that needs it.
    readAll: async () => {
      await Promise.all([credentials.readAll(), proxyPassword?.secret().catch(() => undefined)])
    },
  }
}

function openProxyPassword(
  { upstream, limits }: Pick<Config, 'upstream' | 'limits'>,
  environment: Readonly<Record<string, string | undefined>>,
  known: KnownSecrets,
): SecretSource | undefined {
  const source = upstream.proxy?.auth?.password
  if (source === undefined) return undefined
  // No credential can have this name.
  return openSource('upstream.proxy', source, {
    environment,
    bytesMax: limits.secretBytesMax,
    known,
  })
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
      // What follows a find at once is one with it: an expression for single characters makes no text long.
      if (from === 0 || matcher.start() > from)
        masked += `${text.slice(from, matcher.start())}[secret:pattern]`
      from = matcher.end()
    }
    return from === 0 ? text : masked + text.slice(from)
  }
}
