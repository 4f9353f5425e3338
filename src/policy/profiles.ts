// What a rule has to be, and what has to be true around it, where its data is regulated: `profile: NAME`. Values and checks;
// the configuration may define further profiles and tighten those that are here. Pure; called by `config/`, which makes the
// same demands when it starts, when files change, when a task is made and when a person asks `check`.

import type { DataClass } from '../tasks/task.ts'
import { isAbove } from './facts.ts'
import { isInspected } from './destination.ts'
import type { Finding, Problem } from './problem.ts'
import type { Rule, RuleSet } from './rule-set.ts'
import { suggestName } from './suggest.ts'

/** What a profile demands beyond what all of them do. */
export interface Profile {
  readonly name: string
  /** How long a task with such a rule lives at the most, in milliseconds. */
  readonly lifetimeMs: number
  /** The lowest class that a rule may name. */
  readonly data: DataClass
  /** A rule names all of them. */
  readonly category: readonly string[]
  /** A rule names all of them. */
  readonly regulation: readonly string[]
}

/** Profiles by name. */
export type Profiles = ReadonlyMap<string, Profile>

/** What a configuration says around the rules. */
export interface Surroundings {
  readonly profiles: Profiles
  readonly sinks: readonly { readonly name: string; readonly onBacklogFull: string }[]
  readonly journal: { readonly sync: 'process' | 'disk' }
  /** Names of the credentials that are the same for all tasks. */
  readonly staticCredentials: ReadonlySet<string>
}

/** The longest life that a task's rules let it have. */
export interface LifetimeBound {
  readonly lifetimeMs: number
  /** Of the profile that says so. */
  readonly profile: string
}

const HOUR_MS = 3_600_000

/** The lowest class that any profile may demand. */
export const PROFILE_DATA_MIN: DataClass = 'confidential'
/** How long tasks live where a profile of the configuration says nothing. */
export const PROFILE_LIFETIME_MS: number = HOUR_MS

/** The profiles that need no configuration. */
export const BUILT_IN_PROFILES: Profiles = new Map(
  [
    profile('regulated', { data: 'confidential', category: [], regulation: [] }),
    profile('customer-records', {
      data: 'restricted',
      category: ['customer-records'],
      regulation: ['gdpr'],
    }),
    profile('code-repositories', {
      data: 'confidential',
      category: ['source-code'],
      regulation: [],
    }),
    profile('payments', { data: 'restricted', category: ['payments'], regulation: ['pci-dss'] }),
  ].map((each) => [each.name, each]),
)

const READS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** Looks over the rules of a set that have a profile, each by itself. */
export function checkProfiledRules({ file, rules }: RuleSet, profiles: Profiles): Problem[] {
  return rules.flatMap((rule) =>
    reviewProfiled(rule, profiles).map((finding) => ({ ...finding, file, ...rule.place })),
  )
}

/** Looks over what is around the rules of a set: those that have a profile, and those that refuse static credentials. */
export function checkSurroundings({ file, rules }: RuleSet, around: Surroundings): Problem[] {
  return rules.flatMap((rule) =>
    [
      ...(rule.profile === undefined ? [] : reviewSurroundings(rule, around)),
      ...reviewCredential(rule, around),
    ].map((finding) => ({ ...finding, file, ...rule.place })),
  )
}

/** Whether a rule refuses a credential that is the same for all tasks: it says so, or its data is regulated. */
export function refusesStatic(rule: Pick<Rule, 'static' | 'profile' | 'regulation'>): boolean {
  return rule.static === false || (rule.profile ?? rule.regulation) !== undefined
}

/** The shortest of the lives that the rules of some sets allow; undefined where none of them has a profile. */
export function lifetimeBoundOf(
  sets: readonly RuleSet[],
  profiles: Profiles,
): LifetimeBound | undefined {
  let bound: LifetimeBound | undefined
  for (const { rules } of sets)
    for (const { profile: name } of rules) {
      const known = name === undefined ? undefined : profiles.get(name)
      if (known !== undefined && known.lifetimeMs < (bound?.lifetimeMs ?? Infinity))
        bound = { lifetimeMs: known.lifetimeMs, profile: known.name }
    }
  return bound
}

function profile(name: string, demands: Omit<Profile, 'name' | 'lifetimeMs'>): Profile {
  return { name, lifetimeMs: PROFILE_LIFETIME_MS, ...demands }
}

function reviewProfiled(rule: Rule, profiles: Profiles): Finding[] {
  const { profile: name } = rule
  if (name === undefined) return []
  const known = profiles.get(name)
  if (known === undefined) return [reportUnknown(rule, name, profiles)]
  return [
    ...reviewDestinations(rule),
    ...reviewWrites(rule),
    ...reviewObserving(rule),
    ...reviewClass(rule, known),
    ...reviewNames(rule, known),
  ]
}

function reportUnknown({ id }: Rule, name: string, profiles: Profiles): Finding {
  const meant = suggestName(name, profiles.keys())
  const message = `rule \`${id}\` has the profile \`${name}\`, which is not there`
  const hint =
    meant === undefined
      ? `known: ${[...profiles.keys()].join(', ')}; \`profiles:\` in the configuration defines others`
      : `did you mean \`${meant}\`?`
  return error('profile-unknown', message, hint)
}

