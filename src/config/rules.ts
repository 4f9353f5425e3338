// From rule files to rule sets, and from the sets a task names to its policy: read, compiled and tested, with every problem.
// Deliberately does not watch anything: that is `rule-watch.ts`. Called by it and by the command line.

import { DEFAULT_LIMITS, type Limits } from '../limits.ts'
import { checkRuleSet } from '../policy/check.ts'
import { checkTests } from '../policy/rule-tests.ts'
import type { TaskFacts } from '../policy/facts.ts'
import { readContentLater } from '../understand/content-reader.ts'
import { compilePolicy, type Policy } from '../policy/compile.ts'
import { parseRuleSet } from '../policy/parse.ts'
import type { Problem } from '../policy/problem.ts'
import { checkSurroundings, type Surroundings } from '../policy/profiles.ts'
import { findGuarded, type GuardedRule } from '../policy/guarded.ts'
import type { RuleSet } from '../policy/rule-set.ts'
import type { Task } from '../tasks/task.ts'
import { splitReference, type FindPinned } from './pinned-rules.ts'
import { checkRegulated } from './regulated.ts'
import { RuleFileReader, type RuleFilesRead } from './rule-files.ts'
import { gatherGroups, readBeside } from './rule-groups.ts'
import { suggestName } from '../policy/suggest.ts'

/** All sets of a directory. */
export interface LoadedRuleSets {
  /** By name. */
  readonly sets: ReadonlyMap<string, RuleSet>
  /** What each of them says, with the groups of other files that it uses, by its version. */
  readonly texts: ReadonlyMap<string, string>
  readonly problems: readonly Problem[]
}

/** What a task says of its rules. */
export interface TaskRules extends Pick<Task, 'rules' | 'params'> {
  /** Undefined: unknown, so that no allow for an environment matches and every deny for one does. */
  readonly environment: string | undefined
  /** What nothing allows passes. */
  readonly observe?: boolean
  /** What else of the task rules may look at; absent: nothing of it is known. */
  readonly facts?: TaskFacts
}

/** The code of the problem that a task which observes is given rules for guarded data. */
export const OBSERVE_GUARDED = 'observe-guarded'

const WITHDRAWN: ReadonlySet<string> = new Set([
  'missing-rule-set',
  'pin-mismatch',
  OBSERVE_GUARDED,
])

/** The bounds of rule files. */
type RuleLimits = Pick<Limits, 'ruleFileBytesMax' | 'rulesPerSetMax'>

/** What is asked of rules beyond that each set is sound. */
export interface RuleDemands {
  readonly limits: RuleLimits
  /** `rules.always` of the configuration. */
  readonly always: readonly string[]
  /** The static task. */
  readonly task: (TaskRules & { readonly lifetimeMs?: number }) | undefined
  /** What regulated rules have around them. */
  readonly around: Surroundings
  /** Finds what the task pins and is not in force any more. */
  readonly findPinned?: FindPinned
}

/** Rules that were found sound, all together. */
export interface LoadedRules extends Pick<LoadedRuleSets, 'sets' | 'texts'> {
  /** The static task's; undefined where there is no task, or a set of it is missing or not the pinned one. */
  readonly policy: Policy | undefined
  /** Warnings, and why the task has no policy. */
  readonly problems: readonly Problem[]
  /** Over the names and contents of all files. */
  readonly digest: string
}

/**
 * Reads and parses rule files, and every `*.yaml` below directories; a place that does not exist holds none. A file that is
 * named by itself may use groups of those beside it.
 */
export function loadRuleSets(
  places: string | readonly string[],
  limits: RuleLimits = DEFAULT_LIMITS,
): LoadedRuleSets {
  const list = typeof places === 'string' ? [places] : places
  const { ruleFileBytesMax } = limits
  const { files } = new RuleFileReader(list, ruleFileBytesMax).read()
  return parseRuleFiles(files, limits, readBeside(list, files, ruleFileBytesMax))
}

function parseRuleFiles(
  files: RuleFilesRead['files'],
  limits: RuleLimits,
  beside: RuleFilesRead['files'] = [],
): LoadedRuleSets {
  const sets = new Map<string, RuleSet>()
  const texts = new Map<string, string>()
  const places = new Map<string, string>()
  const { groups, problems: twice } = gatherGroups([...beside, ...files])
  const problems: Problem[] = [...twice]
  for (const { file, text, failure } of files) {
    if (text === undefined) {
      problems.push(problemIn(file, 'file-unreadable', failure ?? 'the file cannot be read'))
      continue
    }
    const parsed = parseRuleSet(text, file, limits, groups)
    problems.push(...parsed.problems)
    if (parsed.ruleSet === undefined) continue
    const { name } = parsed.ruleSet
    const other = places.get(name)
    if (other === undefined) {
      sets.set(name, parsed.ruleSet)
      texts.set(parsed.ruleSet.version, parsed.text ?? text)
      places.set(name, file)
    } else
      problems.push(problemIn(file, 'duplicate', `the rule set \`${name}\` is in ${other} too`))
  }
  return { sets, texts, problems }
}

