// What a journal says of rules: those in force that no record cites. Reads the journal's files, so it needs no running
// sidecar. Called by `check.ts`.

import type { Problem } from '../policy/problem.ts'
import type { Rule, RuleSet } from '../policy/rule-set.ts'
import { RuleUse } from '../record/read/rule-use.ts'
import { tailRecords } from '../record/read/tail.ts'
import { existing } from './common.ts'
import type { CommandIo } from './io.ts'
import type { Period } from './period.ts'

/**
 * Finds rules that no record of a journal cites.
 * @param always names of the sets that bind every task: their allows never decide
 * @throws UsageError where there is no such journal
 */
export async function findUnusedRules(
  dir: string,
  period: Period,
  sets: readonly RuleSet[],
  always: readonly string[],
  io: CommandIo,
): Promise<Problem[]> {
  existing([dir])
  const use = new RuleUse()
  const onBadLine = (): void =>
    io.err('a line of the journal is no record: see `sallyport verify`\n')
  // When a set was loaded is asked of what came before the period too.
  const records = tailRecords(dir, {
    filter: { all: true },
    follow: false,
    signal: io.signal,
    onBadLine,
  })
  for await (const { record } of records) if (isWanted(record, period)) use.add(record)
  return sets.flatMap((set) => reviewSet(set, use, always.includes(set.name), period))
}

function isWanted(
  {
    '@timestamp': at,
    event,
  }: { readonly '@timestamp': string; readonly event: { action: string } },
  { since = 0, until = Infinity }: Period,
): boolean {
  const time = Date.parse(at)
  return time < until && (time >= since || event.action === 'rules-loaded')
}

function reviewSet(set: RuleSet, use: RuleUse, isAlways: boolean, period: Period): Problem[] {
  const inForce = use.inForceSince(set.name, set.version)
  const report = (
    rule: Rule | undefined,
    code: string,
    message: string,
    hint: string,
  ): Problem => ({
    file: set.file,
    line: rule?.place.line ?? 1,
    column: rule?.place.column ?? 1,
    severity: 'warning',
    message,
    hint,
    code,
  })
  if (inForce === undefined)
    return [
      report(
        undefined,
        'not-in-force',
        `the journal does not have \`${set.name}\` as it is now in force`,
        'ask again after a run with it',
      ),
    ]
  const since = laterOf(inForce, period.since, use.firstSeen)
  const counted = set.rules.filter((rule) => mayDecide(rule, isAlways))
  const unused = counted.filter(({ id }) => !use.isCited(set.name, id))
  if (unused.length === counted.length && counted.length > 0)
    return [
      report(
        undefined,
        'unused-set',
        `no record since ${since} cites a rule of \`${set.name}\``,
        'take it from the tasks that do not need it',
      ),
    ]
  return unused.map((rule) =>
    report(
      rule,
      'unused-rule',
      `no record since ${since} cites rule \`${rule.id}\``,
      rule.verdict === 'deny'
        ? 'nothing was refused by it: keep it for what it is there to stop, or take it out'
        : 'take it out, unless what needs it did not run',
    ),
  )
}

// What only watches is cited by no record where it is a deny, and allows of sets for every task allow nothing.
function mayDecide({ verdict, observe }: Rule, isAlways: boolean): boolean {
  return verdict === 'deny' ? !observe : !(isAlways && verdict === 'allow')
}

function laterOf(inForce: string, since: number | undefined, first: string | undefined): string {
  const times = [inForce, ...(first === undefined ? [] : [first])].map((each) => Date.parse(each))
  return new Date(Math.max(...times, since ?? 0)).toISOString()
}