function reviewDestinations(rule: Rule): Finding[] {
  return rule.destinations
    .filter(({ scheme }) => scheme !== undefined && !isInspected(scheme))
    .map(({ text }) =>
      error(
        'profile-opaque',
        `${title(rule)} has \`${text}\`, and nobody sees what goes through an opaque tunnel`,
        'write https:// or wss://',
      ),
    )
}

// What is read by POST counts as reading only where nothing else gets through: git without `push`, and GraphQL queries.
function reviewWrites(rule: Rule): Finding[] {
  const { verdict, methods, inside } = rule
  if (verdict !== 'allow') return []
  const isReadOnly =
    (inside?.git !== undefined && inside.git.push === undefined) ||
    inside?.graphql?.operations?.every((operation) => operation === 'query') === true
  if (isReadOnly) return []
  if (methods === undefined)
    return [
      error(
        'profile-write',
        `${title(rule)} allows any method, and writes have to be held for a person`,
        'write `methods: [GET, HEAD]`, and another rule with `hold:` for the writes',
      ),
    ]
  const writes = methods.filter((method) => !READS.has(method))
  if (writes.length === 0) return []
  const message = `${title(rule)} allows ${writes.join(', ')}, and writes have to be held for a person`
  return [error('profile-write', message, 'write `hold:` instead of `allow:`')]
}

function reviewCredential(rule: Rule, { staticCredentials }: Surroundings): Finding[] {
  const { credential, profile: name, id } = rule
  if (credential === undefined || !refusesStatic(rule) || !staticCredentials.has(credential))
    return []
  const why = rule.static === false ? 'says `static: false`' : 'has regulated data'
  return [
    error(
      name === undefined ? 'static-credential' : 'profile-credential',
      `rule \`${id}\` ${why} and names the credential \`${credential}\`: a static secret is worth the same after the task as during it`,
      'have it minted for each task, see docs/credentials.md, or leave `credential` out',
    ),
  ]
}

function reviewObserving(rule: Rule): Finding[] {
  if (!rule.observe) return []
  return [error('profile-observe', `${title(rule)} only observes`, 'take `observe: true` out')]
}

function reviewClass(rule: Rule, { name, data }: Profile): Finding[] {
  if (rule.data !== undefined && !isAbove(data, rule.data)) return []
  const said = rule.data === undefined ? 'names no class' : `has \`data: ${rule.data}\``
  const message = `${title(rule)} ${said}, and \`${name}\` demands ${data} at the least`
  return [error('profile-class', message, `write \`data: ${data}\``)]
}

function reviewNames(rule: Rule, { name, category, regulation }: Profile): Finding[] {
  if (rule.category === undefined && rule.regulation === undefined)
    return [
      error(
        'profile-category',
        `${title(rule)} and does not say what it is that is regulated`,
        describeNames({ category, regulation }),
      ),
    ]
  return [
    ...missing('category', category, rule.category, name, rule),
    ...missing('regulation', regulation, rule.regulation, name, rule),
  ]
}

function describeNames({ category, regulation }: Pick<Profile, 'category' | 'regulation'>): string {
  const keys: string[] = []
  if (category.length > 0) keys.push(`\`category: ${category.join(', ')}\``)
  if (regulation.length > 0) keys.push(`\`regulation: ${regulation.join(', ')}\``)
  return keys.length > 0 ? `write ${keys.join(' and ')}` : 'write `category:` or `regulation:`'
}

function missing(
  key: 'category' | 'regulation',
  demanded: readonly string[],
  written: readonly string[] | undefined,
  name: string,
  rule: Rule,
): Finding[] {
  const absent = demanded.filter((each) => written?.includes(each) !== true)
  if (absent.length === 0) return []
  const names = absent.join(', ')
  const message = `${title(rule)} does not name ${names}, as \`${name}\` demands`
  return [error('profile-category', message, `add ${names} to \`${key}\``)]
}

function reviewSurroundings(rule: Rule, { sinks, journal }: Surroundings): Finding[] {
  const findings: Finding[] = []
  const demand = (code: string, what: string, hint: string): void => {
    findings.push(error(code, `${title(rule)}, and ${what}`, hint))
  }
  if (sinks.length === 0)
    demand('profile-sinks', 'no sink takes its records', 'configure one under `sinks:`')
  for (const { name, onBacklogFull } of sinks)
    if (onBacklogFull !== 'deny')
      demand(
        'profile-sinks',
        `the sink \`${name}\` drops records once it is far behind`,
        'write `onBacklogFull: deny` for every sink',
      )
  if (journal.sync !== 'disk')
    demand(
      'profile-sync',
      'its records do not survive the death of the machine',
      'write `journal: { sync: disk }`',
    )
  return findings
}

function title({ id, profile: name = '' }: Rule): string {
  return `rule \`${id}\` is regulated (\`profile: ${name}\`)`
}

function error(code: string, message: string, hint: string): Finding {
  return { severity: 'error', message, hint, code }
}
