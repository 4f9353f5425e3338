// The members of one GraphQL request (GraphQL over HTTP, section 5), wherever they come from: which document is asked for.
// A member that another server might take for one of them is refused. Called by `carried.ts`.

import { createHash } from 'node:crypto'

import type { JsonValue } from '../fields.ts'
import { readJson } from '../json.ts'
import { isObject, type JsonObject } from '../json-values.ts'
import { malformed } from './refusal.ts'

/** A member's name and value; a string as it stands in a URL. */
export type Member = readonly [name: string, value: JsonValue]

type Known = 'query' | 'operationName' | 'variables' | 'extensions'

// By their folded names.
const KNOWN: ReadonlyMap<string, Known> = new Map([
  ['query', 'query'],
  ['operationname', 'operationName'],
  ['variables', 'variables'],
  ['extensions', 'extensions'],
])
// How servers call the document that they have stored, in any spelling.
const DOCUMENT_IDS: ReadonlySet<string> = new Set([
  'id',
  'docid',
  'documentid',
  'documenthash',
  'queryid',
  'queryhash',
  'operationid',
  'operationhash',
  'persistedqueryid',
  'hash',
  'sha256hash',
])

/** Whether some server might read the name as that of a member which says what is to be done. */
export function isTelling(name: string): boolean {
  const folded = fold(name)
  return KNOWN.has(folded) || DOCUMENT_IDS.has(folded)
}

/**
 * The document that one request asks for; undefined where it only names one that the server has.
 * @throws malformed-body where it could be more than one, or is none
 */
export function readDocumentText(members: Iterable<Member>): string | undefined {
  const { known, hasDocumentId } = sortMembers(members)
  const { operationName = null, variables = null, query = null, extensions = null } = known
  if (operationName !== null && typeof operationName !== 'string') throw malformed('operationName')
  if (variables !== null && !isObject(variables)) throw malformed('variables')
  if (extensions !== null && !isObject(extensions)) throw malformed('extensions')
  if (query !== null && typeof query !== 'string') throw malformed('query')
  const hash = extensions && readPersistedHash(extensions)
  if (query === null || query === '') {
    if (hash === null && !hasDocumentId) throw malformed('no document')
    return undefined
  }
  if (hasDocumentId) throw malformed('two documents')
  // Stored under a hash that is not its own, it would be asked for by that hash later.
  if (hash !== null && hash !== createHash('sha256').update(query).digest('hex'))
    throw malformed('hash')
  return query
}

/** Members of a URL as those of a body: what is JSON is read, what is empty is null. */
export function fromUrl(members: readonly (readonly [string, string])[]): Member[] {
  return members.map(([name, value]) => {
    if (value === '') return [name, null]
    const isJson = name === 'variables' || name === 'extensions'
    return [name, isJson ? readJson(Buffer.from(value)) : value]
  })
}

function sortMembers(members: Iterable<Member>): {
  readonly known: Partial<Record<Known, JsonValue>>
  readonly hasDocumentId: boolean
} {
  const known: Partial<Record<Known, JsonValue>> = {}
  let hasDocumentId = false
  for (const [name, value] of members) {
    const folded = fold(name)
    if (DOCUMENT_IDS.has(folded) && value !== null) hasDocumentId = true
    const exact = KNOWN.get(folded)
    if (exact === undefined) continue
    if (exact !== name) throw malformed('disguised member')
    if (known[exact] !== undefined) throw malformed('repeated member')
    known[exact] = value
  }
  return { known, hasDocumentId }
}

function readPersistedHash(extensions: JsonObject): string | null {
  const persisted = pick(extensions, 'persistedQuery')
  if (persisted === null) return null
  if (!isObject(persisted)) throw malformed('persistedQuery')
  const hash = pick(persisted, 'sha256Hash')
  if (typeof hash !== 'string') throw malformed('persistedQuery')
  return hash
}

function pick(object: JsonObject, name: string): JsonValue {
  let found: JsonValue = null
  for (const [key, value] of Object.entries(object)) {
    if (fold(key) !== name.toLowerCase()) continue
    if (key !== name) throw malformed('disguised member')
    found = value
  }
  return found
}

// As the most lenient server would have it: without case, without `_` and what is not seen, up to what some take for the
// way into a value (`[`, `.`) or for the end. The way over upper case catches letters such as `ſ`.
function fold(name: string): string {
  const [stem = ''] = name.split(/[[.\0]/)
  return stem
    .normalize('NFKC')
    .toUpperCase()
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, '')
}
