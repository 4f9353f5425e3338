// The rules that were in force when a call was decided, compiled again from the texts that are kept by digest. Deliberately does
// not decide. Called by the command line.

import type { Limits } from '../limits.ts'
import type { Policy } from '../policy/compile.ts'
import type { PolicyChain } from '../policy/conjunction.ts'
import { parseRuleSet } from '../policy/parse.ts'
import type { RuleSet } from '../policy/rule-set.ts'
import { compileTaskPolicy, type TaskRules } from './rules.ts'

/** Rules as they were, or the digests of files that are not kept. */
export interface RulesThen {
  readonly policies: PolicyChain | undefined
  /** `NAME@sha256:…` of the sets whose text is missing or cannot be read any more. */
  readonly missing: readonly string[]
}

/** Compiles what was in force. */
export class RulesThenReader {
  readonly #textOf: (version: string) => string | undefined
  readonly #limits: Pick<Limits, 'ruleFileBytesMax' | 'rulesPerSetMax'>
  readonly #sets: Map<string, RuleSet | undefined> = new Map()

  /** @param textOf gives the text of a rule file by its digest */
  constructor(
    textOf: (version: string) => string | undefined,
    limits: Pick<Limits, 'ruleFileBytesMax' | 'rulesPerSetMax'>,
  ) {
    this.#textOf = textOf
    this.#limits = limits
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
    const named = [...always, ...chain.flatMap(({ rules }) => rules.map(nameOf))]
    const sets = new Map<string, RuleSet>()
    const missing = new Set<string>()
    for (const name of named) {
      const version = versions.get(name)
      const set = version === undefined ? undefined : this.#read(name, version)
      if (set === undefined) missing.add(version === undefined ? name : `${name}@${version}`)
      else sets.set(name, set)
    }
    if (missing.size > 0) return { policies: undefined, missing: [...missing] }
    const [own, ...above] = chain.flatMap((task): (Policy | undefined)[] => [
      compileTaskPolicy(sets, always, task).policy,
    ])
    if (own === undefined || !above.every((policy) => policy !== undefined))
      return { policies: undefined, missing: [] }
    return { policies: [own, ...above], missing: [] }
  }

  #read(name: string, version: string): RuleSet | undefined {
    if (this.#sets.has(version)) return this.#sets.get(version)
    const text = this.#textOf(version)
    const set =
      text === undefined
        ? undefined
        : parseRuleSet(text, `${name}@${version.slice(0, 19)}`, this.#limits).ruleSet
    this.#sets.set(version, set)
    return set
  }
}

function nameOf(reference: string): string {
  return reference.split('@', 1)[0] ?? reference
}

function splitVersion(written: string): [name: string, version: string] {
  const at = written.lastIndexOf('@')
  return [written.slice(0, at), written.slice(at + 1)]
}
