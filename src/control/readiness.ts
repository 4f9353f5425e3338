// Whether the sidecar would let calls through, and if not why not, condition by condition. Pure; shown by `health.ts`.

import type { TaskState } from '../tasks/task.ts'

/** One condition of readiness. */
export interface Readiness {
  /** Lower case, hyphens: `journal`, `rules`, `task`, `sink-…`. */
  readonly name: string
  readonly ready: boolean
  /** Says why not, in words that name no task, host or rule. */
  readonly detail?: string
}

/** What readiness is made of. */
export interface ReadinessFacts {
  readonly isRecording: boolean
  /** Of the configuration's own task; undefined where it has none. */
  readonly task: TaskState | undefined
  readonly hasRules: boolean
  /** Whether the configuration's own task has rules that are valid now. */
  readonly hasPolicy: boolean
  /** Whether the rule files as they are now were refused. */
  readonly hasRefused: boolean
  /** Tasks for which what no rule allows passes. */
  readonly observing: number
  readonly sinks: readonly SinkFacts[]
  /** Names of the self-checks that failed the last time, but for those that are told only. */
  readonly failing: readonly string[]
}

/** How a sink stands. */
interface SinkFacts {
  /** The configuration's, which names no host. */
  readonly name: string
  readonly lagMs: number
  /** Whether the backlog is at its bound. */
  readonly isFull: boolean
  /** Whether calls are refused because of it. */
  readonly isDenying: boolean
}

/** Behind by more than this a sink lags. */
const LAG_MS = 30_000

/** Lists the conditions. */
export function readinessOf(facts: ReadinessFacts): Readiness[] {
  const { isRecording, task, hasRules, hasPolicy, hasRefused, observing, sinks, failing } = facts
  return [
    { name: 'journal', ready: isRecording },
    {
      name: 'rules',
      // I5: a task whose sets are gone, or are not the pinned ones, lets nothing out.
      ready: hasRules && (task === undefined || hasPolicy),
      ...(hasRefused && {
        detail: 'the rule files as they are now were refused; the last good ones are in force',
      }),
    },
    {
      name: 'task',
      ready: task === undefined || task === 'active',
      ...(task !== undefined && { detail: task }),
    },
    // Calls go through, which is what readiness is about; that nothing stops them is said all the same.
    {
      name: 'enforcement',
      ready: true,
      ...(observing > 0 && {
        detail: `OBSERVE: what no rule allows passes for ${observing} task(s)`,
      }),
    },
    ...sinks.map(sinkReadiness),
    {
      name: 'self-check',
      ready: failing.length === 0,
      ...(failing.length > 0 && { detail: failing.join(', ') }),
    },
  ]
}

function sinkReadiness({ name, lagMs, isFull, isDenying }: SinkFacts): Readiness {
  const detail = isDenying
    ? 'the backlog is at its bound: calls are refused until it has drained'
    : isFull
      ? 'the backlog is at its bound: calls for regulated data are refused until it has drained'
      : lagMs > LAG_MS
        ? `records wait for ${Math.round(lagMs / 1000)} s`
        : undefined
  return { name: `sink-${name}`, ready: !isDenying, ...(detail !== undefined && { detail }) }
}
