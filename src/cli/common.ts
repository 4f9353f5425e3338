// What several verbs share: the common options, and the configuration read as they need it. Called by the verbs.

import { existsSync } from 'node:fs'
import path from 'node:path'

import type { Config } from '../config/config.ts'
import { loadConfig, type Loaded } from '../config/load.ts'
import { buildStaticTask } from '../config/task.ts'
import type { Task } from '../tasks/task.ts'
import { UsageError, type CommandIo } from './io.ts'
import { formatProblems } from './problems.ts'

/** The options that every verb has. */
export interface CommonOptions {
  readonly config?: string
  readonly control?: string
  readonly json?: boolean
}

/** The file that is read unless another is named. */
const DEFAULT_FILE = 'sallyport.yaml'

/** Names the configuration file: the flag, the variable, or `sallyport.yaml`. */
export function configFile(options: CommonOptions, io: CommandIo): string {
  return options.config ?? io.environment['SALLYPORT_CONFIG'] ?? DEFAULT_FILE
}

/**
 * Loads the configuration with flags and variables applied.
 * @param mayBeAbsent take the defaults where nobody named a file and the default one does not exist
 */
export function loadFor(options: CommonOptions, io: CommandIo, mayBeAbsent: boolean): Loaded {
  const file = configFile(options, io)
  const isNamed = (options.config ?? io.environment['SALLYPORT_CONFIG']) !== undefined
  const absent = mayBeAbsent && !isNamed && !existsSync(file)
  return loadConfig({
    file: absent ? undefined : file,
    flags: options.control === undefined ? {} : { 'control.listen': options.control },
    environment: io.environment,
  })
}

/** Loads the configuration for a verb that cannot go on without. @throws UsageError with every problem */
export function configFor(options: CommonOptions, io: CommandIo, mayBeAbsent: boolean): Config {
  const { config, problems } = loadFor(options, io, mayBeAbsent)
  if (config === undefined)
    throw new UsageError(
      `the configuration is not valid\n${formatProblems(problems, io).trimEnd()}`,
    )
  return config
}

/** The static task as it would start now. */
export function staticTaskOf(config: Config): Task | undefined {
  return config.task && buildStaticTask(config.task, Date.now())
}

/** The static task. @throws UsageError where it is another that is asked for */
export function staticTaskFor(config: Config, wantedId: string | undefined): Task | undefined {
  const task = staticTaskOf(config)
  if (wantedId !== undefined && wantedId !== task?.id)
    throw new UsageError(
      `there is no task ${wantedId}: ${task ? `the static task is ${task.id}` : 'the configuration has no static task'}`,
    )
  return task
}

/** The files and directories of a command line. @throws UsageError for the first that does not exist */
export function existing(places: readonly string[]): readonly string[] {
  const absent = places.find((place) => !existsSync(place))
  if (absent !== undefined) throw new UsageError(`there is no ${absent}`)
  return places
}

/** A path as a person at the working directory would write it. */
export function shortPath(file: string): string {
  const relative = path.relative(process.cwd(), file)
  return relative === '' || relative.startsWith('..') ? file : relative
}
