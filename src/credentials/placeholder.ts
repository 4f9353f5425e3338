// What the sandbox may hold instead of a secret: derived from the task, so that it survives a restart and differs between
// tasks, and of the shape its client expects. Called by `store.ts`.

import { createHmac } from 'node:crypto'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
// The largest multiple of the alphabet's length in a byte: beyond it a character would be likelier than another.
const FAIR_MAX = 256 - (256 % ALPHABET.length)
/** Derived characters at the least, whatever length is asked for: fewer could be met by accident, or be guessed. */
const DERIVED_MIN = 16

/**
 * Derives a placeholder: the prefix, then letters and digits up to the length, 16 of them at the least.
 * @param key of the installation, 32 bytes
 */
export function derivePlaceholder(
  key: Uint8Array,
  taskId: string,
  credential: string,
  shape: { readonly prefix: string; readonly length: number },
): string {
  const length = Math.max(shape.length, shape.prefix.length + DERIVED_MIN)
  let text = shape.prefix
  for (let block = 0; text.length < length; block += 1) {
    const bytes = createHmac('sha256', key).update(`${taskId}\n${credential}\n${block}`).digest()
    for (const byte of bytes)
      if (byte < FAIR_MAX && text.length < length) text += ALPHABET[byte % ALPHABET.length]
  }
  return text
}
