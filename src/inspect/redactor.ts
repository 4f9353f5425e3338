// Takes out of texts what must be in no record: secrets that are known, placeholders, what looks like a secret, what the
// configuration's patterns find; in URLs also the values of parameters that carry secrets by their names. What is taken out
// stands as `[secret:KIND]`, the rest as it was. Called by `record/` for every record, and by who keeps content.

import { decodePercent } from '../wire/percent.ts'
import { redactText, redactTokens } from './redact.ts'
import { DEFAULT_QUERY_NAMES, readParameterName } from './secret-names.ts'

/** The secrets that are known by their value: the values are where they belong, and this is all that is told of them. */
export interface KnownSecrets {
  /** How often what is known has changed. */
  readonly changes: number
  /** A text without the values of credentials, in any of the usual encodings. */
  maskValues(text: string): string
  /** A text without the placeholders of a task. */
  maskPlaceholders(text: string, taskId: string): string
}

/** Knows none. */
export const NO_SECRETS: KnownSecrets = {
  changes: 0,
  maskValues: (text) => text,
  maskPlaceholders: (text) => text,
}

/** What an operator adds. */
export interface RedactionRules {
  /** Each gives a text without what it finds. */
  readonly patterns: readonly ((text: string) => string)[]
  /** Further names of URL parameters. */
  readonly query: readonly string[]
}

