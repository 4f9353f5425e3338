// What a record keeps of what was said: nothing, a digest, the words without secrets, or the words. Deliberately ignorant of
// what the words are: recognisers bring them in a normal form. Called by them and by `understand/`.

import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'

import type { ContentMode } from '../policy/subject.ts'
import { canonicalJson } from './canonical.ts'
import type { JsonValue, KeptContent } from './fields.ts'
import { isList, type JsonObject } from './json-values.ts'
import { isSecretMember, redactText, SECRET_VALUE } from './redact.ts'

/** Keeps content as the mode of a record says. */
export interface Keeper {
  /** What is kept; undefined where the mode is `off`. The digest is that of all that was said, whatever the mode. */
  keep(value: JsonValue, mode: ContentMode): KeptContent | undefined
}

/** What bounds a keeper, and what it never keeps. */
export interface KeeperOptions {
  /** Bytes of a value that is kept; what is beyond is cut, and the record says so. */
  readonly bytesMax: number
  /** Takes out of a text what no mode keeps: known secrets and placeholders. */
  readonly mask: (text: string) => string
}

/** Nesting beyond which a kept value is cut. */
const DEPTH_MAX = 128
// Quotes, a colon, a comma: what a member costs besides its name and value.
const MEMBER_COST_BYTES = 4
// Longer than the part of a secret by which it is known.
const SEEN_BEHIND = 8192

/** Makes what keeps content by one set of masks. */
export function makeKeeper(options: KeeperOptions): Keeper {
  return {
    keep: (value, mode) => {
      if (mode === 'off') return undefined
      const text = canonicalJson(value)
      const kept: KeptContent = { digest: digestOf(text), bytes: Buffer.byteLength(text) }
      if (mode === 'digest') return kept
      const cutter = new Cutter(options.bytesMax, options.mask, mode === 'redacted')
      const cut = cutter.cut(value)
      return { ...kept, value: cut, ...(cutter.isCut && { truncated: true }) }
    },
  }
}

function digestOf(canonical: string): string {
  return `sha256:${createHash('sha256').update(canonical).digest('hex')}`
}

// Copies a value until its bytes are spent: strings are cut, elements and members that come later are left out. Secrets are
// masked as it goes, so that what nobody keeps costs nothing.
class Cutter {
  isCut = false
  readonly #mask: (text: string) => string
  readonly #isRedacted: boolean
  #left: number

  /** @param isRedacted also what only looks like a secret is masked */
  constructor(bytesMax: number, mask: (text: string) => string, isRedacted: boolean) {
    this.#left = bytesMax
    this.#mask = mask
    this.#isRedacted = isRedacted
  }

  cut(value: JsonValue, depth = 0): JsonValue {
    if (typeof value === 'string') return this.#cutText(this.#show(value))
    if (typeof value !== 'object' || value === null) {
      this.#left -= String(value).length
      return value
    }
    if (depth >= DEPTH_MAX) {
      this.isCut = true
      return null
    }
    return isList(value) ? this.#cutList(value, depth) : this.#cutObject(value, depth)
  }

  // Of a long text as much as is kept, and more behind it, so that no secret is cut through before it is seen as one.
  #show(text: string): string {
    const lengthMax = this.#left + SEEN_BEHIND
    if (text.length <= lengthMax) return this.#redact(text)
    this.isCut = true
    return this.#redact(text.slice(0, lengthMax)).slice(0, -SEEN_BEHIND)
  }

  #redact(text: string): string {
    const masked = this.#mask(text)
    return this.#isRedacted ? redactText(masked) : masked
  }

  #showMember(name: string, member: JsonValue): JsonValue {
    const isSecret = this.#isRedacted && typeof member === 'string' && isSecretMember(name, member)
    return isSecret ? SECRET_VALUE : member
  }

  #cutText(text: string): string {
    const bytes = Buffer.byteLength(text)
    if (bytes <= this.#left) {
      this.#left -= bytes
      return text
    }
    this.isCut = true
    const whole = Buffer.from(text).subarray(0, Math.max(this.#left, 0))
    this.#left = 0
    // A character that the cut goes through is left out.
    return new TextDecoder().decode(whole, { stream: true })
  }

  #cutList(list: readonly JsonValue[], depth: number): JsonValue {
    const kept: JsonValue[] = []
    for (const item of list) {
      if (!this.#hasRoom(1)) break
      kept.push(this.cut(item, depth + 1))
    }
    return kept
  }

  #cutObject(object: JsonObject, depth: number): JsonValue {
    const kept: [string, JsonValue][] = []
    for (const [name, member] of Object.entries(object)) {
      const shown = this.#show(name)
      if (!this.#hasRoom(Buffer.byteLength(shown) + MEMBER_COST_BYTES)) break
      kept.push([shown, this.cut(this.#showMember(name, member), depth + 1)])
    }
    return Object.fromEntries(kept)
  }

  #hasRoom(bytes: number): boolean {
    if (this.#left < bytes) {
      this.isCut = true
      this.#left = 0
      return false
    }
    this.#left -= bytes
    return true
  }
}
