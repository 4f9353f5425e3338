// Which files a sandbox must not see: those that the configuration keeps secrets and its own affairs in, and those that people
// keep theirs in. Pure: names paths, whether they are there or not. Called by `places.ts`.

import { localSourcesOf } from '../credentials/source-definition.ts'
import type { Config } from '../config/config.ts'
import type { SinkDefinition, SinkSecret } from '../config/sink-definition.ts'
import type { ListenAddress } from '../config/units.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Below a home directory: what proves who somebody is to somebody else. */
const PERSONAL: readonly string[] = [
  '.ssh',
  '.gnupg',
  '.aws',
  '.azure',
  '.kube',
  '.docker',
  '.config/gcloud',
  '.config/gh',
  '.config/glab-cli',
  '.config/hub',
  '.config/git/credentials',
  '.config/containers/auth.json',
  '.config/op',
  '.config/doctl',
  '.config/rclone',
  '.config/google-chrome',
  '.config/chromium',
  '.mozilla',
  '.netrc',
  '.git-credentials',
  '.npmrc',
  '.yarnrc.yml',
  '.pypirc',
  '.pgpass',
  '.my.cnf',
  '.vault-token',
  '.password-store',
  '.local/share/keyrings',
  '.terraform.d/credentials.tfrc.json',
  '.cargo/credentials',
  '.cargo/credentials.toml',
  '.gem/credentials',
  '.m2/settings-security.xml',
]

/** Paths of secrets in home directories. */
export function personalFiles(homes: readonly string[]): string[] {
  return homes.flatMap((home) => PERSONAL.map((name) => `${home}/${name}`))
}

/** Directories of the sidecar that are hidden whole. */
export function ownDirectories({ stateDir, journal }: Config): string[] {
  return [stateDir, journal.dir]
}

/** Files besides the rules that say what is let through, and to whom: read at the next start, if not before. */
export function governingFiles(config: Config): string[] {
  const { file, ca, upstream, identity, control } = config
  const { jwt, clientCaFile } = identity
  return [
    ca.dir,
    ...programFiles(config),
    ...defined(file, clientCaFile, control.tls?.certFile, control.tls?.clientCaFile),
    ...upstream.caFiles,
    ...(jwt !== undefined && 'file' in jwt.jwks ? [jwt.jwks.file] : []),
  ]
}

// What runs outside the sandbox with what the sidecar has. What the system brings is not the command's to change.
function programFiles({ credentials, hooks }: Config): string[] {
  const commands = [
    ...credentials.flatMap(({ source }) =>
      source.kind === 'exec' ? [source.command, source.revoke ?? []] : [],
    ),
    ...Object.values(hooks).map(({ exec }) => exec ?? []),
  ]
  return commands.flat().filter((word) => /^\/(?!(?:usr|bin|sbin|lib\w*)\/)./.test(word))
}

/** Files of the sidecar that hold secrets, and its sockets. */
export function ownFiles(config: Config, environment: Environment): string[] {
  const { control, listen } = config
  const { socks, proxy, health, transparent } = listen
  return [
    ...secretFiles(config, environment),
    ...[control.listen, proxy, health, socks, ...Object.values(transparent)].flatMap(socketOf),
  ]
}

/** Files of the sidecar that hold secrets. */
export function secretFiles(config: Config, environment: Environment): string[] {
  const { ca, control, credentials, sinks, reviewers } = config
  return [
    ca.keyFile,
    ...credentials
      .flatMap(({ source }) => localSourcesOf(source))
      .flatMap((local) => filesOf(local, environment)),
    ...sinks.flatMap((sink) => ofSink(sink, environment)),
    ...Object.values(reviewers).flatMap(({ webhook }) => filesOf(webhook.secret, environment)),
    ...defined(control.tokenFile, control.tls?.keyFile),
    ...control.principals.flatMap(({ proof }) => (proof.kind === 'token' ? [proof.file] : [])),
    ...proxyPasswords(config).flatMap((secret) => filesOf(secret, environment)),
  ]
}

/** Files that records are copied to: more come and go beside them. */
export function recordFiles({ sinks }: Config): string[] {
  return sinks.flatMap((sink) => (sink.kind === 'file' ? [sink.path] : []))
}

/** Names of the variables that secrets are read from. */
export function secretNames(config: Config): string[] {
  const { credentials, sinks, reviewers } = config
  const secrets = [
    ...proxyPasswords(config),
    ...credentials.flatMap(({ source }) => localSourcesOf(source)),
    ...sinks.flatMap(secretsOf),
    ...Object.values(reviewers).map(({ webhook }) => webhook.secret),
  ]
  return secrets.flatMap((secret) => ('env' in secret ? [secret.env] : []))
}

function proxyPasswords({ upstream }: Config): SinkSecret[] {
  return defined(upstream.proxy?.auth?.password)
}

function ofSink(sink: SinkDefinition, environment: Environment): string[] {
  const files = secretsOf(sink).flatMap((secret) => filesOf(secret, environment))
  if (sink.kind === 'nats') return [...files, ...defined(sink.credentialsFile, sink.clientKey)]
  return sink.kind === 'syslog' ? [...files, ...defined(sink.clientKey)] : files
}

function secretsOf(sink: SinkDefinition): SinkSecret[] {
  const headers = 'headers' in sink ? Object.values(sink.headers) : []
  return [
    ...headers,
    ...(sink.kind === 'splunk' ? [sink.token] : []),
    ...(sink.kind === 'elastic' ? defined(sink.apiKey) : []),
    ...(sink.kind === 'nats' ? defined(sink.token, sink.password) : []),
  ]
}

function filesOf(secret: SinkSecret, environment: Environment): string[] {
  if ('file' in secret) return [secret.file]
  return 'env' in secret ? defined(environment[`${secret.env}_FILE`]) : []
}

function socketOf(address: ListenAddress | undefined): string[] {
  return address?.kind === 'unix' ? [address.path] : []
}

function defined<Value>(...values: readonly (Value | undefined)[]): Value[] {
  return values.filter((value) => value !== undefined)
}
