// Texts with `*` and `{param}` in them: read from a rule file, filled with a task's values, matched. Pure; called by
// `path-pattern.ts` and `value-pattern.ts`, which say where such texts stand.

/** A piece of a template: text as it is, any characters, or a task's value. */
export type Part =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'star' }
  | { readonly kind: 'param'; readonly name: string }

/** A text to be equal to, or the texts between the `*`s of a pattern: first at the start, last at the end. */
export type Glob = string | readonly string[]

/** Values of a task by the names of their parameters. */
export type ParamValues = Readonly<Record<string, string>>

/** What a parameter may be called. */
export const PARAM_NAME: RegExp = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/

const STAR: Part = { kind: 'star' }

/**
 * Reads a template.
 * @returns what is wrong with it, where it is none
 */
export function parseTemplate(text: string): readonly Part[] | string {
  const parts: Part[] = []
  for (const piece of text.match(/\{[^{}]*\}|[{}]|\*+|[^{}*]+/g) ?? []) {
    if (piece === '*') parts.push(STAR)
    else if (piece.startsWith('*')) return '`**` stands for whole path segments only'
    else if (!/^[{}]/.test(piece)) parts.push({ kind: 'text', text: piece })
    else {
      const name = piece.slice(1, -1)
      if (!PARAM_NAME.test(name)) return 'braces enclose the name of a parameter'
      parts.push({ kind: 'param', name })
    }
  }
  return parts
}

/** Fills the parameters of a template; a value stands for itself, whatever characters it has. */
export function bindTemplate(parts: readonly Part[], values: ParamValues): Glob {
  const pieces = ['']
  for (const part of parts) {
    if (part.kind === 'star') pieces.push('')
    else pieces[pieces.length - 1] += part.kind === 'text' ? part.text : (values[part.name] ?? '')
  }
  return pieces.length === 1 ? pieces[0]! : pieces
}

/** Whether a text matches; each `*` stands for any number of characters, none included. */
export function matchGlob(glob: Glob, text: string): boolean {
  if (typeof glob === 'string') return glob === text
  const first = glob[0]!
  const last = glob.at(-1)!
  if (first.length + last.length > text.length || !text.startsWith(first)) return false
  if (!text.endsWith(last)) return false
  const end = text.length - last.length
  let from = first.length
  for (let at = 1; at < glob.length - 1; at += 1) {
    const found = text.indexOf(glob[at]!, from)
    from = found + glob[at]!.length
    if (found < 0 || from > end) return false
  }
  return true
}

/** A text without case, as denials compare: what some server or file system may take for the same. */
export function foldCase(text: string): string {
  // Upper case first: it also unites letters that have one upper but several lower forms, such as the long s.
  // oxlint-disable-next-line no-control-regex
  if (/[^\x00-\x7f]/.test(text)) return text.normalize('NFC').toUpperCase().toLowerCase()
  return text.toLowerCase()
}

/** A pattern without case. */
export function foldGlob(glob: Glob): Glob {
  return typeof glob === 'string' ? foldCase(glob) : glob.map(foldCase)
}
