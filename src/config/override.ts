// What flags and `SALLYPORT_*` variables set over the file: a flag before a variable before the file. A relative path in
// a flag or a variable is relative to the working directory, as whoever typed it expects. Called by `load.ts`.

import { readFileSync } from 'node:fs'
import path from 'node:path'

import { DEFAULT_LIMITS } from '../limits.ts'
import type { Problem } from '../policy/problem.ts'
import { suggestName } from '../policy/suggest.ts'

type OverrideKind = 'text' | 'number' | 'truth' | 'list' | 'path' | 'paths' | 'pathOrUrl' | 'listen'

const OVERRIDABLE: Readonly<Record<string, OverrideKind>> = {
  'listen.proxy': 'listen',
  'listen.health': 'listen',
  'control.listen': 'listen',
  'control.tokenFile': 'path',
  'control.tls.cert': 'path',
  'control.tls.key': 'path',
  'control.tls.clientCa': 'path',
  'ca.dir': 'path',
  'ca.key': 'path',
  'ca.lifetime': 'text',
  'rules.dir': 'path',
  'rules.always': 'list',
  'state.dir': 'path',
  'identity.token': 'truth',
  'identity.jwt.issuer': 'text',
  'identity.jwt.audience': 'text',
  'identity.jwt.jwks': 'pathOrUrl',
  'identity.mtls.ca': 'path',
  'journal.dir': 'path',
  'journal.sync': 'text',
  'journal.segmentBytes': 'text',
  'journal.retain': 'text',
  'journal.maxBytes': 'text',
  'journal.denialsPerTaskPerSecond': 'number',
  'record.prompts': 'text',
  'record.tools': 'text',
  'refusals.connect': 'text',
  'upstream.resolver': 'list',
  'upstream.allowAddresses': 'list',
  'upstream.ca': 'paths',
  'task.intent': 'text',
  'task.owner.name': 'text',
  'task.owner.team': 'text',
  'task.agent.account': 'text',
  'task.agent.instance': 'text',
  'task.sandbox.id': 'text',
  'task.sandbox.image': 'text',
  'task.identity.sources': 'list',
  'task.rules': 'list',
  'task.environment': 'text',
  'task.ceiling': 'text',
  'task.notBefore': 'text',
  'task.expires': 'text',
  ...Object.fromEntries(Object.keys(DEFAULT_LIMITS).map((name) => [`limits.${name}`, 'number'])),
}

const VARIABLE_FILE_BYTES_MAX = 64 * 1024

/** Variables of the command itself, which override no key. */
const OTHER_VARIABLES = [
  'SALLYPORT_CONFIG',
  'SALLYPORT_CONTROL',
  'SALLYPORT_CONTROL_TOKEN',
  'SALLYPORT_LOG',
  'SALLYPORT_TASK_TOKEN',
]

/** What overrides a document, and where each key's value then comes from. */
export interface Overridden {
  readonly value: unknown
  /** By dotted key: the flag or variable. */
  readonly sources: ReadonlyMap<string, string>
  readonly problems: readonly Problem[]
}

/** Names the variable that overrides a key: `journal.maxBytes` is `SALLYPORT_JOURNAL_MAX_BYTES`. */
function variableOf(key: string): string {
  return `SALLYPORT_${key
    .replaceAll('.', '_')
    .replaceAll(/(?<=[a-z\d])(?=[A-Z])/g, '_')
    .toUpperCase()}`
}

/**
 * Sets what flags and variables say in a copy of a document.
 * @param flags by dotted key
 */
export function applyOverrides(
  document: unknown,
  flags: Readonly<Record<string, string>>,
  environment: Readonly<Record<string, string | undefined>>,
): Overridden {
  const problems: Problem[] = []
  const sources = new Map<string, string>()
  let value = document
  const known = new Map(Object.keys(OVERRIDABLE).map((key) => [variableOf(key), key]))
  for (const [key, kind] of Object.entries(OVERRIDABLE)) {
    const variable = variableOf(key)
    const written = flags[key] ?? readVariable(variable, known, environment, problems)
    if (written === undefined) continue
    sources.set(key, flags[key] === undefined ? variable : `--${key}`)
    value = setAt(value, key.split('.'), toValue(written, kind))
  }
  problems.push(...suggestVariables(known, environment))
  return { value, sources, problems }
}

function readVariable(
  variable: string,
  known: ReadonlyMap<string, string>,
  environment: Readonly<Record<string, string | undefined>>,
  problems: Problem[],
): string | undefined {
  const direct = environment[variable]
  const fileVariable = `${variable}_FILE`
  const file = known.has(fileVariable) ? undefined : environment[fileVariable]
  if (file === undefined) return direct
  const complain = (message: string, code: string): undefined => {
    problems.push({ file: fileVariable, line: 1, column: 1, severity: 'error', message, code })
    return undefined
  }
  if (direct !== undefined)
    return complain(`both ${variable} and ${fileVariable} are set`, 'conflict')
  try {
    const text = readFileSync(file, 'utf8')
    if (text.length > VARIABLE_FILE_BYTES_MAX)
      return complain(`${file} is too large`, 'file-unreadable')
    return text.replace(/\r?\n$/, '')
  } catch {
    return complain(`cannot read ${file}`, 'file-unreadable')
  }
}

/** A variable that is nearly one of ours is a slip; any other may be a stranger's (Kubernetes names services so). */
function suggestVariables(
  known: ReadonlyMap<string, string>,
  environment: Readonly<Record<string, string | undefined>>,
): Problem[] {
  return Object.keys(environment)
    .filter((name) => name.startsWith('SALLYPORT_') && !OTHER_VARIABLES.includes(name))
    .filter((name) => !known.has(name) && !known.has(name.replace(/_FILE$/, '')))
    .flatMap((name) => {
      const meant = suggestName(name, known.keys())
      if (meant === undefined) return []
      const message = `${name} is not a variable of the configuration`
      const hint = `did you mean ${meant}?`
      return [
        {
          file: name,
          line: 1,
          column: 1,
          severity: 'warning',
          message,
          hint,
          code: 'unknown-key',
        } as const,
      ]
    })
}

function toValue(written: string, kind: OverrideKind): unknown {
  switch (kind) {
    case 'number':
      return /^\d+$/.test(written) ? Number(written) : written
    case 'truth':
      return written === 'true' || (written === 'false' ? false : written)
    case 'path':
      return written === '' ? '' : path.resolve(written)
    case 'pathOrUrl':
      return written.includes('://') ? written : toValue(written, 'path')
    case 'listen':
      return written.startsWith('unix:')
        ? `unix:${path.resolve(written.slice('unix:'.length))}`
        : written
    case 'list':
      return splitList(written)
    case 'paths':
      return splitList(written).map((item) => path.resolve(item))
    case 'text':
    default:
      return written
  }
}

function splitList(written: string): string[] {
  return written
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

function setAt(document: unknown, keys: readonly string[], value: unknown): unknown {
  const [key, ...rest] = keys
  if (key === undefined) return value
  const parent =
    typeof document === 'object' && document !== null && !Array.isArray(document) ? document : {}
  return { ...parent, [key]: setAt(Reflect.get(parent, key), rest, value) }
}
