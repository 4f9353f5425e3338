// A call as people write it, `METHOD URL`: in the tests of rule files and on the command line. Read by the same code as a
// live call's target. Pure; called by `check.ts` and by the `explain` verb.

import { EgressError, REASONS, type Reason } from '../errors.ts'
import { parseAuthority, type Endpoint } from '../wire/authority.ts'
import type { RawHeaders } from '../wire/body.ts'
import { parseRequestTarget } from '../wire/target.ts'
import type { Question } from './decision.ts'
import type { PatternFault } from './path-pattern.ts'
import type { Expectation } from './rule-set.ts'
import { suggestName } from './suggest.ts'

/** What is asked: one HTTP call, or a tunnel. */
export type Asked = Question | { readonly connect: Endpoint }

/** `METHOD URL`, or `CONNECT HOST:PORT`. */
export const CALL_PATTERN: RegExp = /^([A-Z][A-Z0-9!#$%&'*+.^_`|~-]{0,31}) (\S+)$/

/** What a test expects, as it is written. */
export const EXPECT_PATTERN: RegExp = /^(allow|hold|deny) (\S+)$/

/**
 * Makes the question that a written call asks; `ws://` and `wss://` ask for an upgrade.
 * @throws EgressError the reason for which a live call with such a target is refused before any rule is asked
 */
export function askAbout(method: string, target: string, headers: RawHeaders): Asked {
  if (method === 'CONNECT') return { connect: parseAuthority(target) }
  const { scheme, endpoint, path, query } = parseRequestTarget(target)
  if (scheme === undefined || endpoint === undefined)
    throw new EgressError('malformed-target', { part: 'scheme' })
  const upgrade = /^wss?:/i.test(target)
  return { endpoint, scheme, upgrade, method, path, query, headers }
}

/** Reads what a test expects. */
export function readExpectation(text: string): Expectation | PatternFault {
  const match = EXPECT_PATTERN.exec(text)
  if (!match) return { fault: 'expected `allow RULE-ID`, `hold RULE-ID` or `deny REASON`' }
  const word = match[2] ?? ''
  if (match[1] === 'allow' || match[1] === 'hold') return { verdict: match[1], rule: word }
  if (isDecided(word)) return { verdict: 'deny', reason: word }
  const known = isReason(word)
  const near = suggestName(word, Object.keys(REASONS).filter(isDecided))
  return {
    fault: known ? `\`${word}\` is not decided by rules` : `unknown reason \`${word}\``,
    ...(near !== undefined && { hint: `did you mean \`${near}\`?` }),
  }
}

// Reasons that a target, a body or the rules alone can give; the others need a task or a network.
function isDecided(word: string): word is Reason {
  return (
    isReason(word) &&
    (word === 'flow-violation' ||
      ['received', 'understood', 'decided'].includes(REASONS[word].phase))
  )
}

function isReason(word: string): word is Reason {
  return Object.hasOwn(REASONS, word)
}
