// Values that the operator keeps on this machine: in the environment, or in a file that is read again when it changes. Errors
// name the credential and why, never the value. Called by `store.ts`.

import { statSync, type Stats } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'

import { EgressError } from '../errors.ts'
import { HEAD_KINDS, type Injection } from './definition.ts'
import type { KnownSecrets } from './known-secrets.ts'
import { revealAll } from './reveal.ts'
import type { Secret } from './secret.ts'
import type { LocalSource } from './source-definition.ts'
import { makeSecret } from './vault.ts'

/** Where the value of one credential comes from. */
export interface SecretSource {
  /** Whether it may have another value later. */
  readonly mayChange: boolean
  /** Gives the value as it is now. @throws credential-unavailable */
  secret(): Promise<Secret>
}

/** What tells one state of a file from another. */
type Stamp = Pick<Stats, 'ino' | 'size' | 'mtimeMs' | 'ctimeMs'>

interface Kept {
  readonly stamp: Stamp
  /** Whether a later write must show in the stamp. */
  readonly settled: boolean
  readonly secret: Secret
}

// RFC 9110 section 5.5, without the tab and beyond-ASCII: what may stand in a field value without being changed.
const HEADER_TEXT = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/
const NEWLINE_BYTES_MAX = 2
// File times move in ticks of some milliseconds: two writes within one are told apart by neither time nor size.
const TICK_MS = 100

/** How the text of a source is read: as what stands in a header, as any text, or as a JSON object whose members are the parts. */
export type LocalForm = 'header' | 'text' | 'parts'

/** What opening a source needs. */
export interface LocalSourceOptions {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly bytesMax: number
  /** Default: `header`. */
  readonly form?: LocalForm
  /** Told of every value that is read. */
  readonly known?: KnownSecrets | undefined
}

/** Opens a source; `NAME_FILE` stands in for a variable that is not set. @param name the credential's, or the key it is for */
export function openSource(
  name: string,
  source: LocalSource,
  options: LocalSourceOptions,
): SecretSource {
  const { environment } = options
  if ('file' in source) return new SecretFile(name, source.file, options)
  const value = environment[source.env]
  const file = environment[`${source.env}_FILE`]
  if (value === undefined && file !== undefined) return new SecretFile(name, file, options)
  let secret: Secret | undefined
  return {
    mayChange: false,
    secret: async () => {
      if (value === undefined) throw unavailable(name, 'the variable is not set')
      return (secret ??= keepValue(name, value, options))
    },
  }
}

class SecretFile implements SecretSource {
  readonly mayChange = true
  readonly #name: string
  readonly #file: string
  readonly #options: LocalSourceOptions
  #kept: Kept | undefined
  #reading: Promise<Secret> | undefined

  constructor(name: string, file: string, options: LocalSourceOptions) {
    this.#name = name
    this.#file = file
    this.#options = options
  }

  async secret(): Promise<Secret> {
    // Synchronous on purpose: every call with this credential asks, and a local stat costs less than a trip to the threads.
    let stats: Stats
    try {
      stats = statSync(this.#file)
    } catch (error) {
      throw unavailable(this.#name, 'the file cannot be read', error)
    }
    // Opening a pipe would wait for its writer.
    if (!stats.isFile()) throw unavailable(this.#name, 'it is not a regular file')
    if (this.#kept?.settled && isSame(this.#kept.stamp, stats)) return this.#kept.secret
    this.#reading ??= this.#read().finally(() => (this.#reading = undefined))
    return this.#reading
  }

  async #read(): Promise<Secret> {
    this.#kept = undefined
    const handle = await open(this.#file, 'r').catch((error: unknown) => {
      throw unavailable(this.#name, 'the file cannot be read', error)
    })
    try {
      const before = await handle.stat()
      const value = await readText(handle, this.#options.bytesMax + NEWLINE_BYTES_MAX + 1)
      const stamp = await handle.stat()
      const settled =
        isSame(before, stamp) && Date.now() - Math.max(stamp.mtimeMs, stamp.ctimeMs) > TICK_MS
      const secret = keepValue(this.#name, value, this.#options)
      this.#kept = { stamp, settled, secret }
      return secret
    } finally {
      await handle.close()
    }
  }
}

function isSame(one: Stamp, other: Stamp): boolean {
  return (
    one.ino === other.ino &&
    one.size === other.size &&
    one.mtimeMs === other.mtimeMs &&
    one.ctimeMs === other.ctimeMs
  )
}

async function readText(handle: FileHandle, bytesMax: number): Promise<string> {
  const buffer = Buffer.alloc(bytesMax)
  let length = 0
  for (;;) {
    const { bytesRead } = await handle.read(buffer, length, bytesMax - length, length)
    length += bytesRead
    if (bytesRead === 0 || length === bytesMax) break
  }
  const text = buffer.toString('latin1', 0, length)
  buffer.fill(0)
  return text
}

function keepValue(name: string, text: string, options: LocalSourceOptions): Secret {
  const { bytesMax, form = 'header', known } = options
  const value = text.replace(/\r?\n$/, '')
  if (value === '') throw unavailable(name, 'the value is empty')
  if (value.length > bytesMax) throw unavailable(name, 'the value is too long')
  // Anything else would break the head it stands in, or be changed on the way.
  if (form === 'header' && !HEADER_TEXT.test(value))
    throw unavailable(name, 'the value has characters that no header may have')
  const parts = form === 'parts' ? readParts(name, value) : undefined
  for (const part of parts === undefined ? [value] : Object.values(parts)) known?.learn(name, part)
  return parts === undefined
    ? makeSecret(name, value)
    : makeSecret(name, parts['value'] ?? '', parts)
}

function readParts(name: string, text: string): Record<string, string> {
  let read: unknown
  try {
    read = JSON.parse(text)
  } catch {
    // Its message would quote the text.
    throw unavailable(name, 'the value is no JSON')
  }
  const parts = typeof read === 'object' && read !== null ? Object.entries(read) : []
  if (parts.length === 0 || !parts.every(isPart))
    throw unavailable(name, 'the value is no JSON object of texts')
  return Object.fromEntries(parts)
}

function isPart(member: [string, unknown]): member is [string, string] {
  return typeof member[1] === 'string' && member[1] !== ''
}

function unavailable(name: string, why: string, cause?: unknown): EgressError {
  return new EgressError(
    'credential-unavailable',
    { credential: name, why },
    cause === undefined ? {} : { cause },
  )
}

/** The form of a text that an injection puts somewhere: what stands in a head is checked for it, the rest where it is used. */
export function formFor(format: 'text' | 'json', { kind }: Injection): LocalForm {
  if (format === 'json') return 'parts'
  return HEAD_KINDS.includes(kind) ? 'header' : 'text'
}

/** Reads a source again; undefined where it has nothing, or still what an upstream refused. */
export async function readOther(
  source: SecretSource,
  refused: Secret,
): Promise<Secret | undefined> {
  try {
    // A file that was written anew with what was in it gives another Secret of the same value.
    const secret = await source.secret()
    const before = revealAll(refused, 'telling whether it changed')
    const now = revealAll(secret, 'telling whether it changed')
    const isUnchanged = now.length === before.length && now.every((text, at) => text === before[at])
    return isUnchanged ? undefined : secret
  } catch (error) {
    if (error instanceof EgressError) return undefined
    throw error
  }
}
