// Parameters: where a rule uses which, and whether a task's values fit. Pure; called by `compile.ts` and `check.ts`.

import { EgressError } from '../errors.ts'
import { normalizeHost } from '../wire/authority.ts'
import { patternsOf } from './inside.ts'
import { findPathValueFault } from './path-pattern.ts'
import type { Problem } from './problem.ts'
import { compileRe2 } from './re2.ts'
import type { Param, Rule, RuleSet } from './rule-set.ts'
import { suggestName } from './suggest.ts'
import type { ParamValues, Part } from './template.ts'

/** Names of parameters by where they stand. */
export interface ParamUse {
  readonly hosts: ReadonlySet<string>
  readonly paths: ReadonlySet<string>
  /** In `query` and `headers`, and in the keys that look inside calls. */
  readonly values: ReadonlySet<string>
  /** In conditions. */
  readonly conditions: ReadonlySet<string>
}

const VALUE_LENGTH_MAX = 1024

/** Finds where the rules of a set use parameters. */
export function findParamUse(rules: readonly Rule[]): ParamUse {
  const destinations = rules.flatMap((rule) => rule.destinations)
  const paths = [
    ...rules.flatMap((rule) => rule.paths ?? []),
    ...destinations.map(({ path }) => path).filter((path) => path !== undefined),
  ]
  const values = rules.flatMap(({ query = [], headers = [], inside }) => [
    ...[...query, ...headers].flatMap(({ alternatives }) => alternatives),
    ...(inside ? patternsOf(inside) : []),
  ])
  return {
    hosts: new Set(destinations.flatMap(({ host }) => (host.kind === 'param' ? host.name : []))),
    paths: namesIn(
      paths.flatMap(({ segments }) => segments.filter((segment) => segment !== 'deep')),
    ),
    values: namesIn(values),
    conditions: new Set(rules.flatMap(({ when }) => (when ? paramsOf(when.text) : []))),
  }
}

// `task.params.name`, `task.params["name"]`, `"name" in task.params`.
function paramsOf(condition: string): string[] {
  const named = condition.matchAll(/\bparams\s*(?:\.\s*([\w-]+)|\[\s*["']([\w-]+)["'])/g)
  const asked = condition.matchAll(/["']([\w-]+)["']\s+in\s+task\s*\.\s*params\b/g)
  return [...named, ...asked].flatMap(([, one, other]) => one ?? other ?? [])
}

function namesIn(templates: readonly (readonly Part[])[]): Set<string> {
  return new Set(templates.flat().flatMap((part) => (part.kind === 'param' ? part.name : [])))
}

/** Finds what is wrong with a task's values for the sets in force: missing, unfit, or for no parameter at all. */
export function checkValues(sets: readonly RuleSet[], params: ParamValues): Problem[] {
  return [...sets.flatMap((set) => checkSet(set, params)), ...checkUnknown(sets, params)]
}

function checkUnknown(sets: readonly RuleSet[], params: ParamValues): Problem[] {
  const known = new Set(sets.flatMap((set) => [...set.params.keys()]))
  const unknown = Object.keys(params).filter((name) => !known.has(name))
  return unknown.map((name) => {
    const near = suggestName(name, known)
    return {
      file: sets.at(-1)?.file ?? '',
      line: 1,
      column: 1,
      severity: 'error',
      message: `the task has a value for \`${name}\`, which no rule set in force declares`,
      ...(near !== undefined && { hint: `did you mean \`${near}\`?` }),
      code: 'param-unknown',
    }
  })
}

function checkSet(set: RuleSet, params: ParamValues): Problem[] {
  const use = findParamUse(set.rules)
  const problems: Problem[] = []
  for (const [name, param] of set.params) {
    const found = Object.hasOwn(params, name)
      ? findFault(name, params[name] ?? '', param, use)
      : { message: `the task has no value for \`${name}\``, code: 'param-missing' }
    if (found) problems.push({ file: set.file, ...param.place, severity: 'error', ...found })
  }
  return problems
}

function findFault(
  name: string,
  value: string,
  { pattern }: Param,
  use: ParamUse,
): Pick<Problem, 'message' | 'code'> | undefined {
  const unfit = (what: string): Pick<Problem, 'message' | 'code'> => ({
    message: `the value of \`${name}\` ${what}`,
    code: 'param-value',
  })
  if (value.length > VALUE_LENGTH_MAX) return unfit(`is longer than ${VALUE_LENGTH_MAX} characters`)
  const compiled = compileRe2(pattern)
  if ('fault' in compiled || !compiled.matches(value)) return unfit(`does not match \`${pattern}\``)
  if (use.hosts.has(name) && !isHostName(value)) return unfit('has to be one host name')
  const fault = use.paths.has(name) ? findPathValueFault(value) : undefined
  return fault === undefined ? undefined : unfit(fault)
}

function isHostName(value: string): boolean {
  try {
    return normalizeHost(value).kind === 'name'
  } catch (error) {
    if (error instanceof EgressError) return false
    throw error
  }
}
