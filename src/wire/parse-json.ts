// JSON.parse that names members as they are written. V8's own takes a name with an escape in it for one that it met in another
// text, where that one begins as the name is written: after `{"\\u006d":1}` the name `"\u006dethod"` is read as `\u006d`. Whoever
// sends us both could hide a member from us that everybody behind us sees. Pure. Called by all that read JSON of strangers.
// @see https://issues.chromium.org/issues/521080746

const BACKSLASH = 0x5c
const COLON = 0x3a

/** A text of JSON whose names are replaced by their numbers, and the names. */
interface Numbered {
  readonly text: string
  readonly names: readonly string[]
}

/** What JSON.parse returns: whoever asks says which shape it expects, or takes it for unknown. */
type Parsed = ReturnType<typeof JSON.parse>

/**
 * Reads JSON as JSON.parse is specified to. Depth costs no stack.
 * @throws SyntaxError where it is none
 */
export function parseJson(text: string): Parsed {
  if (!hasEscapedName(text)) return JSON.parse(text)
  const numbered = numberNames(text)
  const value: unknown = JSON.parse(numbered.text)
  giveNames(value, numbered.names)
  return value
}

/** Whether a name of a member is written with an escape: rare, unless somebody means it. */
function hasEscapedName(text: string): boolean {
  if (!text.includes('\\')) return false
  for (const { end, isEscaped } of stringsIn(text)) if (isEscaped && isName(text, end)) return true
  return false
}

// All of them: so none can be taken for another's number, and of two that are the same the last one counts, as it must.
function numberNames(text: string): Numbered {
  const pieces: string[] = []
  const names: string[] = []
  let rest = 0
  for (const { start, end } of stringsIn(text)) {
    if (!isName(text, end)) continue
    // A text that is one string has no members to be misread.
    const name: string = JSON.parse(text.slice(start, end))
    pieces.push(text.slice(rest, start), `"n${String(names.length)}"`)
    names.push(name)
    rest = end
  }
  pieces.push(text.slice(rest))
  return { text: pieces.join(''), names }
}

function giveNames(root: unknown, names: readonly string[]): void {
  const open = [root]
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (typeof value !== 'object' || value === null) continue
    if (Array.isArray(value)) {
      for (const item of value) if (typeof item === 'object' && item !== null) open.push(item)
      continue
    }
    const members = Object.entries(value)
    // All of them before the first is named: a name may be another's number.
    for (const [number] of members) Reflect.deleteProperty(value, number)
    for (const [number, member] of members) {
      const attributes = { configurable: true, enumerable: true, writable: true }
      // Not by assignment, which for one name would make a prototype of it.
      Object.defineProperty(value, names[Number(number.slice(1))] ?? '', {
        value: member,
        ...attributes,
      })
      if (typeof member === 'object' && member !== null) open.push(member)
    }
  }
}

interface WrittenString {
  /** Of its quote. */
  readonly start: number
  /** Behind its closing quote. */
  readonly end: number
  readonly isEscaped: boolean
}

/** The strings of a text that is JSON; of one that is none, what a reader would find up to where it gives up. */
function* stringsIn(text: string): Generator<WrittenString> {
  let start = text.indexOf('"')
  while (start >= 0) {
    let isEscaped = false
    let end = text.indexOf('"', start + 1)
    for (let from = start + 1; end >= 0; from = end + 1, end = text.indexOf('"', from)) {
      let slashes = 0
      while (end - slashes > from && text.charCodeAt(end - slashes - 1) === BACKSLASH) slashes += 1
      if (slashes % 2 === 0) break
      isEscaped = true
    }
    if (end < 0) return
    isEscaped ||= hasBackslash(text, start, end)
    yield { start, end: end + 1, isEscaped }
    start = text.indexOf('"', end + 1)
  }
}

function hasBackslash(text: string, start: number, end: number): boolean {
  for (let at = start + 1; at < end; at += 1) if (text.charCodeAt(at) === BACKSLASH) return true
  return false
}

function isName(text: string, end: number): boolean {
  for (let at = end; ; at += 1) {
    const code = text.charCodeAt(at)
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return code === COLON
  }
}
