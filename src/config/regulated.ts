// What a configuration and the rules with a profile demand of each other, of all sets together: said alike by a start, by a
// changed file and by `check`. Pure; called by `rules.ts` and `check-installation.ts`.

import { type CredentialDefinition } from '../credentials/definition.ts'
import { isStaticSource } from '../credentials/source-definition.ts'
import type { Decision } from '../policy/decision.ts'
import type { Problem } from '../policy/problem.ts'
import {
  checkProfiledRules,
  checkSurroundings,
  lifetimeBoundOf,
  type Surroundings,
} from '../policy/profiles.ts'
import type { RuleSet } from '../policy/rule-set.ts'
import { formatDuration } from '../wire/units.ts'
import { splitReference, type FindPinned } from './pinned-rules.ts'

/** What a configuration has around its rules. */
export function surroundingsOf(
  config: Omit<Surroundings, 'staticCredentials'> & {
    readonly credentials: readonly Pick<CredentialDefinition, 'name' | 'source'>[]
  },
): Surroundings {
  const { profiles, sinks, journal, credentials } = config
  const isStatic = credentials.filter(({ source }) => isStaticSource(source))
  const staticCredentials = new Set(isStatic.map(({ name }) => name))
  return { profiles, sinks, journal, staticCredentials }
}

/** The decision as a call gets it: refused where it is given a credential that its rules refuse. */
export function refuseStatic(
  decision: Decision,
  { staticCredentials }: Pick<Surroundings, 'staticCredentials'>,
): Decision {
  const { credential, static: allowed } = decision.obligations
  if (decision.verdict === 'deny' || allowed !== false || credential === undefined) return decision
  if (!staticCredentials.has(credential)) return decision
  return { ...decision, verdict: 'deny', reason: 'credential-unavailable' }
}

/** Whose rules are looked over. */
export interface RegulatedDemands {
  readonly around: Surroundings
  /** `rules.always` of the configuration. */
  readonly always: readonly string[]
  /** The static task; undefined: there is none, and any set may be given to a task that is made. */
  readonly task: { readonly rules: readonly string[]; readonly lifetimeMs?: number } | undefined
}

/** Looks over the rules of all sets that have a profile. */
export function checkRegulated(
  sets: ReadonlyMap<string, RuleSet>,
  demands: RegulatedDemands,
): Problem[] {
  const { profiles } = demands.around
  return [
    ...[...sets.values()].flatMap((set) => checkProfiledRules(set, profiles)),
    ...checkAround(sets, demands),
  ]
}

/** Looks over what is around those that are in use, and how long the static task lives. */
export function checkAround(
  sets: ReadonlyMap<string, RuleSet>,
  { around, always, task }: RegulatedDemands,
): Problem[] {
  const used = setsOf(sets, [...(task?.rules ?? []), ...always])
  const others = task === undefined ? [...sets.values()].filter((set) => !used.includes(set)) : []
  return [
    ...used.flatMap((set) => checkSurroundings(set, around)),
    ...checkLifetime(used, around, task?.lifetimeMs),
    ...others.flatMap((set) => checkSurroundings(set, around)).map(offer),
  ]
}

// Any set may be asked for by a task that is made, which is refused then; nothing is wrong before.
function offer(problem: Problem): Problem {
  const { message } = problem
  return { ...problem, severity: 'warning', message: `no task can be given this set: ${message}` }
}

/**
 * The sets of these names, each once.
 * @param findPinned finds those that are pinned and not in force any more; absent: what is in force stands for them
 */
export function setsOf(
  sets: ReadonlyMap<string, RuleSet>,
  names: readonly string[],
  findPinned?: FindPinned,
): readonly RuleSet[] {
  const found = names.map((reference) => {
    const { name, version } = splitReference(reference)
    const inForce = sets.get(name)
    if (version === undefined || version === inForce?.version) return inForce
    return findPinned?.(name, version) ?? inForce
  })
  return [...new Set(found.filter((set) => set !== undefined))]
}

function checkLifetime(
  used: readonly RuleSet[],
  { profiles }: Surroundings,
  lifetimeMs: number | undefined,
): Problem[] {
  const bound = lifetimeBoundOf(used, profiles)
  if (bound === undefined || lifetimeMs === undefined || lifetimeMs <= bound.lifetimeMs) return []
  const found = used
    .flatMap(({ file, rules }) => rules.map((rule) => ({ file, rule })))
    .find(({ rule }) => rule.profile === bound.profile)
  if (found === undefined) return []
  const { file, rule } = found
  const longest = formatDuration(bound.lifetimeMs)
  return [
    {
      file,
      ...rule.place,
      severity: 'error',
      message: `rule \`${rule.id}\` is regulated (\`profile: ${bound.profile}\`), and the task lives longer than ${longest}`,
      hint: `write \`task: { expires: ${longest} }\` at the most`,
      code: 'profile-lifetime',
    },
  ]
}
