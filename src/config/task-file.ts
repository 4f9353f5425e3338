// A task in a file of its own: the same keys as `task:` of the configuration, or that section as it stands there. Called by
// `cli/run.ts`.

import { readFileSync } from 'node:fs'

import type { Problem } from '../policy/problem.ts'
import { isMapping, readYamlText } from '../policy/yaml-text.ts'
import type { Config, TaskDefinition } from './config.ts'
import { checkTask } from './cross-check.ts'
import { describeIssue } from './issues.ts'
import type { ReportProblem } from './report-problem.ts'
import { resolveTask } from './resolve.ts'
import { SECTIONS } from './schema.ts'

/** A task where nothing is wrong with it, or every problem. */
export interface TaskFile {
  readonly task?: TaskDefinition
  readonly problems: readonly Problem[]
}

const FILE_BYTES_MAX = 256 * 1024

/** Reads a definition, YAML or JSON. @throws Error of the system where the file cannot be read */
export function readTaskFile(file: string, { limits, hooks }: Config): TaskFile {
  const text = readFileSync(file, 'utf8')
  const yaml = readYamlText(text.slice(0, FILE_BYTES_MAX), file)
  if (yaml.problems.length > 0) return { problems: yaml.problems }
  const isSection = isMapping(yaml.value) && Object.keys(yaml.value).join(',') === 'task'
  const written: unknown = isSection ? Reflect.get(Object(yaml.value), 'task') : yaml.value
  const problems: Problem[] = []
  const report: ReportProblem = (keys, code, message, hint) => {
    const place = yaml.place(isSection ? keys : keys.slice(1), 'value')
    const problem = { file, ...place, severity: 'error', message, code } as const
    problems.push(hint === undefined ? problem : { ...problem, hint })
  }
  const result = SECTIONS.task.safeParse(written ?? {})
  if (!result.success)
    for (const issue of result.error.issues)
      for (const { keys, code, message, hint } of describeIssue(issue, 'task', written))
        report(keys, code, message, hint)
  if (!result.data) return { problems }
  checkTask({ task: result.data, limits, hooks }, report)
  return problems.length > 0 ? { problems } : { task: resolveTask(result.data), problems }
}
