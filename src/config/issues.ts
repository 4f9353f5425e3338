// From what the schema says is wrong to words for whoever wrote the file: which key, what was expected, what was meant.
// Pure; called by `load.ts`.

import type { z } from 'zod'

import { configJsonSchema } from './schema.ts'
import { suggestName } from '../policy/suggest.ts'
import type { KeyPath } from '../policy/yaml-text.ts'
import { expectedOf } from '../tasks/expected.ts'

/** An issue in words, with the key or value it is about. */
export interface DescribedIssue {
  readonly keys: KeyPath
  readonly what: 'key' | 'value'
  readonly code: 'unknown-key' | 'missing-key' | 'invalid-value'
  readonly message: string
  readonly hint?: string
}

/**
 * Describes one issue of a section; one that names several keys becomes several.
 * @param section name of the section
 * @param written the section's value as it was written
 */
export function describeIssue(
  issue: z.core.$ZodIssue,
  section: string,
  written: unknown,
): DescribedIssue[] {
  const keys = [section, ...issue.path]
  const name = keys.map(String).join('.')
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => describeUnknownKey(key, keys))
  // A key that is itself wrong is the issue of a record, told by its key's own issues.
  if (issue.code === 'invalid_key') {
    const message = `\`${name}\`: ${issue.issues[0]?.message ?? 'this key is not allowed'}`
    return [{ keys, what: 'key', code: 'invalid-value', message }]
  }
  if (valueAt(written, issue.path) === undefined && issue.code !== 'custom')
    return missingNames(keys).map((missing) => ({
      keys,
      what: 'value',
      code: 'missing-key',
      message: `\`${missing}\` is missing`,
    }))
  const message = `\`${name}\`: ${expectedOf(issue)}`
  const near =
    issue.code === 'invalid_value' &&
    suggestName(String(valueAt(written, issue.path)), issue.values.map(String))
  const hint = near ? { hint: `did you mean \`${near}\`?` } : {}
  return [{ keys, what: 'value', code: 'invalid-value', message, ...hint }]
}

/** Describes a key that no schema knows, with the one that was meant or all that could be. */
export function describeUnknownKey(key: string, parent: KeyPath): DescribedIssue {
  const known = knownKeys(parent)
  const meant = suggestName(key, known)
  const where = parent.length === 0 ? '' : ` in \`${parent.map(String).join('.')}\``
  const hint =
    meant === undefined ? `known keys: ${known.join(', ')}` : `did you mean \`${meant}\`?`
  const message = `unknown key \`${key}\`${where}`
  return { keys: [...parent, key], what: 'key', code: 'unknown-key', message, hint }
}

/** A missing object is missed by the names of what it must hold. */
function missingNames(keys: KeyPath): string[] {
  const name = keys.map(String).join('.')
  const required = valueAt(schemaAt(keys), ['required'])
  return Array.isArray(required) ? required.map((key) => `${name}.${String(key)}`) : [name]
}

/** The keys that the object at a path may have. */
function knownKeys(path: KeyPath): string[] {
  const properties = valueAt(schemaAt(path), ['properties'])
  return typeof properties === 'object' && properties !== null ? Object.keys(properties) : []
}

/** The part of the JSON Schema that describes what stands at a path. */
function schemaAt(path: KeyPath): unknown {
  let schema: unknown = configJsonSchema()
  for (const key of path) {
    const named = valueAt(schema, ['properties', key])
    schema = named ?? valueAt(schema, [typeof key === 'number' ? 'items' : 'additionalProperties'])
  }
  return schema
}

function valueAt(value: unknown, path: KeyPath): unknown {
  let current = value
  for (const key of path) {
    if (typeof current !== 'object' || current === null) return undefined
    current = Reflect.get(current, key)
  }
  return current
}
