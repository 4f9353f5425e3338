// Turns what a schema found into problems that say what is wrong, where, and how to mend it. Pure; called by `parse.ts`.

import type { z } from 'zod'

import { KEYS } from './grammar.ts'
import type { Problem } from './problem.ts'
import { NOT_SERVED, type Section } from './reserved.ts'
import type { Verdict } from './rule-set.ts'
import { suggestName } from './suggest.ts'
import { valueAt, type KeyPath, type YamlText } from './yaml-text.ts'

/** Collects the problems of one file. */
export class Report {
  readonly problems: Problem[] = []
  readonly #yaml: YamlText
  readonly #file: string

  constructor(yaml: YamlText, file: string) {
    this.#yaml = yaml
    this.#file = file
  }

  /** Adds an error at the key or the value of a path. */
  add(path: KeyPath, what: 'key' | 'value', code: string, message: string, hint?: string): void {
    this.problems.push({
      file: this.#file,
      ...this.#yaml.place(path, what),
      severity: 'error',
      message,
      ...(hint !== undefined && { hint }),
      code,
    })
  }

  /** Adds an error at a character of the text of a path. @param offset in its value */
  addWithin(path: KeyPath, offset: number, message: string, hint?: string): void {
    this.problems.push({
      file: this.#file,
      ...this.#yaml.placeWithin(path, offset),
      severity: 'error',
      message,
      ...(hint !== undefined && { hint }),
      code: 'wrong-condition',
    })
  }

  /** Whether something was found. */
  get hasErrors(): boolean {
    return this.problems.length > 0
  }

  /** The problems in the order of the file. */
  sorted(): Problem[] {
    return this.problems.sort((one, other) => one.line - other.line || one.column - other.column)
  }
}

/** Where a schema was applied. */
export interface Applied {
  readonly section: 'file' | Verdict | 'test'
  /** Path of the value that was read. */
  readonly base: KeyPath
  readonly value: unknown
  /** The verdict key as it was written, where it stands for another. */
  readonly verdictKey?: string
}

/** Adds what a schema found. */
export function reportIssues(
  issues: readonly z.core.$ZodIssue[],
  applied: Applied,
  report: Report,
): void {
  for (const issue of issues) reportIssue(issue, [], applied, report)
}

function reportIssue(
  issue: z.core.$ZodIssue,
  prefix: KeyPath,
  applied: Applied,
  report: Report,
): void {
  const inner = [...prefix, ...issue.path]
  const written = inner.map((key, at) => rename(key, at, applied))
  const path = [...applied.base, ...written]
  const value = valueAt(applied.value, written)
  switch (issue.code) {
    case 'invalid_union': {
      const branch = pickBranch(issue.errors)
      if (branch) for (const below of branch) reportIssue(below, inner, applied, report)
      else report.add(path, 'value', 'wrong-type', issue.message)
      return
    }
    case 'unrecognized_keys':
      for (const key of issue.keys) reportKey(key, path, sectionAt(inner, applied), report)
      return
    case 'invalid_key':
      report.add(path, 'key', 'wrong-name', issue.issues[0]?.message ?? issue.message)
      return
    case 'invalid_value': {
      const near =
        typeof value === 'string' ? suggestName(value, issue.values.map(String)) : undefined
      report.add(path, 'value', 'wrong-value', issue.message, near && `did you mean \`${near}\`?`)
      return
    }
    case 'invalid_type':
      if (value === undefined)
        report.add(path, 'key', 'missing-key', `\`${String(path.at(-1))}\` is missing`)
      else report.add(path, 'value', 'wrong-type', issue.message)
      return
    case 'custom':
      if (typeof issue.params?.['offset'] === 'number')
        report.addWithin(path, issue.params['offset'], issue.message, hintOf(issue.params))
      else report.add(path, 'value', 'wrong-value', issue.message, hintOf(issue.params))
      return
    case 'invalid_element':
    case 'invalid_format':
    case 'not_multiple_of':
    case 'too_big':
    case 'too_small':
      report.add(path, 'value', 'wrong-value', issue.message)
  }
}

