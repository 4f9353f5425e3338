// Where a member lies in a text that is known to be JSON, so that it can be changed and nothing else. Pure; deliberately checks no
// grammar: `inspect/json.ts` has. Called by `json-member.ts`.

/** Where a member is, or would be put. */
export type Located = {
  /** The name it has in its object; of a place in a list its number. */
  readonly name: string
} & (
  | {
      readonly kind: 'value'
      readonly at: number
      readonly end: number
      /** From here to `memberEnd` it goes out with its name and a comma; undefined in a list. */
      readonly memberAt: number | undefined
      readonly memberEnd: number
    }
  /** Behind the last member of its object. */
  | {
      readonly kind: 'gap'
      readonly at: number
      readonly end: number
      readonly isEmpty: boolean
    }
)

interface Member {
  /** As written, without quotes; of a list the number. */
  readonly key: string
  readonly keyAt: number
  readonly at: number
  readonly end: number
}

const INDEX = /^(?:0|[1-9]\d{0,5})$/
const SPACE = /[ \n\r\t]*/y
const SCALAR = /[^\s,\]}]+/y

/**
 * Finds a member by the names on the way to it.
 * @param text bytes as characters, latin1
 * @returns undefined where nothing is there that it could be in; `doubtful` where a name on the way stands there in a spelling that
 *   some readers take for it and others do not
 */
export function locate(text: string, pointer: readonly string[]): Located | 'doubtful' | undefined {
  let at = skipSpace(text, 0)
  for (const [depth, name] of pointer.entries()) {
    const isLast = depth === pointer.length - 1
    const isList = text[at] === '['
    if (!isList && text[at] !== '{') return undefined
    const members = membersOf(text, at)
    const found = isList ? members[indexOf(name)] : findKey(members, name)
    if (found === 'doubtful') return found
    if (found === undefined) return isLast && !isList ? gapIn(text, at, members, name) : undefined
    if (isLast) return placeOf(members, found, isList, name)
    ;({ at } = found)
  }
  return undefined
}

function indexOf(name: string): number {
  return INDEX.test(name) ? Number(name) : -1
}

// Who folds case takes `Token` for `token`, and the last of them; who does not unescape does not know `t\u006fken`.
function findKey(members: readonly Member[], name: string): Member | 'doubtful' | undefined {
  const same = members.filter(({ key }) => fold(readKey(key)) === fold(name))
  const [found, ...others] = same
  if (found === undefined) return undefined
  const written = Buffer.from(found.key, 'latin1').toString()
  return others.length > 0 || written !== JSON.stringify(name).slice(1, -1) ? 'doubtful' : found
}

function readKey(key: string): string {
  const read: unknown = JSON.parse(`"${Buffer.from(key, 'latin1').toString()}"`)
  return String(read)
}

function fold(name: string): string {
  return name.normalize('NFKC').toUpperCase().toLowerCase()
}

function gapIn(text: string, open: number, members: readonly Member[], name: string): Located {
  const at = members.at(-1)?.end ?? skipSpace(text, open + 1)
  return { kind: 'gap', name, at, end: at, isEmpty: members.length === 0 }
}

function placeOf(
  members: readonly Member[],
  found: Member,
  isList: boolean,
  name: string,
): Located {
  const { at, end } = found
  if (isList) return { kind: 'value', name, at, end, memberAt: undefined, memberEnd: end }
  const place = members.indexOf(found)
  const before = members[place - 1]
  const after = members[place + 1]
  // With the comma before it, or with the one behind it where it is the first.
  if (before) return { kind: 'value', name, at, end, memberAt: before.end, memberEnd: end }
  const memberEnd = after?.keyAt ?? end
  return { kind: 'value', name, at, end, memberAt: found.keyAt, memberEnd }
}

function membersOf(text: string, open: number): Member[] {
  const members: Member[] = []
  const isList = text[open] === '['
  let at = skipSpace(text, open + 1)
  while (text[at] !== (isList ? ']' : '}')) {
    const keyAt = at
    let key = String(members.length)
    if (!isList) {
      const keyEnd = skipString(text, at)
      key = text.slice(at + 1, keyEnd - 1)
      at = skipSpace(text, skipSpace(text, keyEnd) + 1)
    }
    const end = skipValue(text, at)
    members.push({ key, keyAt, at, end })
    at = skipSpace(text, end)
    if (text[at] === ',') at = skipSpace(text, at + 1)
  }
  return members
}

function skipValue(text: string, from: number): number {
  let depth = 0
  let at = from
  do {
    const first = text[at]
    if (first === '"') at = skipString(text, at)
    else if (first === '{' || first === '[') {
      depth += 1
      at += 1
    } else if (first === '}' || first === ']') {
      depth -= 1
      at += 1
    } else if (first === ',' || first === ':') at += 1
    else at = skip(SCALAR, text, at)
    if (depth > 0) at = skipSpace(text, at)
  } while (depth > 0)
  return at
}

// Not by a pattern: it would remember every character of a long one.
function skipString(text: string, from: number): number {
  let at = from + 1
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at + 1
}

function skipSpace(text: string, at: number): number {
  return skip(SPACE, text, at)
}

function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at
  pattern.test(text)
  return pattern.lastIndex
}
