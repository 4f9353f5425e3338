// Reads the secrets of sinks (tokens, passwords, header values) from where the configuration says, once, at the start. A
// message names the key and why, never the value. Called by `sinks.ts` and by what starts one kind of sink.

import { readFileSync, statSync } from 'node:fs'

import type { SinkSecret } from './sink-definition.ts'

/** Variables of the process, by name. */
export type SinkEnvironment = Readonly<Record<string, string | undefined>>

// RFC 9110 section 5.5: what may stand in a field value without being changed; other protocols take no more.
const PRINTABLE_ASCII = /^[\t\x20-\x7e]*$/
const SECRET_BYTES_MAX = 64 * 1024

/**
 * Reads one secret; `NAME_FILE` stands in for a variable that is not set, and one newline at a file's end is not part of it.
 * @param key the configuration's key, for the message
 * @throws Error saying which key and why
 */
export function readSinkSecret(
  key: string,
  secret: SinkSecret,
  environment: SinkEnvironment,
): string {
  if ('text' in secret) return secret.text
  if ('file' in secret) return checked(key, readSecretFile(key, secret.file))
  const value = environment[secret.env]
  if (value !== undefined) return checked(key, value)
  const file = environment[`${secret.env}_FILE`]
  if (file === undefined) throw new Error(`\`${key}\`: the variable ${secret.env} is not set`)
  return checked(key, readSecretFile(key, file))
}

/** Reads the secrets of header fields. @throws Error saying which key and why */
export function readSinkHeaders(
  key: string,
  headers: Readonly<Record<string, SinkSecret>>,
  environment: SinkEnvironment,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, secret]) => [
      name.toLowerCase(),
      readSinkSecret(`${key}.headers.${name}`, secret, environment),
    ]),
  )
}

function readSecretFile(key: string, file: string): string {
  try {
    const stats = statSync(file)
    // Opening a pipe would wait for its writer.
    if (stats.isFile() && stats.size <= SECRET_BYTES_MAX)
      return readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    throw new Error(`\`${key}\`: the file cannot be read`, { cause: error })
  }
  throw new Error(`\`${key}\`: expected a regular file of ${SECRET_BYTES_MAX} bytes at the most`)
}

function checked(key: string, value: string): string {
  if (value === '') throw new Error(`\`${key}\`: the value is empty`)
  if (!PRINTABLE_ASCII.test(value)) throw new Error(`\`${key}\`: expected printable ASCII`)
  return value
}