function rename(key: PropertyKey, at: number, { section, verdictKey }: Applied): PropertyKey {
  return at === 0 && key === section && verdictKey !== undefined ? verdictKey : key
}

function hintOf(params: Readonly<Record<string, unknown>> | undefined): string | undefined {
  const hint = params?.['hint']
  return typeof hint === 'string' ? hint : undefined
}

// A union's noise is cut to the one branch whose kind of value was written.
function pickBranch(
  branches: readonly (readonly z.core.$ZodIssue[])[],
): readonly z.core.$ZodIssue[] | undefined {
  const fitting = branches.filter(
    (issues) => !issues.some(({ code, path }) => code === 'invalid_type' && path.length === 0),
  )
  // A union in a list of a union says only by its own branches whether it fits.
  return fitting.find((issues) => !issues.every(isUnfitUnion)) ?? undefined
}

function isUnfitUnion(issue: z.core.$ZodIssue): boolean {
  return (
    issue.code === 'invalid_union' &&
    issue.path.length === 0 &&
    pickBranch(issue.errors) === undefined
  )
}

// A key that is unknown where it stands, or known to another verdict or version.
function reportKey(key: string, path: KeyPath, section: Section, report: Report): void {
  const at = [...path, key]
  if (NOT_SERVED[section].includes(key))
    return report.add(
      at,
      'key',
      'not-served',
      `\`${key}\` is not served by this version`,
      'take it out, or wait for the version that brings it: it is refused, not ignored',
    )
  if (isVerdict(section) && VERDICTS.some((other) => KEYS[other].includes(key)))
    return report.add(
      at,
      'key',
      'misplaced-key',
      `\`${key}\` has no meaning on ${section === 'allow' ? 'an allow' : `a ${section}`}`,
      misplacedHint(key, section),
    )
  if (section === 'range' && KEYS.range.includes(key))
    return report.add(
      at,
      'key',
      'misplaced-key',
      `\`${key}\` has no meaning in a group`,
      'write the destinations of the other one',
    )
  const near = suggestName(key, [...KEYS[section], ...NOT_SERVED[section]])
  const hint = near === undefined ? knownHint(section) : `did you mean \`${near}\`?`
  report.add(at, 'key', 'unknown-key', `unknown key \`${key}\``, hint)
}

function misplacedHint(key: string, section: Verdict): string {
  if (key === 'ports') return 'write the port in the destination'
  if (section === 'allow') return `take it out, or write \`hold:\` in place of \`allow:\``
  return 'take it out'
}

const KNOWN_LISTED_MAX = 16

// Of a rule there are too many to be read in one line.
function knownHint(section: Section): string {
  const known = KEYS[section]
  return known.length > KNOWN_LISTED_MAX
    ? 'take it out: docs/rules.md has the keys that there are'
    : `there are ${known.join(', ')}`
}

const VERDICTS: readonly Verdict[] = ['allow', 'deny', 'hold']

function isVerdict(section: Section): section is Verdict {
  return VERDICTS.some((verdict) => verdict === section)
}

function sectionAt(path: KeyPath, { section }: Applied): Section {
  const last = path.at(-1)
  if (path.length === 0) return section
  if (path[0] === 'limit') return 'limit'
  if (path[0] === 'graphql') return 'graphql'
  if (path[0] === 'git') return 'git'
  if (path[0] === 'record') return 'record'
  if (path[0] === 'for') return 'for'
  if (path[0] === 'task') return last === 'owner' || last === 'agent' ? last : 'task'
  if (path[0] === 'after') return 'after'
  if (path[0] === 'between') return 'between'
  if (path[0] === 'params') return 'param'
  if (path[0] === 'hosts') return 'range'
  return last === section || VERDICTS.some((verdict) => verdict === path[0]) ? 'range' : section
}