/** What compiling a task's rules takes into account beside them. */
interface RuleContext {
  /** What regulated rules have around them. */
  readonly around?: Surroundings
  /** Finds sets as they were before; absent: what is pinned has to be in force. */
  readonly findPinned?: FindPinned | undefined
}

/**
 * Compiles the policy of a task from the sets it names, in its order.
 * @param context what else is asked; what is absent nobody asks for
 * @returns no policy where a set is missing, is not the pinned one, or does not compile with the task's parameters
 */
export function compileTaskPolicy(
  sets: ReadonlyMap<string, RuleSet>,
  always: readonly string[],
  task: TaskRules,
  { around, findPinned }: RuleContext = {},
): { readonly policy?: Policy; readonly problems: readonly Problem[] } {
  const problems: Problem[] = []
  const find = (reference: string): RuleSet[] => {
    const { name, version } = splitReference(reference)
    const set = sets.get(name)
    if (set !== undefined && (version === undefined || version === set.version)) return [set]
    const pinned = version === undefined ? undefined : findPinned?.(name, version)
    if (pinned !== undefined) return [pinned]
    problems.push(version === undefined ? missingSet(name, sets) : missingPin(name, set))
    return []
  }
  const named = task.rules.flatMap(find)
  const binding = always.flatMap(find)
  if (around)
    problems.push(...[...named, ...binding].flatMap((set) => checkSurroundings(set, around)))
  if (problems.length > 0) return { problems }
  const { params, environment, facts, observe } = task
  if (observe === true) problems.push(...findGuarded([...named, ...binding]).map(guardedProblem))
  if (problems.length > 0) return { problems }
  return compilePolicy({
    sets: named,
    always: binding,
    params,
    task: {
      params,
      ...facts,
      ...(environment !== undefined && { environment }),
      ...(observe === true && { observe }),
    },
  })
}

function missingPin(name: string, set: RuleSet | undefined): Problem {
  const file = set?.file ?? 'rules'
  return {
    ...problemIn(
      file,
      'pin-mismatch',
      `the rule set \`${name}\` is not the pinned one, whose text is not kept`,
    ),
    hint: set === undefined ? 'no set of that name is in force' : `it is ${set.version}`,
  }
}

/** The problem of a set that is named and not there. */
export function missingSet(name: string, sets: ReadonlyMap<string, RuleSet>): Problem {
  const meant = suggestName(name, sets.keys())
  const hint =
    meant === undefined
      ? `known: ${[...sets.keys()].join(', ') || 'none'}`
      : `did you mean \`${meant}\`?`
  return { ...problemIn('rules', 'missing-rule-set', `there is no rule set \`${name}\``), hint }
}

/**
 * Judges one reading of the files: sound together, or every problem and no rules. What `check` calls an error in one set is one
 * here.
 * @param passed versions of sets that were sound before: what is asked of a set by itself depends on nothing but its text
 */
export function judgeRules(
  read: RuleFilesRead,
  demands: RuleDemands,
  passed: ReadonlySet<string>,
): { readonly rules?: LoadedRules; readonly problems: readonly Problem[] } {
  const { sets, texts, problems: parsed } = parseRuleFiles(read.files, demands.limits)
  const problems = [...parsed]
  for (const set of sets.values())
    if (!passed.has(set.version)) problems.push(...findErrors(set), ...failedTests(set))
  for (const name of demands.always) if (!sets.has(name)) problems.push(missingSet(name, sets))
  problems.push(...checkRegulated(sets, demands))
  if (problems.some(({ severity }) => severity === 'error')) return { problems }
  const { digest } = read
  if (demands.task === undefined)
    return { rules: { sets, texts, policy: undefined, problems, digest }, problems }
  const { always, task, findPinned } = demands
  const { policy, problems: own } = compileTaskPolicy(sets, always, task, { findPinned })
  // A set that is gone or is another one than pinned leaves the task without a policy: what was withdrawn stays so.
  // So does one that guards what a task that observes must not come near.
  const withdrawn = own.some(({ code }) => WITHDRAWN.has(code))
  problems.push(...own)
  if (policy === undefined && !withdrawn) return { problems }
  return { rules: { sets, texts, policy, problems, digest }, problems }
}

function guardedProblem({ file, rule: { id, place } }: GuardedRule): Problem {
  return {
    file,
    ...place,
    severity: 'error',
    message: `a task that observes is given the rule \`${id}\`, whose data is guarded`,
    hint: 'let the task enforce its rules, or give it sets without this one',
    code: OBSERVE_GUARDED,
  }
}

function findErrors(set: RuleSet): Problem[] {
  return checkRuleSet(set).filter(({ severity }) => severity === 'error')
}

/** Runs a set's own tests; each that fails is a problem. */
export function failedTests(set: RuleSet): Problem[] {
  return checkTests(set, readContentLater)
    .filter(({ passed }) => !passed)
    .map(({ name, expected, got, file, line, column }) => ({
      file,
      line,
      column,
      severity: 'error',
      message: `the test \`${name}\` expected ${expected} and got ${got}`,
      code: 'test-failed',
    }))
}

function problemIn(file: string, code: string, message: string): Problem {
  return { file, line: 1, column: 1, severity: 'error', message, code }
}
