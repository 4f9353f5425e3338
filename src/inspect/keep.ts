// What a record keeps of what was said: nothing, a digest, the words without secrets, or the words. Deliberately ignorant of
// what the words are: recognisers bring them in a normal form. Called by them and by the pipeline.

import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'

import type { ContentMode } from '../policy/subject.ts'
import { canonicalJson } from './canonical.ts'
import type { JsonValue, KeptContent } from './fields.ts'
import { redactValue } from './redact.ts'

/** Keeps content as the mode of a record says. */
export interface Keeper {
  /** What is kept; undefined where the mode is `off`. The digest is that of all that was said, whatever the mode. */
  keep(value: JsonValue, mode: ContentMode): KeptContent | undefined
}

/** Bounds and masks of a keeper. */
export interface KeeperOptions {
  /** Bytes of a value that is kept; what is beyond is cut, and the record says so. */
  readonly bytesMax: number
  /** Texts that `redacted` masks wherever they stand: the task's placeholders. */
  readonly masks: readonly string[]
}

/** Nesting beyond which a kept value is cut. */
const DEPTH_MAX = 128
// More of a secret than its kind is known by: a user and password before the `@`, a placeholder.
const DOUBTFUL_BYTES = 2048
// Quotes, a colon, a comma: what a member costs besides its name and value.
const MEMBER_COST_BYTES = 4

/** Makes what keeps content by one set of masks. */
export function makeKeeper(options: KeeperOptions): Keeper {
  return {
    keep: (value, mode) => {
      if (mode === 'off') return undefined
      const text = canonicalJson(value)
      const kept: KeptContent = { digest: digestOf(text), bytes: Buffer.byteLength(text) }
      if (mode === 'digest') return kept
      return {
        ...kept,
        ...(mode === 'redacted' ? cutRedacted(value, options) : cut(value, options)),
      }
    },
  }
}

type Cut = Pick<KeptContent, 'value' | 'truncated'>

function cut(value: JsonValue, { bytesMax }: Pick<KeeperOptions, 'bytesMax'>): Cut {
  const cutter = new Cutter(bytesMax)
  return { value: cutter.cut(value), ...(cutter.isCut && { truncated: true }) }
}

// Looking for secrets takes far longer than cutting, so what is kept in no case is not looked at.
function cutRedacted(value: JsonValue, { bytesMax, masks }: KeeperOptions): Cut {
  const rough = new Cutter(2 * (bytesMax + DOUBTFUL_BYTES))
  const redacted = redactValue(rough.cut(value), masks)
  if (!rough.isCut) return cut(redacted, { bytesMax })
  // A secret that the rough cut went through is not known by its beginning. It stands at the end, which is left out.
  const all = new Cutter(Infinity)
  all.cut(redacted)
  const { value: kept = null } = cut(redacted, {
    bytesMax: Math.max(0, Math.min(bytesMax, all.spent - DOUBTFUL_BYTES)),
  })
  return { value: kept, truncated: true }
}

function digestOf(canonical: string): string {
  return `sha256:${createHash('sha256').update(canonical).digest('hex')}`
}

// Copies a value until its bytes are spent: strings are cut, elements and members that come later are left out.
class Cutter {
  isCut = false
  spent = 0
  readonly #bytesMax: number

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get #left(): number {
    return Math.max(0, this.#bytesMax - this.spent)
  }

  cut(value: JsonValue, depth = 0): JsonValue {
    if (typeof value === 'string') return this.#cutText(value)
    if (typeof value !== 'object' || value === null) {
      this.spent += String(value).length
      return value
    }
    if (depth >= DEPTH_MAX) {
      this.isCut = true
      return null
    }
    return isList(value) ? this.#cutList(value, depth) : this.#cutObject(value, depth)
  }

  #cutText(text: string): string {
    const bytes = Buffer.byteLength(text)
    if (bytes <= this.#left) {
      this.spent += bytes
      return text
    }
    this.isCut = true
    // No character has more code units than bytes: the rest need not be encoded.
    const whole = Buffer.from(text.slice(0, this.#left)).subarray(0, this.#left)
    this.spent = this.#bytesMax
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

  #cutObject(object: { readonly [key: string]: JsonValue }, depth: number): JsonValue {
    const kept: [string, JsonValue][] = []
    for (const [name, member] of Object.entries(object)) {
      if (!this.#hasRoom(Buffer.byteLength(name) + MEMBER_COST_BYTES)) break
      kept.push([name, this.cut(member, depth + 1)])
    }
    return Object.fromEntries(kept)
  }

  #hasRoom(bytes: number): boolean {
    if (this.#left < bytes) {
      this.isCut = true
      this.spent = this.#bytesMax
      return false
    }
    this.spent += bytes
    return true
  }
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value)
}
