// The rules of a sidecar, watched: what was loaded or refused is logged and put on record. Called by `sidecar.ts`.

import type { Problem } from '../policy/problem.ts'
import type { Log } from '../record/log.ts'
import type { CallRecorder } from '../record/recorder.ts'
import type { Task } from '../tasks/task.ts'
import type { Config } from './config.ts'
import { KeptRules } from './kept-rules.ts'
import { pinnedFinderFor, pinsOf } from './pinned-rules.ts'
import { surroundingsOf } from './regulated.ts'
import { RuleWatch } from './rule-watch.ts'
import type { Records } from './records.ts'
import type { LoadedRules } from './rules.ts'

/** What watching rules needs. */
export interface OpenRulesOptions {
  readonly config: Pick<
    Config,
    'credentials' | 'rules' | 'limits' | 'task' | 'stateDir' | 'journal' | 'profiles' | 'sinks'
  >
  readonly log: Log
  readonly records: Pick<Records, 'recorder' | 'overrides'>
  /** The tasks, which are told once others are in force than before; undefined while they are not read yet. */
  readonly room: () => RuledTasks | undefined
}

/** The tasks as rules touch them. */
interface RuledTasks {
  readonly registry: { readonly entries: { readonly live: Iterable<{ readonly task: Task }> } }
  onRulesChanged(before: LoadedRules): void
}

/** Loads the rules and begins to watch them. */
export function openRules({ config, log, records, room }: OpenRulesOptions): RuleWatch {
  const { rules, limits, task, stateDir, journal } = config
  const { recorder, overrides } = records
  const kept = new KeptRules({
    stateDir,
    journal,
    now: Date.now,
    pins: () => pinsInUse(task, room()),
    onProblem: (error) =>
      log.error({ err: error }, 'the rules in force could not be kept for evidence'),
  })
  return new RuleWatch({
    dir: rules.dir,
    limits,
    always: rules.always,
    task,
    around: surroundingsOf(config),
    findPinned: pinnedFinderFor(config),
    onLoaded: (loaded, before) => {
      // First, so that no record names rules that are not kept.
      kept.keep(loaded.texts)
      log.info(
        { sets: loaded.sets.size },
        before ? 'changed rules are in force' : 'rules are in force',
      )
      if (task && loaded.policy === undefined) logProblems(loaded.problems, log)
      overrides.noteObserved(logObserved(loaded, log))
      recordLoaded(loaded, before, rules.always, recorder)
      if (before) room()?.onRulesChanged(before)
    },
    onRefused: (problems) => {
      const errors = logProblems(problems, log)
      log.error('the rule files were refused; what was in force stays so')
      recorder.recordEvent('rules-refused', {
        outcome: 'failure',
        detail: {
          problems: errors.map(
            ({ file, line, column, code }) => `${file}:${line}:${column} ${code}`,
          ),
        },
      })
    },
    onClosed: () => kept.close(),
  })
}

function pinsInUse(
  own: Config['task'],
  tasks: RuledTasks | undefined,
): ReadonlySet<string> | undefined {
  if (tasks === undefined) return undefined
  const live = [...tasks.registry.entries.live].map(({ task }) => task)
  return pinsOf(own === undefined ? live : [own, ...live])
}

function logObserved({ sets }: LoadedRules, log: Log): string[] {
  const observing: string[] = []
  for (const { name, version, rules } of sets.values()) {
    const observed = rules.filter(({ observe }) => observe).map(({ id }) => id)
    if (observed.length === 0) continue
    observing.push(`${name}@${version}`)
    log.warn({ set: name, rules: observed }, 'observe: what these rules refuse passes')
  }
  return observing
}

function recordLoaded(
  { sets, digest, policy }: LoadedRules,
  before: LoadedRules | undefined,
  always: readonly string[],
  recorder: CallRecorder,
): void {
  recorder.recordEvent('rules-loaded', {
    detail: {
      digest,
      ...(before && { before: before.digest }),
      ...(policy && { policy: policy.digest }),
      sets: [...sets.values()].map(({ name, version }) => `${name}@${version}`),
      ...(always.length > 0 && { always }),
    },
  })
}

function logProblems(problems: readonly Problem[], log: Log): Problem[] {
  const errors = problems.filter(({ severity }) => severity === 'error')
  for (const { file, line, column, message } of errors)
    log.error(`${file}:${line}:${column} ${message}`)
  return errors
}
