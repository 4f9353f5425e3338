// Takes out of a server's lists what the task may not use, and gives a tool's definition its digest. Called by
// `server-messages.ts`, the digest by `understand/`.

import { createHash } from 'node:crypto'

import type { McpList } from '../../policy/subject.ts'
import { canonicalJson } from '../canonical.ts'
import type { JsonValue } from '../fields.ts'
import type { McpJudge } from './judge.ts'
import { refusal } from './messages.ts'
import { isList, isObject, type JsonObject, own } from '../json-values.ts'
import { findTwin, knowKeys } from './values.ts'

interface ListShape {
  readonly key: string
  readonly list: McpList
  readonly name: string
}

const SHAPES: readonly ListShape[] = [
  { key: 'tools', list: 'tools', name: 'name' },
  { key: 'resources', list: 'resources', name: 'uri' },
  { key: 'resourceTemplates', list: 'resources', name: 'uriTemplate' },
  { key: 'prompts', list: 'prompts', name: 'name' },
]
const MEMBERS_MAX = 10_000
const LISTING: ReadonlySet<string> = new Set([
  'tools/list',
  'resources/list',
  'resources/templates/list',
  'prompts/list',
])
const RESULT = knowKeys(...SHAPES.map(({ key }) => key), 'inputRequests', 'resultType')
const ENTRY = knowKeys('name', 'uri', 'uriTemplate')

/** Whether a list in a result is longer than anybody is asked about, member by member. */
export function hasLongList(result: JsonObject): boolean {
  return SHAPES.some(({ key }) => {
    const members = own(result, key)
    return isList(members) && members.length > MEMBERS_MAX
  })
}

/** Whether a result has a key that hides a list or a request from who minds case, and shows it to who does not. */
export function hasResultTwins(result: JsonObject): boolean {
  return findTwin(result, RESULT) !== undefined
}

/**
 * A result without the members of lists that may not be used; the same object where all may.
 * @param method that it answers; where it is not known, every list in it counts
 * @throws response-malformed where a list is none
 */
export function filterLists(
  result: JsonObject,
  method: string | undefined,
  judge: McpJudge,
): JsonObject {
  if (method !== undefined && !LISTING.has(method)) return result
  let filtered = result
  for (const shape of SHAPES) {
    const members = own(result, shape.key)
    if (!isList(members)) {
      // Null is how some servers write an empty list.
      if (members != null && method !== undefined) throw refusal('to-client', shape.key)
      continue
    }
    const kept = members.filter((member) => mayShow(member, shape, judge))
    if (kept.length < members.length) filtered = { ...filtered, [shape.key]: kept }
  }
  return filtered
}

/**
 * The digest of a tool's definition, by which a change is noticed: all of its entry but `_meta`.
 * @returns `sha256:` and 64 hex digits
 */
export function definitionDigest(tool: JsonValue): string {
  const pinned: JsonValue = isObject(tool) ? without(tool, '_meta') : tool
  return `sha256:${createHash('sha256').update(canonicalJson(pinned)).digest('hex')}`
}

function mayShow(member: JsonValue, { list, name }: ListShape, judge: McpJudge): boolean {
  if (!isObject(member) || findTwin(member, ENTRY) !== undefined) return false
  const value = own(member, name)
  if (typeof value !== 'string') return false
  return judge.mayUse(list, value)
}

function without(object: JsonObject, left: string): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([key]) => key !== left))
}
