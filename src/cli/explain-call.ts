// `explain --call`: a recorded call or message decided again, under the rules that were in force and under those of now, and
// what its record cannot tell. Called by `explain.ts`.

import type { Config } from '../config/config.ts'
import { readKeptRules } from '../config/kept-rules.ts'
import { pinnedFinderFor } from '../config/pinned-rules.ts'
import { compileTaskPolicy, loadRuleSets, type TaskRules } from '../config/rules.ts'
import { RulesThenReader } from '../config/rules-then.ts'
import type { PolicyChain } from '../policy/conjunction.ts'
import { factsOf } from '../policy/facts.ts'
import {
  decideAgain,
  isSameOutcome,
  recordedOutcome,
  type DecidedAgain,
  type Outcome,
} from '../record/again/decide.ts'
import {
  findCall,
  readCircumstances,
  type Circumstances,
  type FoundCall,
} from '../record/again/find.ts'
import type { DefinedTask } from '../record/again/defined.ts'
import { escapeUnprintable } from '../record/printable.ts'
import { renderRecord } from '../record/read/render.ts'
import { staticTaskOf } from './common.ts'
import { EXIT_CODES, paintFor, UsageError, type CommandIo } from './io.ts'
import { printTrace } from './trace.ts'

/** One side of the comparison. */
interface Side {
  readonly again: DecidedAgain | undefined
  /** Why it could not be decided by these rules. */
  readonly why: string | undefined
}

const LOADED_TRIED_MAX = 50

/**
 * Explains a recorded call.
 * @param showTask what a running sidecar says of a task that the journal has no beginning of any more
 * @returns the exit code: of the decision now, or as it was recorded where that cannot be told
 */
export async function explainRecorded(
  config: Config,
  id: string,
  showTask: (taskId: string) => Promise<DefinedTask | undefined>,
  json: boolean,
  io: CommandIo,
): Promise<number> {
  const found = await findCall(config.journal.dir, id)
  if (found === undefined)
    throw new UsageError(`there is no call or message ${id} in ${config.journal.dir}`)
  const { task, chain } = found.record.sallyport
  const path = task?.path ?? []
  const known = await readCircumstances(config.journal.dir, chain?.seq ?? Infinity, path)
  const defined = await defineTasks(config, path, known, showTask)
  const then = decideThen(config, found, known, defined)
  const now = decideNow(config, found, defined)
  const recorded = recordedOutcome(found.record)
  if (json) io.out(`${JSON.stringify(toJson(found, recorded, then, now))}\n`)
  else print(found, recorded, then, now, io)
  const { verdict } = now.again?.outcome ?? recorded ?? { verdict: 'deny' }
  return verdict === 'hold' ? 3 : verdict === 'allow' ? EXIT_CODES.ok : EXIT_CODES.no
}

// The task's own definition and those of the tasks above it, or the id of one that nobody knows any more.
async function defineTasks(
  config: Config,
  path: readonly string[],
  { tasks }: Circumstances,
  showTask: (taskId: string) => Promise<DefinedTask | undefined>,
): Promise<readonly TaskRules[] | string> {
  const own = staticTaskOf(config)
  const defined: TaskRules[] = []
  for (const id of path.toReversed()) {
    const one =
      tasks.get(id) ?? (own?.id === id ? { ...own, facts: factsOf(own) } : await showTask(id))
    if (one === undefined) return id
    defined.push(one)
  }
  return defined
}

function decideThen(
  config: Config,
  found: FoundCall,
  { loaded }: Circumstances,
  chain: readonly TaskRules[] | string,
): Side {
  if (typeof chain === 'string') return unknownTask(chain)
  if (chain.length === 0) return aside(found)
  const reader = new RulesThenReader(
    (version) => readKeptRules(config.stateDir, version),
    config.limits,
  )
  const wanted = found.record.sallyport.decision?.policy
  let why = 'the journal has no record of the rules that were loaded then'
  // A call may be decided by the rules before those that were in force when it was written down.
  for (const { sets, always } of loaded.slice(0, LOADED_TRIED_MAX)) {
    const { policies, missing } = reader.compile(sets, always, chain)
    if (policies === undefined) {
      why = `these rules are not kept any more: ${missing.join(', ')}`
      continue
    }
    const again = decideAgain(found, policies)
    if (wanted === undefined || again.policy === undefined || again.policy === wanted)
      return { again, why: undefined }
    why = 'none of the rules that were loaded before it has the digest that its record names'
  }
  return { again: undefined, why }
}

