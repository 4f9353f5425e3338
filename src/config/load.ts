// From a file, flags and variables to a configuration, or to every problem at once. Deliberately opens nothing that the
// configuration names but to see that it is there. Called by the command line, which hands the result to `sidecar.ts`.

import { accessSync, constants, readFileSync } from 'node:fs'
import path from 'node:path'

import type { z } from 'zod'

import type { Problem } from '../policy/problem.ts'
import type { Config } from './config.ts'
import { checkSections } from './cross-check.ts'
import { describeIssue, describeUnknownKey, type DescribedIssue } from './issues.ts'
import { applyOverrides, type Overridden } from './override.ts'
import { takeReservedKeys } from './reserved.ts'
import { resolveConfig } from './resolve.ts'
import { SECTIONS, type Sections } from './schema.ts'
import { readYamlText, type KeyPath, type YamlText } from '../policy/yaml-text.ts'

/** Where a configuration comes from. */
export interface LoadOptions {
  /** The file; undefined: none, so that everything has its default and paths are relative to the working directory. */
  readonly file: string | undefined
  /** By dotted key, such as `listen.proxy`. */
  readonly flags?: Readonly<Record<string, string>>
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** A configuration where nothing is wrong with it; warnings may stand beside it. */
export interface Loaded {
  readonly config?: Config
  readonly problems: readonly Problem[]
  /** Where the value at a path was written: in the file, or by a flag or a variable. */
  readonly placeOf: (keys: KeyPath) => Pick<Problem, 'file' | 'line' | 'column'>
}

const FILE_BYTES_MAX = 1024 * 1024

/** Reads, checks and resolves the configuration; an empty file is a sidecar that refuses everything. */
export function loadConfig(options: LoadOptions): Loaded {
  const file = options.file === undefined ? undefined : path.resolve(options.file)
  const shown = options.file ?? 'configuration'
  const text = file === undefined ? '' : readText(file)
  const nowhere = (): ReturnType<Loaded['placeOf']> => ({ file: shown, line: 1, column: 1 })
  if (typeof text !== 'string') return { problems: [{ ...text, file: shown }], placeOf: nowhere }
  const yaml = readYamlText(text, shown)
  if (yaml.problems.length > 0) return { problems: yaml.problems, placeOf: nowhere }

  const reserved = takeReservedKeys(yaml.value ?? {})
  const overridden = applyOverrides(reserved.value, options.flags ?? {}, options.environment)
  const reporter = new Reporter(yaml, shown, overridden)
  reporter.problems.push(...overridden.problems)
  for (const { path: keys } of reserved.found)
    reporter.report(
      keys,
      'key',
      'not-served',
      `\`${keys.join('.')}\` is not served by this version`,
      'remove it',
    )

  const sections = readSections(overridden.value, reporter)
  const baseDir = file === undefined ? process.cwd() : path.dirname(file)
  const placeOf = (keys: KeyPath): ReturnType<Loaded['placeOf']> => reporter.placeOf(keys, 'value')
  checkSections(sections, (keys, code, message, hint) =>
    reporter.report(keys, 'value', code, message, hint),
  )
  if (isComplete(sections)) {
    const config = resolveConfig(sections, file, baseDir)
    for (const { keys, file: named } of filesOf(config))
      if (!isReadable(named))
        reporter.report(keys, 'value', 'file-unreadable', `cannot read ${named}`)
    if (!reporter.problems.some(({ severity }) => severity === 'error'))
      return { config, problems: reporter.sorted(), placeOf }
  }
  return { problems: reporter.sorted(), placeOf }
}

/** Gathers problems and knows where each key was written. */
class Reporter {
  readonly problems: Problem[] = []
  readonly #yaml: YamlText
  readonly #file: string
  readonly #overridden: Overridden

  constructor(yaml: YamlText, file: string, overridden: Overridden) {
    this.#yaml = yaml
    this.#file = file
    this.#overridden = overridden
  }

  report(keys: KeyPath, what: 'key' | 'value', code: string, message: string, hint?: string): void {
    const place = this.placeOf(keys, what)
    const problem = { ...place, severity: 'error', message, code } as const
    this.problems.push(hint === undefined ? problem : { ...problem, hint })
  }

  reportIssue({ keys, what, code, message, hint }: DescribedIssue): void {
    this.report(keys, what, code, message, hint)
  }

  placeOf(keys: KeyPath, what: 'key' | 'value'): Pick<Problem, 'file' | 'line' | 'column'> {
    const source = this.#sourceOf(keys)
    if (source !== undefined) return { file: source, line: 1, column: 1 }
    return { file: this.#file, ...this.#yaml.place(keys, what) }
  }

  /** In the order of the file. */
  sorted(): Problem[] {
    return this.problems.toSorted((a, b) => a.line - b.line || a.column - b.column)
  }

  /** The flag or variable that set the value at a path. */
  #sourceOf(keys: KeyPath): string | undefined {
    for (let length = keys.length; length > 0; length -= 1) {
      const source = this.#overridden.sources.get(keys.slice(0, length).join('.'))
      if (source !== undefined) return source
    }
    return undefined
  }
}

function readText(file: string): string | Omit<Problem, 'file'> {
  const problem = { line: 1, column: 1, severity: 'error', code: 'file-unreadable' } as const
  try {
    const text = readFileSync(file, 'utf8')
    if (text.length <= FILE_BYTES_MAX) return text
    return { ...problem, message: `the file is larger than ${FILE_BYTES_MAX} bytes` }
  } catch (error) {
    const absent = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    const message = absent ? 'there is no such file' : 'the file cannot be read'
    return { ...problem, message, hint: 'an empty file is a sidecar that refuses everything' }
  }
}

function readSections(value: unknown, reporter: Reporter): Partial<Sections> {
  const names = Object.keys(SECTIONS)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    reporter.report([], 'value', 'invalid-value', 'expected keys and values, such as `listen:`')
    return {}
  }
  for (const key of Object.keys(value))
    if (!names.includes(key)) reporter.reportIssue(describeUnknownKey(key, []))
  const sections: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries(SECTIONS)) {
    // `rules:` with nothing after it is a section in which everything has its default.
    const written: unknown = Reflect.get(value, name) ?? undefined
    const result = (schema as z.ZodType).safeParse(written)
    if (result.success) sections[name] = result.data
    else
      for (const issue of result.error.issues)
        for (const described of describeIssue(issue, name, written)) reporter.reportIssue(described)
  }
  return sections
}

function isComplete(sections: Partial<Sections>): sections is Sections {
  return Object.keys(SECTIONS).every((name) => Object.hasOwn(sections, name))
}

/** The files that have to be there, with the key that names each. */
function filesOf({ upstream, identity }: Config): { keys: KeyPath; file: string }[] {
  const { jwt, clientCaFile } = identity
  return [
    ...upstream.caFiles.map((file, index) => ({ keys: ['upstream', 'ca', index], file })),
    ...(jwt && 'file' in jwt.jwks
      ? [{ keys: ['identity', 'jwt', 'jwks'], file: jwt.jwks.file }]
      : []),
    ...(clientCaFile === undefined
      ? []
      : [{ keys: ['identity', 'mtls', 'ca'], file: clientCaFile }]),
  ]
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK)
    return true
  } catch {
    return false
  }
}
