// Checks a configuration together with its rules: what the rules name must be there, and what the task is given must fit.
// Pure but for reading the rule files. Called by `cli/check.ts`; a start makes the same demands of the rules.

import { checkRuleSet, checkTogether } from '../policy/check.ts'
import { DEFAULT_LIMITS, type Limits } from '../limits.ts'
import { checkExpiry } from '../policy/check-expiry.ts'
import type { CredentialDefinition } from '../credentials/definition.ts'
import type { Problem } from '../policy/problem.ts'
import { BUILT_IN_PROFILES, checkProfiledRules, type Profiles } from '../policy/profiles.ts'
import type { Destination, Rule, RuleSet } from '../policy/rule-set.ts'
import { suggestName } from '../policy/suggest.ts'
import type { Config } from './config.ts'
import type { Loaded } from './load.ts'
import { checkAround, surroundingsOf } from './regulated.ts'
import { checkUnseenAddresses } from './check-proxy.ts'
import { checkReviewers } from './check-reviewers.ts'
import { pinnedFinderFor } from './pinned-rules.ts'
import { compileTaskPolicy, failedTests, loadRuleSets, missingSet } from './rules.ts'

/** What a configuration says of rule files; by default what none says. */
interface CheckSurroundings {
  readonly profiles?: Profiles
  readonly limits?: Limits
}

/**
 * Checks rule sets by themselves: what is wrong with each, its failing tests, its breadth, what of it is over.
 * @param now epoch milliseconds
 */
export function checkRuleFiles(
  places: readonly string[],
  now: number,
  { profiles = BUILT_IN_PROFILES, limits = DEFAULT_LIMITS }: CheckSurroundings = {},
): {
  readonly sets: ReadonlyMap<string, RuleSet>
  readonly problems: Problem[]
} {
  const { sets, problems } = loadRuleSets(places, limits)
  return {
    sets,
    problems: [
      ...problems,
      ...[...sets.values()].flatMap((set) => [
        ...checkRuleSet(set),
        ...checkExpiry(set, now),
        ...checkProfiledRules(set, profiles),
        ...failedTests(set),
      ]),
    ],
  }
}

/**
 * Checks what a configuration asks of its rules and what the rules in use ask of it. Sets that no task uses may name
 * credentials that are not there: shipped sets do.
 */
export function checkInstallation(
  config: Config,
  sets: ReadonlyMap<string, RuleSet>,
  placeOf: Loaded['placeOf'],
): Problem[] {
  const { task, rules } = config
  const names = (task?.rules ?? []).map((rule) => rule.replace(/@.*$/, ''))
  const used = names.flatMap((name) => sets.get(name) ?? [])
  const binding = rules.always
    .filter((name) => !names.includes(name))
    .flatMap((name) => sets.get(name) ?? [])
  const compiled =
    task === undefined
      ? []
      : compileTaskPolicy(sets, rules.always, task, { findPinned: pinnedFinderFor(config) })
          .problems
  return uniqueProblems([
    ...missingSets(names, ['task', 'rules'], sets, placeOf),
    ...missingSets(rules.always, ['rules', 'always'], sets, placeOf),
    ...compiled
      .filter(({ code }) => code !== 'missing-rule-set')
      .map((problem) =>
        problem.code === 'param-unknown' ? { ...problem, ...placeOf(['task', 'params']) } : problem,
      ),
    // Of a set that binds every task only what stops a call counts.
    ...checkTogether([...binding.map(withoutAllows), ...used]),
    ...used.flatMap((set) => checkCredentials(set, config)),
    ...[...binding, ...used].flatMap((set) => checkUnseenAddresses(set, config)),
    ...(task === undefined ? [...sets.values()] : [...used, ...binding]).flatMap((set) =>
      checkReviewers(set, config),
    ),
    ...checkAround(sets, { around: surroundingsOf(config), always: rules.always, task }),
  ])
}

function missingSets(
  names: readonly string[],
  keys: readonly string[],
  sets: ReadonlyMap<string, RuleSet>,
  placeOf: Loaded['placeOf'],
): Problem[] {
  return names.flatMap((name, index) =>
    sets.has(name) ? [] : [{ ...missingSet(name, sets), ...placeOf([...keys, index]) }],
  )
}

function withoutAllows(set: RuleSet): RuleSet {
  return { ...set, rules: set.rules.filter(({ verdict }) => verdict === 'deny') }
}

function checkCredentials(set: RuleSet, config: Config): Problem[] {
  return set.rules.flatMap((rule) => {
    if (rule.credential === undefined) return []
    const report = (code: string, message: string, hint: string): Problem[] => [
      { file: set.file, ...rule.place, severity: 'error', message, hint, code },
    ]
    const definition = config.credentials.find(({ name }) => name === rule.credential)
    if (definition !== undefined) return checkReach(rule, definition, config, report)
    const meant = suggestName(
      rule.credential,
      config.credentials.map(({ name }) => name),
    )
    return report(
      'unknown-credential',
      `rule \`${rule.id}\` names the credential \`${rule.credential}\`, which is not configured`,
      meant === undefined
        ? `add it under \`credentials:\`, or leave the rule set away`
        : `did you mean \`${meant}\`?`,
    )
  })
}

/** A credential is sent to its own hosts only: a destination beyond them would never get it. */
function checkReach(
  rule: Rule,
  definition: CredentialDefinition,
  config: Config,
  report: (code: string, message: string, hint: string) => Problem[],
): Problem[] {
  return rule.destinations.flatMap((destination) => {
    const { name } = definition
    const { scheme, text } = destination
    const isPlain = scheme === 'http' || scheme === 'ws'
    if (isPlain && !definition.insecurePlaintext)
      return report(
        'credential-plaintext',
        `rule \`${rule.id}\` would send \`${name}\` to ${text} without TLS`,
        'allow https instead',
      )
    const params = config.task?.params ?? {}
    if (definition.hosts.some((host) => covers(destination, host, params))) return []
    return report(
      'credential-host',
      `the credential \`${name}\` of rule \`${rule.id}\` is not for ${text}`,
      `add the host to \`credentials.${name}.hosts\`, or use another credential`,
    )
  })
}

function covers(
  { host: pattern, port }: Destination,
  { host, kind, port: hostPort }: CredentialDefinition['hosts'][number],
  params: Readonly<Record<string, string>>,
): boolean {
  if (port !== hostPort) return false
  switch (pattern.kind) {
    case 'exact':
      return pattern.host === host
    case 'param':
      return params[pattern.name]?.toLowerCase() === host
    case 'below':
      return kind === 'name' && host.endsWith(`.${pattern.suffix}`)
    case 'any':
      return kind === 'name'
    case 'range':
    default:
      // Which addresses a range has is known when a call comes.
      return kind !== 'name'
  }
}

function uniqueProblems(problems: readonly Problem[]): Problem[] {
  return [...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values()]
}
