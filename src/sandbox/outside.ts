// `sallyport doctor`: whether an installation is as it must be before a start, or beside a running sidecar, and how to mend it.
// Nothing leaves the machine: sinks and upstreams are not asked. Called by `cli/doctor.ts`.

import { checkInstallation, checkRuleFiles } from '../config/check-installation.ts'
import type { Loaded } from '../config/load.ts'
import type { Problem } from '../policy/problem.ts'
import { checkFiles } from './checks/files.ts'
import { checkListeners } from './checks/listeners.ts'
import { checkSystem } from './checks/system.ts'
import { reporterFor, type Finding } from './finding.ts'

const { ok, warn, fail } = reporterFor('configuration')

const MEND = '`sallyport check` says all of it'

/** Checks everything. @param file the configuration's, as it was named */
export async function checkOutside(
  file: string,
  loaded: Loaded,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<readonly Finding[]> {
  const { config } = loaded
  const system = checkSystem(environment)
  const configuration = checkConfiguration(file, loaded)
  if (config === undefined) return [...(await system), ...configuration]
  const listeners = checkListeners(config)
  return [...(await system), ...configuration, ...checkFiles(config), ...(await listeners)]
}

/** The configuration and its rules, as `check` looks at them; each problem is a finding. */
function checkConfiguration(file: string, { config, problems, placeOf }: Loaded): Finding[] {
  if (config === undefined) return problems.map(findingOf)
  const rules = checkRuleFiles([config.rules.dir], Date.now(), config)
  const all = [
    ...problems,
    ...rules.problems,
    ...checkInstallation(config, rules.sets, placeOf),
  ].map(findingOf)
  if (all.some(({ status }) => status === 'fail')) return all
  const shown = config.file === undefined ? 'no file, so every default' : file
  return [...all, ok(shown, `${rules.sets.size} rule sets`, 'the sidecar starts with it')]
}

function findingOf({ file, line, column, severity, message, hint }: Problem): Finding {
  const tried = `${file}:${line}:${column}`
  return severity === 'error'
    ? fail(tried, message, 'the sidecar does not start, or refuses calls', hint ?? MEND)
    : warn(tried, message, 'the sidecar starts', hint ?? MEND)
}
