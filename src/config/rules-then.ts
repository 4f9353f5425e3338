// The rules that were in force when a call was decided, compiled again from the texts that are kept by digest. Deliberately does
// not decide. Called by the command line.

import type { Limits } from '../limits.ts'
import type { Policy } from '../policy/compile.ts'
import type { PolicyChain } from '../policy/conjunction.ts'
import type { RuleSet } from '../policy/rule-set.ts'
import { makePinnedFinder, splitReference, type FindPinned } from './pinned-rules.ts'
import { compileTaskPolicy, type TaskRules } from './rules.ts'

/** Rules as they were, or the digests of files that are not kept. */
export interface RulesThen {
  readonly policies: PolicyChain | undefined
  /** `NAME@sha256:…` of the sets whose text is missing or cannot be read any more. */
  readonly missing: readonly string[]
}

/** Compiles what was in force. */
export class RulesThenReader {
  readonly #find: FindPinned

  /** @param textOf gives the text of a rule file by its digest */
  constructor(
    textOf: (version: string) => string | undefined,
    limits: Pick<Limits, 'ruleFileBytesMax' | 'rulesPerSetMax'>,
  ) {
    this.#find = makePinnedFinder(textOf, limits)
  }

  /**
   * Compiles the policies of a task and of those above it.
   * @param loaded `NAME@sha256:…` of every set that was in force
   * @param always names of those that bind every task
   * @param chain the task's own rules, the parent's, and so on up to the root's
   */
  compile(
    loaded: readonly string[],
    always: readonly string[],
    chain: readonly TaskRules[],
  ): RulesThen {
    const versions = new Map(loaded.map(splitVersion))
    const named = [...always, ...chain.flatMap(({ rules }) => rules)]
    const sets = new Map<string, RuleSet>()
    const missing = new Set<string>()
    for (const reference of named) {
      const { name, version: pinned } = splitReference(reference)
      const version = pinned ?? versions.get(name)
      const set = version === undefined ? undefined : this.#find(name, version)
      if (set === undefined) missing.add(version === undefined ? name : `${name}@${version}`)
      else if (pinned === undefined) sets.set(name, set)
    }
    if (missing.size > 0) return { policies: undefined, missing: [...missing] }
    const [own, ...above] = chain.flatMap((task): (Policy | undefined)[] => [
      compileTaskPolicy(sets, always, task, { findPinned: this.#find }).policy,
    ])
    if (own === undefined || !above.every((policy) => policy !== undefined))
      return { policies: undefined, missing: [] }
    return { policies: [own, ...above], missing: [] }
  }
}

function splitVersion(written: string): [name: string, version: string] {
  const at = written.lastIndexOf('@')
  return [written.slice(0, at), written.slice(at + 1)]
}
