// Finds holds that nobody can answer: whom a rule names has to be there, as a principal who is an approver or a reviewer with a
// webhook. Deliberately only what `check` says: principals come and go, and a hold nobody answers lets nothing pass. Pure; called
// by `check-installation.ts`.

import { ADMINISTRATOR } from '../control/roles.ts'
import type { Problem } from '../policy/problem.ts'
import type { Rule, RuleSet } from '../policy/rule-set.ts'
import { suggestName } from '../policy/suggest.ts'
import type { Config } from './config.ts'

/** Checks whom the holds of a set are for. */
export function checkReviewers(
  set: RuleSet,
  { control, reviewers }: Pick<Config, 'control' | 'reviewers'>,
): Problem[] {
  const { principals } = control
  const approvers = [...(principals.length === 0 ? [ADMINISTRATOR] : principals)].filter(
    ({ roles }) => roles.includes('approver'),
  )
  const webhooks = Object.entries(reviewers).map(([name, { teams }]) => ({ name, teams }))
  const known = [...approvers, ...webhooks].flatMap(({ name, teams }) => [
    name,
    ...teams.map((team) => `team:${team}`),
  ])
  return set.rules
    .filter(({ verdict }) => verdict === 'hold')
    .flatMap((rule) => reviewHold(rule, known).map((found) => ({ ...found, file: set.file })))
}

function reviewHold(
  { id, reviewers, place }: Rule,
  known: readonly string[],
): Omit<Problem, 'file'>[] {
  const report = (message: string, hint: string): Omit<Problem, 'file'> => ({
    ...place,
    severity: 'warning',
    message,
    hint,
    code: 'reviewer-unknown',
  })
  const add = 'give a principal of `control.principals` the role approver, or add it to `reviewers`'
  if (reviewers === undefined)
    return known.length > 0 ? [] : [report(`nobody may answer what rule \`${id}\` holds`, add)]
  return reviewers
    .filter((named) => !known.includes(named))
    .map((named) => {
      const near = suggestName(named, known)
      const hint = near === undefined ? add : `did you mean \`${near}\`?`
      return report(`rule \`${id}\` names the reviewer \`${named}\`, who may not answer`, hint)
    })
}
