// Masks what looks like a secret in text and in values, keeping what kind of secret it was. Deliberately a best effort: who
// must not keep secrets at all keeps digests. Every pattern takes time linear in the text. Called by `keep.ts`.

import type { JsonValue } from './fields.ts'
import { isList } from './json-values.ts'

type Pattern = readonly [kind: string, pattern: RegExp]

// A look-behind keeps a run of word characters from being tried at each of its places, which would be quadratic.
const TOKENS: readonly Pattern[] = [
  ['anthropic-key', /(?<![\w-])sk-ant-[\w-]{8,}/g],
  ['openai-key', /(?<![\w-])sk-[\w-]{16,}/g],
  ['github-token', /(?<!\w)(?:gh[pousr]_|github_pat_)\w{16,}/g],
  ['gitlab-token', /(?<![\w-])glpat-[\w-]{16,}/g],
  ['slack-token', /(?<![\w-])xox[a-z]-[\w-]{8,}/g],
  ['google-key', /(?<![\w-])AIza[\w-]{30,}/g],
  ['google-token', /(?<![\w-])ya29\.[\w-]{16,}/g],
  ['aws-key-id', /(?<!\w)(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{16}(?!\w)/g],
  ['stripe-key', /(?<!\w)[rs]k_(?:live|test)_\w{16,}/g],
  ['npm-token', /(?<!\w)npm_[A-Za-z0-9]{30,}/g],
  ['huggingface-token', /(?<!\w)hf_[A-Za-z0-9]{24,}/g],
  ['jwt', /(?<![\w-])eyJ[\w-]{8,}\.[\w-]{2,}\.[\w-]*/g],
]

const HEADER_VALUE = /(?<!\w)(Bearer|Basic|Digest)[ \t]{1,8}(?!\[secret:)[\w.~+/=-]{8,}/gi
const URL_USER = /(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/@]{1,512}@/gi

// Not the mask itself, which has such a name too.
const NAME =
  '(?<!\\[)(?:pass(?:word|wd|phrase)|pwd|secret|api[_-]?key|apikey|access[_-]?key|private[_-]?key|credential|token(?![a-z]))'
// `password=…`, `"api_key": "…"`, also where the JSON stands in a string and its quotes are escaped.
const QUOTED = new RegExp(
  `(${NAME}[\\w-]{0,24}\\\\{0,3}["']?\\s{0,4}[:=]\\s{0,4}\\\\{0,3}["'])(?!\\[secret:)([^"'\\\\\\r\\n]{1,4096})`,
  'gi',
)
const BARE = new RegExp(
  `(${NAME}[\\w-]{0,24}\\\\{0,3}["']?\\s{0,4}[:=]\\s{0,4})(?!\\[secret:)([^\\s"'\\\\,;&{}[\\]]{4,})`,
  'gi',
)
const SECRET_MEMBER = new RegExp(`${NAME}$|^(?:proxy-)?authorization$|^cookie$`, 'i')

const PEM_BEGIN = '-----BEGIN '
const PEM_KEY = 'PRIVATE KEY-----'
const PEM_LABEL_LENGTH_MAX = 64
const PEM_END = /-----END [A-Z0-9 ]{0,64}PRIVATE KEY-----/g

// More than a record keeps: who cuts it for the record then says that it is cut.
const DEPTH_MAX = 160
const TOO_DEEP = '[too deep]'

/**
 * A text without what looks like a secret; each stands as `[secret:KIND]`.
 * @param masks texts that are masked wherever they stand: the placeholders of credentials
 */
export function redactText(text: string, masks: readonly string[]): string {
  let redacted = text
  for (const mask of masks)
    if (mask !== '') redacted = redacted.replaceAll(mask, '[secret:placeholder]')
  redacted = redactPem(redacted)
  for (const [kind, pattern] of TOKENS) redacted = redacted.replace(pattern, `[secret:${kind}]`)
  return redacted
    .replace(HEADER_VALUE, '$1 [secret:header]')
    .replace(URL_USER, '$1[secret:url-user]@')
    .replace(QUOTED, '$1[secret:value]')
    .replace(BARE, '$1[secret:value]')
}

/**
 * A value whose strings, and names of members, are redacted; a string member whose name says that it is a secret is one.
 * What is nested deeper than anybody writes is left out.
 */
export function redactValue(value: JsonValue, masks: readonly string[], depth = 0): JsonValue {
  if (typeof value === 'string') return redactText(value, masks)
  if (typeof value !== 'object' || value === null) return value
  if (depth >= DEPTH_MAX) return TOO_DEEP
  if (isList(value)) return value.map((item) => redactValue(item, masks, depth + 1))
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      redactText(name, masks),
      typeof member === 'string' && member !== '' && SECRET_MEMBER.test(name)
        ? '[secret:value]'
        : redactValue(member, masks, depth + 1),
    ]),
  )
}

// Private keys in PEM by hand: a pattern would look for the end again from each beginning.
function redactPem(text: string): string {
  let at = text.indexOf(PEM_BEGIN)
  if (at < 0) return text
  let redacted = ''
  let done = 0
  while (at >= 0) {
    const labelEnd = text.indexOf(PEM_KEY, at)
    if (labelEnd < 0) break
    if (labelEnd - at > PEM_LABEL_LENGTH_MAX) {
      at = text.lastIndexOf(PEM_BEGIN, labelEnd)
      if (labelEnd - at > PEM_LABEL_LENGTH_MAX) at = text.indexOf(PEM_BEGIN, labelEnd)
      continue
    }
    PEM_END.lastIndex = labelEnd
    const end = PEM_END.exec(text)
    redacted += `${text.slice(done, at)}[secret:private-key]`
    done = end === null ? text.length : PEM_END.lastIndex
    at = text.indexOf(PEM_BEGIN, done)
  }
  return redacted + text.slice(done)
}
