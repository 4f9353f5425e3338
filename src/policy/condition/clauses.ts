// The clauses of a condition, for whoever asks why: the operands of `&&`, `||` and `!`, and theirs, each with its own text. Pure;
// made by `compile.ts`, evaluated by `condition.ts`.

import type { Evaluate } from './run.ts'

/** A part of a condition that is true or false by itself. */
export interface CompiledClause {
  /** As it is written. */
  readonly text: string
  readonly evaluate: Evaluate
}

/**
 * The text of a part, with the brackets that belong to it.
 * @param start of its first operand
 * @param end behind its last operand, where brackets around that one may still be open
 */
export function textOf(source: string, start: number, end: number): string {
  let depth = countOpen(source, start, end)
  let from = start
  let to = end
  while (depth > 0 && to < source.length) {
    to += 1
    if (source[to - 1] === ')') depth -= 1
  }
  while (depth < 0 && from > 0) {
    from -= 1
    if (source[from] === '(') depth += 1
  }
  return source.slice(from, to).trim()
}

// Brackets that are open at the end, without those in strings.
function countOpen(source: string, start: number, end: number): number {
  let depth = 0
  let quote: string | undefined
  for (let at = start; at < end; at += 1) {
    const character = source[at]
    if (quote !== undefined) {
      if (character === '\\') at += 1
      else if (character === quote) quote = undefined
    } else if (character === '"' || character === "'") quote = character
    else if (character === '(') depth += 1
    else if (character === ')') depth -= 1
  }
  return depth
}