function decideNow(config: Config, found: FoundCall, chain: readonly TaskRules[] | string): Side {
  if (typeof chain === 'string') return unknownTask(chain)
  if (chain.length === 0) return aside(found)
  const { sets } = loadRuleSets(config.rules.dir, config.limits)
  const findPinned = pinnedFinderFor(config)
  const [own, ...above] = chain.map((task) =>
    compileTaskPolicy(sets, config.rules.always, task, { findPinned }),
  )
  const broken = [own, ...above].find((each) => each?.policy === undefined)
  if (broken !== undefined || own?.policy === undefined)
    return { again: undefined, why: broken?.problems[0]?.message ?? 'there are no rules' }
  const policies: PolicyChain = [
    own.policy,
    ...above.flatMap(({ policy }) => (policy === undefined ? [] : [policy])),
  ]
  return { again: decideAgain(found, policies), why: undefined }
}

function unknownTask(id: string): Side {
  return { again: undefined, why: `the journal has no record of how ${id} began` }
}

function aside({ record }: FoundCall): Side {
  return { again: undefined, why: `it was of no task: ${record.event.reason ?? ''}` }
}

function toJson(found: FoundCall, recorded: Outcome | undefined, then: Side, now: Side): object {
  return {
    record: found.record,
    recorded,
    policy: found.record.sallyport.decision?.policy,
    underRulesThen: { ...then.again, why: then.why, same: isSame(recorded, then) },
    underRulesNow: { ...now.again, why: now.why, same: isSame(recorded, now) },
    rulesChanged: rulesChanged(found, now),
  }
}

// Null where that cannot be told.
function isSame(recorded: Outcome | undefined, { again }: Side): boolean | null {
  if (recorded === undefined || again?.outcome === undefined) return null
  return isSameOutcome(recorded, again.outcome)
}

function rulesChanged({ record }: FoundCall, { again }: Side): boolean | null {
  const then = record.sallyport.decision?.policy
  if (then === undefined || again?.policy === undefined) return null
  return then !== again.policy
}

function print(
  found: FoundCall,
  recorded: Outcome | undefined,
  then: Side,
  now: Side,
  io: CommandIo,
): void {
  const paint = paintFor(io)
  const line = (name: string, text: string): void =>
    io.out(`${paint.bold(name.padEnd(8))} ${text}\n`)
  io.out(`${renderRecord(found.record, io.color)}\n`)
  line('recorded', outcomeText(recorded, io) ?? 'no decision')
  line('then', sideText(recorded, then, io))
  line('now', sideText(recorded, now, io))
  const { decision } = found.record.sallyport
  const changed = rulesChanged(found, now)
  if (changed === true)
    line('rules', `changed since: ${decision?.policy ?? ''} then, ${now.again?.policy ?? ''} now`)
  else if (changed === false) line('rules', `the same as then: ${decision?.policy ?? ''}`)
  const missing = new Set([...(then.again?.missing ?? []), ...(now.again?.missing ?? [])])
  for (const one of missing) line('untold', escapeUnprintable(`a record does not have ${one}`))
  printTrace(now.again?.trace ?? [], io)
}

function sideText(recorded: Outcome | undefined, side: Side, io: CommandIo): string {
  const { again, why } = side
  if (again === undefined) return escapeUnprintable(`cannot be told: ${why ?? ''}`)
  if (again.aside !== undefined) return again.aside
  const text = outcomeText(again.outcome, io)
  if (text === undefined) return 'cannot be told from the record'
  const paint = paintFor(io)
  return isSame(recorded, side) === true
    ? `${text} ${paint.dim('(the same)')}`
    : `${text} ${paint.yellow('(another)')}`
}

function outcomeText(outcome: Outcome | undefined, io: CommandIo): string | undefined {
  if (outcome === undefined) return undefined
  const paint = paintFor(io)
  const { verdict, reason, rule, wouldDeny } = outcome
  const word = verdict === 'allow' ? paint.green('allow') : paint.red('deny')
  const why = verdict === 'allow' ? '' : ` ${reason}`
  const by = rule === undefined ? '' : ` by ${rule.name}`
  const observed = wouldDeny === undefined ? '' : `, observed only: it would be ${wouldDeny}`
  return `${word}${escapeUnprintable(`${why}${by}${observed}`)}`
}
