// The secrets that the sidecar itself has, besides the credentials that it injects: what its sinks and hooks prove themselves
// with, and the tokens of its control API. Read once, so that no record has one; whether they can be used is not judged here.
// Called by `secrets.ts`.

import { readFileSync, statSync } from 'node:fs'

import type { Config } from './config.ts'
import type { SinkDefinition, SinkSecret } from './sink-definition.ts'
import { readSinkSecret, type SinkEnvironment } from './sink-secrets.ts'

/** What has such secrets. */
export type SecretOwners = Pick<Config, 'sinks' | 'hooks' | 'control' | 'reviewers'>

type Named = [name: string, value: string]

const SECRET_HEADER = /auth|cookie|token|key|secret/i
const FILE_BYTES_MAX = 64 * 1024
// The seed of an nkey in a NATS credentials file; what else is secret there is a JWT.
const NATS_SEED = /\bS[A-Z][A-Z2-7]{56}\b/g

/** Lists them with names that say whose they are; what cannot be read is left out, and told when it is needed. */
export function ownSecrets(
  { sinks, hooks, control, reviewers }: SecretOwners,
  environment: SinkEnvironment,
): Named[] {
  return [
    ...sinks.flatMap((sink) => ofSink(sink, environment)),
    ...Object.entries(hooks).flatMap(([name, { http }]) =>
      Object.entries(http?.headers ?? {})
        .filter(([field]) => SECRET_HEADER.test(field))
        .flatMap(([field, value]) => named(`hook ${name} ${field}`, valuesIn(value))),
    ),
    ...Object.entries(reviewers).flatMap(([name, { webhook }]) =>
      secretValues(`reviewer ${name}`, webhook.secret, environment),
    ),
    ...ofControl(control),
  ]
}

function secretValues(name: string, secret: SinkSecret, environment: SinkEnvironment): Named[] {
  try {
    return named(name, valuesIn(readSinkSecret(name, secret, environment)))
  } catch {
    return []
  }
}

function ofSink(sink: SinkDefinition, environment: SinkEnvironment): Named[] {
  const found = secretsOf(sink).flatMap(([key, secret]) =>
    secretValues(`${sink.name} ${key}`, secret, environment),
  )
  if (sink.kind !== 'nats' || sink.credentialsFile === undefined) return found
  return [
    ...found,
    ...named(`${sink.name} seed`, readText(sink.credentialsFile).match(NATS_SEED) ?? []),
  ]
}

// What is read from elsewhere was meant to be a secret, whatever its field is called.
function secretsOf(sink: SinkDefinition): [key: string, secret: SinkSecret][] {
  const found = Object.entries('headers' in sink ? sink.headers : {}).filter(
    ([field, secret]) => !('text' in secret) || SECRET_HEADER.test(field),
  )
  for (const key of ['token', 'apiKey', 'password'] as const) {
    const secret: SinkSecret | undefined = Reflect.get(sink, key)
    if (secret !== undefined) found.push([key, secret])
  }
  return found
}

function ofControl({ tokenFile, principals }: Config['control']): Named[] {
  const files = principals.flatMap(({ proof }) => (proof.kind === 'token' ? [proof.file] : []))
  return [...(tokenFile === undefined ? [] : [tokenFile]), ...files].flatMap((file) =>
    named(`control ${file}`, [readText(file).trim()]),
  )
}

// Of `Bearer …` also what stands behind it, of `Basic …` also the password in it.
function valuesIn(value: string): string[] {
  const [, scheme = '', rest] = /^(\S+) +(\S+)$/.exec(value) ?? []
  if (rest === undefined) return [value]
  if (scheme.toLowerCase() !== 'basic') return [value, rest]
  const decoded = Buffer.from(rest, 'base64').toString('latin1')
  return [value, rest, decoded.slice(decoded.indexOf(':') + 1)]
}

function named(name: string, values: readonly string[]): Named[] {
  return values.map((value, at) => [`${name} ${String(at)}`, value])
}

function readText(file: string): string {
  try {
    const stats = statSync(file)
    // Opening a pipe would wait for its writer.
    return stats.isFile() && stats.size <= FILE_BYTES_MAX ? readFileSync(file, 'utf8') : ''
  } catch {
    return ''
  }
}
