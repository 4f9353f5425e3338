// Masks what looks like a secret in text, keeping what kind of secret it was. Deliberately a best effort: who
// must not keep secrets at all keeps digests. Every pattern takes time linear in the text. Called by `redactor.ts` and `keep.ts`.

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
  ['telegram-token', /(?<!\d)\d{8,12}:[\w-]{30,}/g],
  ['sendgrid-key', /(?<![\w-])SG\.[\w-]{16,}\.[\w-]{16,}/g],
  ['vault-token', /(?<![\w.-])hv[sb]\.[\w-]{20,}/g],
  ['pypi-token', /(?<![\w-])pypi-[\w-]{16,}/g],
  ['webhook', /(?<=\/services\/)T[A-Z0-9]{6,}\/B[A-Z0-9]{6,}\/\w{16,}/g],
  ['webhook', /(?<=\/webhooks\/)\d{16,20}\/[\w-]{40,}/g],
  ['placeholder', /(?<![\w-])sallyport_[\w-]{16,}/g],
  ['task-token', /(?<![\w-])spt_[\w-]{32,}/g],
  ['jwt', /(?<![\w-])eyJ[\w-]{8,}\.[\w-]{2,}\.[\w-]*/g],
]

// The beginning of one where a text was cut. A long end is looked at in part, as each dot begins anew.
const CUT_TOKEN =
  /(?<![\w-])(?:sk-|gh[pousr]_|github_pat_|glpat-|xox[a-z]-|AIza|ya29\.|[rs]k_(?:live|test)_|npm_|hf_|SG\.|hv[sb]\.|pypi-|spt_|eyJ)[\w.-]{8,}$/
const CUT_LENGTH_MIN = 128
const CUT_LOOKED_AT = 512

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

// What every one of these patterns has: most texts have none, and are looked at once.
const HAS_MARK =
  /sk-|gh[pousr]_|github_|glpat-|xox|AIza|ya29|A(?:KIA|SIA|GPA|IDA|ROA)|k_(?:live|test)_|npm_|hf_|SG\.|hv[sb]\.|pypi-|\/services\/T|\/webhooks\/|sallyport_|spt_|eyJ|\d{8}:[\w-]{30}|BEGIN|bearer|basic|digest|:\/\//i
// And before that: a run of letters and digits, or what stands before one in a header or behind one in a URL.
const RUN_LENGTH = 10
const HAS_BLANK_OR_USER = /[\s@]/
const HAS_NAME = new RegExp(NAME, 'i')

const PEM_BEGIN = '-----BEGIN '
const PEM_KEY = 'PRIVATE KEY-----'
const PEM_LABEL_LENGTH_MAX = 64
const PEM_END = /-----END [A-Z0-9 ]{0,64}PRIVATE KEY-----/g

/** What stands for such a secret. */
export const SECRET_VALUE = '[secret:value]'

/** A text without what looks like a secret; each stands as `[secret:KIND]`. */
export function redactText(text: string): string {
  const redacted = redactCut(redactTokens(text), text.length)
  if (!HAS_NAME.test(redacted)) return redacted
  return redacted.replace(QUOTED, '$1[secret:value]').replace(BARE, '$1[secret:value]')
}

/** The same by the shape of secrets alone, whatever names stand before them. */
export function redactTokens(text: string): string {
  if (!(hasRun(text) || HAS_BLANK_OR_USER.test(text)) || !HAS_MARK.test(text)) return text
  let redacted = redactPem(text)
  for (const [kind, pattern] of TOKENS) redacted = redacted.replace(pattern, `[secret:${kind}]`)
  return redacted
    .replace(HEADER_VALUE, '$1 [secret:header]')
    .replace(URL_USER, '$1[secret:url-user]@')
}

function redactCut(redacted: string, length: number): string {
  if (length < CUT_LENGTH_MIN) return redacted
  const at = Math.max(0, redacted.length - CUT_LOOKED_AT)
  return redacted.slice(0, at) + redacted.slice(at).replace(CUT_TOKEN, '[secret:cut]')
}

// Looks at every tenth character alone, as no run fits between two of them, and from one of a run in both directions.
function hasRun(text: string): boolean {
  for (let at = RUN_LENGTH - 1; at < text.length; at += RUN_LENGTH) {
    if (!isInRun(text.charCodeAt(at))) continue
    let first = at
    while (first > 0 && at - first < RUN_LENGTH && isInRun(text.charCodeAt(first - 1))) first -= 1
    let end = at + 1
    while (end < text.length && end - first < RUN_LENGTH && isInRun(text.charCodeAt(end))) end += 1
    if (end - first >= RUN_LENGTH) return true
  }
  return false
}

// What `[\w-]` is.
function isInRun(code: number): boolean {
  const letter = code | 0x20
  if (letter >= 0x61 && letter <= 0x7a) return code < 0x80
  return (code >= 0x30 && code <= 0x39) || code === 0x2d || code === 0x5f
}

/** Whether a string is a secret because the name of the member that has it says so. */
export function isSecretMember(name: string, value: string): boolean {
  return value !== '' && SECRET_MEMBER.test(name)
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
