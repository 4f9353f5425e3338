// The keys that are made once for an installation and kept in the state directory: the one that placeholders are derived with, so
// that a placeholder is the same over restarts and in `sallyport env`, and others. Called by `secrets.ts`, `revocations.ts`,
// `oversight.ts` and `cli/env.ts`.

import { randomBytes } from 'node:crypto'
import {
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'

const KEY_FILE = 'placeholder.key'
const KEY_BYTES = 32

/** Reads the key of placeholders, or makes it. @throws Error as `installationKey` */
export function placeholderKey(stateDir: string): Buffer {
  return installationKey(stateDir, KEY_FILE)
}

/**
 * Reads a key, or makes it where there is none: 32 random bytes, readable by the owner alone.
 * @throws Error where the directory cannot be written, or the file is not such a key
 */
export function installationKey(stateDir: string, name: string): Buffer {
  const file = path.join(stateDir, name)
  return readKey(file) ?? makeKey(file)
}

function readKey(file: string): Buffer | undefined {
  let key: Buffer
  try {
    key = readFileSync(file)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  if (key.length !== KEY_BYTES)
    throw new Error(`${file} is not a key of 32 bytes: restore it, or move it away`)
  return key
}

/** A link appears whole or not at all, so that two processes at once agree on one key. */
function makeKey(file: string): Buffer {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 })
  const temporary = `${file}.${process.pid}`
  const descriptor = openSync(temporary, 'wx', 0o600)
  try {
    writeFileSync(descriptor, randomBytes(KEY_BYTES), { flush: true })
    linkSync(temporary, file)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  } finally {
    closeSync(descriptor)
    rmSync(temporary, { force: true })
  }
  return readKey(file) ?? makeKey(file)
}
