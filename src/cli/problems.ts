// Problems as text: for a person, for scripts, for GitHub's annotations. Pure; called by the verbs that find them.

import type { Problem } from '../policy/problem.ts'
import { paintFor, type CommandIo } from './io.ts'

/** The formats of `check`. */
export const FORMATS = ['human', 'json', 'github', 'sarif'] as const

/** One of the formats. */
export type Format = (typeof FORMATS)[number]

/** Prints problems for a person: place, what is wrong, how to mend it. */
export function formatProblems(problems: readonly Problem[], io: Pick<CommandIo, 'color'>): string {
  const paint = paintFor(io)
  return problems
    .map(({ file, line, column, severity, message, hint, code }) => {
      const kind = severity === 'error' ? paint.red('error') : paint.yellow('warning')
      const first = `${paint.bold(`${file}:${line}:${column}`)}: ${kind}: ${message} ${paint.dim(`[${code}]`)}\n`
      return hint === undefined ? first : `${first}  ${paint.dim('→')} ${hint}\n`
    })
    .join('')
}

/** Counts problems in words. */
export function summarizeProblems(problems: readonly Problem[]): string {
  const errors = problems.filter(({ severity }) => severity === 'error').length
  const warnings = problems.length - errors
  return `${countOf(errors, 'error')}, ${countOf(warnings, 'warning')}`
}

/** Prints problems as GitHub workflow commands, one line each. */
export function formatGithub(problems: readonly Problem[]): string {
  return problems
    .map(({ file, line, column, severity, message, hint, code }) => {
      const text = hint === undefined ? message : `${message}: ${hint}`
      const place = `file=${escapeProperty(file)},line=${line},col=${column},title=${escapeProperty(code)}`
      return `::${severity} ${place}::${escapeData(text)}\n`
    })
    .join('')
}

/** Prints a number with its noun. */
export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

function escapeData(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
}

function escapeProperty(text: string): string {
  return escapeData(text).replaceAll(':', '%3A').replaceAll(',', '%2C')
}
