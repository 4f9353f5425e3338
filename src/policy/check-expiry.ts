// Rules that end by themselves: which are over, and which soon will be, with whom to ask. Pure: the time is handed in. Called by
// the `check` verb alone: whether a file is loaded does not hang on the time.

import type { Problem } from './problem.ts'
import type { Rule, RuleSet } from './rule-set.ts'

/** How long ahead the end of a rule is told. */
const AHEAD_MS = 14 * 86_400_000
const DAY_MS = 86_400_000

/** Tells the rules of a set that have expired or will within two weeks. @param now epoch milliseconds */
export function checkExpiry(set: RuleSet, now: number): Problem[] {
  return set.rules.flatMap((rule) => {
    const { expiresAt, place } = rule
    if (expiresAt === undefined || expiresAt > now + AHEAD_MS) return []
    const isOver = expiresAt <= now
    const when = `${isOver ? 'expired' : 'expires'} at ${new Date(expiresAt).toISOString()}`
    return [
      {
        file: set.file,
        line: place.line,
        column: place.column,
        severity: 'warning' as const,
        message: `rule \`${rule.id}\` ${when}, ${isOver ? 'and is as if it were not there' : leftUntil(expiresAt - now)}${whomToAsk(rule, set)}`,
        hint: hintFor(isOver),
        code: isOver ? 'rule-expired' : 'rule-expires',
      },
    ]
  })
}

function leftUntil(leftMs: number): string {
  const days = Math.floor(leftMs / DAY_MS)
  if (days === 0) return 'in less than a day'
  return days === 1 ? 'in a day' : `in ${days} days`
}

function whomToAsk({ ticket, owner }: Rule, set: RuleSet): string {
  const answers = owner ?? set.owner
  const named = [
    ...(ticket === undefined ? [] : [`ticket ${ticket}`]),
    ...(answers === undefined ? [] : [`owner ${answers}`]),
  ]
  return named.length === 0 ? '' : ` (${named.join(', ')})`
}

function hintFor(isOver: boolean): string {
  return isOver
    ? 'take it out, or write a later `expires`'
    : 'its calls are then judged without it: write a later `expires` where that is not meant'
}
