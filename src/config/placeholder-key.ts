// The key that placeholders are derived with: made once for an installation and kept in the state directory, so that a
// placeholder is the same over restarts and in `sallyport env`. Called by `secrets.ts`, `oversight.ts` and `cli/env.ts`.

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

/**
 * Reads the key, or makes it where there is none: 32 random bytes, readable by the owner alone.
 * @throws Error where the directory cannot be written, or the file is not such a key
 */
export function placeholderKey(stateDir: string): Buffer {
  const file = path.join(stateDir, KEY_FILE)
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
  if (key.length !== KEY_BYTES) throw new Error(`${file} is not a placeholder key: remove it`)
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
