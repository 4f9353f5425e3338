// Rule sets by the digests of their texts: what a task pins is decided by as it was, however its file has changed since. Reads what
// `kept-rules.ts` keeps. Made by `open-rules.ts`, `task-room.ts` and the command line.

import { LRUCache } from 'lru-cache'

import type { Limits } from '../limits.ts'
import { parseRuleSet } from '../policy/parse.ts'
import type { RuleSet } from '../policy/rule-set.ts'
import type { Task } from '../tasks/task.ts'
import type { Config } from './config.ts'
import { readKeptRules } from './kept-rules.ts'

/** Finds a rule set as it was; undefined where its text is not kept, or is of another set. */
export type FindPinned = (name: string, version: string) => RuleSet | undefined

const SETS_MAX = 1000
const FILE_CHARACTERS = 'sha256:'.length + 12

/**
 * Makes what finds rule sets by their digests.
 * @param textOf gives a text by its `sha256:` digest
 */
export function makePinnedFinder(
  textOf: (version: string) => string | undefined,
  limits: Pick<Limits, 'ruleFileBytesMax' | 'rulesPerSetMax'>,
): FindPinned {
  const sets = new LRUCache<string, RuleSet>({ max: SETS_MAX })
  return (name, version) => {
    let set = sets.get(version)
    if (set === undefined) {
      const text = textOf(version)
      set = text === undefined ? undefined : readSetText(text, version, limits)
      // One that is not there may be kept by the next time.
      if (set !== undefined) sets.set(version, set)
    }
    return set?.name === name ? set : undefined
  }
}

/** Reads a text that is kept; undefined where it is no rule set of that digest. */
export function readSetText(
  text: string,
  version: string,
  limits: Pick<Limits, 'ruleFileBytesMax' | 'rulesPerSetMax'>,
): RuleSet | undefined {
  // The beginning of a digest tells versions apart where people read.
  const { ruleSet } = parseRuleSet(text, version.slice(0, FILE_CHARACTERS), limits)
  return ruleSet?.version === version ? ruleSet : undefined
}

/** Makes it for the texts that a sidecar keeps. */
export function pinnedFinderFor({
  stateDir,
  limits,
}: Pick<Config, 'stateDir' | 'limits'>): FindPinned {
  return makePinnedFinder((version) => readKeptRules(stateDir, version), limits)
}

/** The digests that tasks pin. */
export function pinsOf(tasks: Iterable<Pick<Task, 'rules'>>): ReadonlySet<string> {
  const pins = new Set<string>()
  for (const { rules } of tasks)
    for (const reference of rules) {
      const { version } = splitReference(reference)
      if (version !== undefined) pins.add(version)
    }
  return pins
}

/** A reference to a rule set, `NAME` or `NAME@sha256:…`, in its parts. */
export function splitReference(reference: string): {
  readonly name: string
  readonly version: string | undefined
} {
  const at = reference.indexOf('@')
  return at < 0
    ? { name: reference, version: undefined }
    : { name: reference.slice(0, at), version: reference.slice(at + 1) }
}