/** What stands for the value of a parameter that carries a secret by its name. */
const PARAMETER = '[secret:parameter]'
// Twice decoded is what an upstream may do; the rest is against one more layer each of proxy and framework.
const DECODINGS_MAX = 4
const MASK = /\[secret:[a-z-]+\]/
const WHOLE_MASK = /^\[secret:[a-z-]+\]$/
const URI = /^([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s

// Shorter is nothing by which it would be known.
const SECRET_LENGTH_MIN = 8
const SEEN_MAX = 512
const SEEN_LENGTH_MAX = 256
// Longer, a piece of a text would keep all of it in memory.
const NAME_LENGTH_MAX = 12

const AMPERSAND = 0x26
const SLASH = 0x2f
const SEMICOLON = 0x3b
const EQUALS = 0x3d
const QUESTION_MARK = 0x3f
const END = -1

/** Redacts texts of every kind. */
export class Redactor {
  readonly #known: KnownSecrets
  readonly #patterns: RedactionRules['patterns']
  readonly #names: ReadonlySet<string>
  /** Texts in which nothing was found, by what was known then. */
  readonly #seen: Set<string> = new Set()
  #seenAt = 0
  /** Names of parameters, and whether they say that the value is a secret. */
  readonly #judged: Map<string, boolean> = new Map()

  constructor(known: KnownSecrets, rules: RedactionRules = { patterns: [], query: [] }) {
    this.#known = known
    this.#patterns = rules.patterns
    this.#names = new Set([...DEFAULT_QUERY_NAMES, ...rules.query].map(readParameterName))
  }

  /** A text without the values of credentials: for words of the sidecar's own, which no pattern is meant for. */
  values(text: string): string {
    return this.#known.maskValues(text)
  }

  /** A text without what is known to be secret: for words that are to be kept as they are otherwise. */
  known(text: string, taskId: string | undefined): string {
    let redacted = this.#known.maskValues(text)
    if (taskId !== undefined) redacted = this.#known.maskPlaceholders(redacted, taskId)
    for (const pattern of this.#patterns) redacted = pattern(redacted)
    return redacted
  }

  /** A text without anything that is or looks like a secret. */
  text(text: string, taskId: string | undefined): string {
    if (text.length < SECRET_LENGTH_MIN && this.#patterns.length === 0) return text
    if (this.#isSeen(text))
      return taskId === undefined ? text : this.#known.maskPlaceholders(text, taskId)
    const redacted = redactText(this.known(text, taskId))
    if (redacted === text && text.length <= SEEN_LENGTH_MAX) this.#seen.add(text)
    return redacted
  }

  // The same names of hosts and programs come with every call.
  #isSeen(text: string): boolean {
    if (this.#seenAt !== this.#known.changes || this.#seen.size >= SEEN_MAX) {
      this.#seen.clear()
      this.#seenAt = this.#known.changes
    }
    return this.#seen.has(text)
  }

  /** A path, parameters of its segments among it; what is masked in an encoded form takes its whole segment along. */
  path(path: string, taskId: string | undefined): string {
    const known = this.known(path, taskId)
    const named = known.includes(';') ? this.#maskNamed(known, endsPathPart) : known
    return this.#maskEncoded(redactTokens(named), taskId)
  }

  /** A query without its `?`; what is masked in an encoded form takes its whole value along. */
  query(query: string, taskId: string | undefined): string {
    if (query === '') return query
    const named = this.#maskNamed(this.known(query, taskId), endsParameter)
    return this.#maskEncoded(redactTokens(named), taskId)
  }

  /** Any URI, also one that is no URL. */
  uri(uri: string, taskId: string | undefined): string {
    const [, before = '', query, fragment] = URI.exec(uri) ?? []
    let redacted = this.path(before, taskId)
    if (query !== undefined) redacted += `?${this.query(query, taskId)}`
    if (fragment !== undefined) redacted += `#${this.query(fragment, taskId)}`
    // A secret may lie across the parts.
    return this.text(redacted, taskId)
  }

  // A character at a time, as nearly all of what is looked at stays as it is.
  #maskNamed(text: string, endsPart: (code: number) => boolean): string {
    if (!text.includes('=')) return text
    let masked = ''
    let done = 0
    let from = 0
    let equals = -1
    for (let at = 0; at <= text.length; at += 1) {
      const code = at < text.length ? text.charCodeAt(at) : END
      if (code === EQUALS && equals < 0) equals = at
      if (code !== END && !endsPart(code)) continue
      if (equals >= 0 && equals + 1 < at && this.#isSecretParameter(text.slice(from, equals))) {
        const value = text.slice(equals + 1, at)
        masked += text.slice(done, equals + 1) + (WHOLE_MASK.test(value) ? value : PARAMETER)
        done = at
      }
      from = at + 1
      equals = -1
    }
    return done === 0 ? text : masked + text.slice(done)
  }

  // The same few names come with nearly every call.
  #isSecretParameter(name: string): boolean {
    if (name.length > NAME_LENGTH_MAX) return this.#isSecretName(name)
    let isSecret = this.#judged.get(name)
    if (isSecret === undefined) {
      isSecret = this.#isSecretName(name)
      if (this.#judged.size >= SEEN_MAX) this.#judged.clear()
      this.#judged.set(name, isSecret)
    }
    return isSecret
  }

  // `user[password]` and `auth.token` too: the last of the names in a name.
  #isSecretName(name: string): boolean {
    let decoded = name
    for (let times = 0; times < 2 && decoded.includes('%'); times += 1)
      decoded = decodePercent(decoded)
    if (this.#names.has(readParameterName(decoded))) return true
    const last = decoded.split(/[[\].]+/).findLast((part) => part !== '')
    return last !== undefined && last !== decoded && this.#names.has(readParameterName(last))
  }

  #maskEncoded(text: string, taskId: string | undefined): string {
    if (!text.includes('%')) return text
    if (this.#findEncoded(text, taskId) === undefined) return text
    const masked = text
      .split(/([/&;=?]+)/)
      .map((unit) => this.#findEncoded(unit, taskId) ?? unit)
      .join('')
    // Across the parts.
    return this.#findEncoded(masked, taskId) ?? masked
  }

  // The mask of what shows once percent escapes are decoded; undefined where nothing does.
  #findEncoded(text: string, taskId: string | undefined): string | undefined {
    let encoded = text
    for (let times = 0; times < DECODINGS_MAX; times += 1) {
      const decoded = decodePercent(encoded)
      if (decoded === encoded) return undefined
      const redacted = redactTokens(this.known(decoded, taskId))
      if (redacted !== decoded) return MASK.exec(redacted)?.[0]
      encoded = decoded
    }
    return undefined
  }
}

function endsParameter(code: number): boolean {
  return code === AMPERSAND || code === SEMICOLON || code === QUESTION_MARK
}

function endsPathPart(code: number): boolean {
  return code === SLASH || code === SEMICOLON
}
