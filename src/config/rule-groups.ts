// The groups of destinations that rule files define for each other. Deliberately does not resolve them: `policy/parse.ts`
// does where a rule names one. Called by `rules.ts`.

import { readdirSync } from 'node:fs'
import path from 'node:path'

import { findGroups, type Group } from '../policy/groups.ts'
import type { Problem } from '../policy/problem.ts'
import { RuleFileReader, type RuleFilesRead } from './rule-files.ts'

type RuleFiles = RuleFilesRead['files']

/** Gathers the groups of files by their names; a name that two of them define is a problem that names both places. */
export function gatherGroups(files: RuleFiles): {
  readonly groups: ReadonlyMap<string, Group>
  readonly problems: readonly Problem[]
} {
  const groups = new Map<string, Group>()
  const problems: Problem[] = []
  for (const { file, text } of files)
    for (const group of text === undefined ? [] : findGroups(text, file)) {
      const { name, place } = group
      const other = groups.get(name)
      if (other === undefined) groups.set(name, group)
      else
        problems.push({
          file,
          ...place,
          severity: 'error',
          message: `the group \`${name}\` is defined at ${other.file}:${other.place.line}:${other.place.column} too`,
          hint: 'groups are shared by all files: give one of them another name',
          code: 'duplicate',
        })
    }
  return { groups, problems }
}

/**
 * Reads the rule files that lie beside those that were named one by one, where these may use a group of theirs.
 * @param places as they were named; below directories everything was read already
 */
export function readBeside(
  places: readonly string[],
  read: RuleFiles,
  fileBytesMax: number,
): RuleFiles {
  if (!read.some(({ text }) => text?.includes('group') === true)) return []
  const known = new Set(read.map(({ file }) => path.resolve(file)))
  const named = places.filter((place) => known.has(path.resolve(place)))
  const beside = [...new Set(named.map((place) => path.dirname(place)))]
    .flatMap(listYaml)
    .filter((file) => !known.has(path.resolve(file)))
  return new RuleFileReader(beside, fileBytesMax).read().files
}

function listYaml(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.yaml') && !name.startsWith('.'))
    .toSorted()
    .map((name) => path.join(directory, name))
}
