// The task of a command in a sandbox: of a file, of the configuration, or made of what is known of whoever runs it. Called by
// `run.ts`.

import { randomBytes } from 'node:crypto'
import path from 'node:path'

import type { Config, TaskDefinition } from '../config/config.ts'
import { readTaskFile } from '../config/task-file.ts'
import { UsageError, type CommandIo } from './io.ts'
import { formatProblems } from './problems.ts'

/** What says which task it is. */
export interface RunTaskOptions {
  readonly task?: string
  readonly rules?: readonly string[]
}

const INTENT_CHARACTERS_MAX = 8192
const LABEL_CHARACTERS_MAX = 256
const LIFETIME_MS = 12 * 60 * 60 * 1000
const RUN_ID_BYTES = 8

/**
 * Chooses the task.
 * @param user name of the operating system's user
 * @throws UsageError with every problem of the file
 */
export function runTaskOf(
  { task: file, rules }: RunTaskOptions,
  words: readonly string[],
  config: Config,
  user: string,
  io: CommandIo,
): TaskDefinition {
  if (file !== undefined && rules !== undefined)
    throw new UsageError('`--task` names its rules itself: leave `--rules` away')
  if (file === undefined && (rules !== undefined || config.task === undefined))
    return localTask(rules ?? [], words, config, user)
  const task = file === undefined ? config.task : readDefinition(file, config, io)
  // Whoever comes by a door of the sandbox is its command; from which address does not matter.
  return { ...task!, sources: [] }
}

function readDefinition(file: string, config: Config, io: CommandIo): TaskDefinition {
  const { task, problems } = readTaskFile(file, config)
  if (task !== undefined) return task
  throw new UsageError(`the task is not valid\n${formatProblems(problems, io).trimEnd()}`)
}

function localTask(
  rules: readonly string[],
  words: readonly string[],
  { limits }: Config,
  user: string,
): TaskDefinition {
  const runId = randomBytes(RUN_ID_BYTES).toString('hex')
  const name = path.basename(words[0] ?? '').slice(0, LABEL_CHARACTERS_MAX / 2) || 'command'
  return {
    intent: `run: ${words.join(' ')}`.slice(0, INTENT_CHARACTERS_MAX),
    owner: { name: user.slice(0, LABEL_CHARACTERS_MAX), team: 'local', source: 'local' },
    agent: { account: name, instance: `${name}/${runId}` },
    sandbox: { id: `run-${runId}` },
    rules: [...rules],
    params: {},
    environment: 'local',
    ceiling: 'confidential',
    sources: [],
    lifetimeMs: Math.min(LIFETIME_MS, limits.taskLifetimeMs),
  }
}
