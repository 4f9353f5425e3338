// What rules see of a request or a notification: nothing but that it belongs to the session, or the items that its `params`
// name. Deliberately refuses what servers read in more than one way. Called by `messages.ts`.

import type { EgressError } from '../../errors.ts'
import type { McpList, McpSubject } from '../../policy/subject.ts'
import type { JsonValue } from '../fields.ts'
import type { MethodRow } from './methods.ts'
import { isList, isObject, type JsonObject, own } from '../json-values.ts'
import { findTwin, hasTwinKeys, isPrintable, knowKeys } from './values.ts'

/** Makes the error for a part that is not what it should be. */
type Refusal = (part: string) => EgressError

const NAME_LENGTH_MAX = 1024
/** Characters of a URI. */
export const URI_LENGTH_MAX = 8192
const SUBSCRIPTIONS_MAX = 256
const DOT_SEGMENT = /(?:^|[/:])\.{1,2}(?:[/?#]|$)/
// What some servers divide a path at, raw or escaped.
const BACKSLASH = /\\|%(?:25)*5c/i
const ESCAPED_SLASH = /%(?:25)*2f/gi
// Letters, digits, `-`, `.`, `_` and `~` say the same escaped or not (RFC 3986 section 2.3), a pattern does not know it.
const ESCAPED_PLAIN = /%(?:25)*(?:2[de]|3\d|[46][1-9a-f]|[57][\da]|5f|7e)/i

const PARAMS = knowKeys(
  'name',
  'uri',
  'arguments',
  'ref',
  'notifications',
  '_meta',
  'protocolVersion',
  'taskId',
)
const REFERENCE = knowKeys('type', 'name', 'uri')
const FILTER = knowKeys('resourceSubscriptions')
const META = knowKeys('io.modelcontextprotocol/protocolVersion')

/**
 * The subjects of a message, all of which must be allowed; never empty.
 * @param row undefined where the method is in no specification
 * @throws what `refusal` makes
 */
export function readSubjects(
  method: string,
  row: MethodRow | undefined,
  params: JsonObject | undefined,
  refusal: Refusal,
): readonly McpSubject[] {
  if (row === undefined) return [{ kind: 'other', method }]
  const { meaning } = row
  if (params && row.direction === 'to-server') refuseTwins(params, refusal)
  if (meaning === 'session' || meaning === 'other') return [{ kind: meaning, method }]
  if (params === undefined) throw refusal('params')
  if (meaning === 'reference') return [readReference(method, params, refusal)]
  if (meaning === 'subscriptions') return readSubscriptions(method, params, refusal)
  const name = readName(own(params, meaning.key), meaning.key, refusal)
  const given = readArguments(params, refusal)
  const item = toItem(method, meaning.list, name)
  return [meaning.list === 'tools' && given ? { ...item, arguments: given } : item]
}

function refuseTwins(params: JsonObject, refusal: Refusal): void {
  if (findTwin(params, PARAMS) !== undefined) throw refusal('params key')
  const meta = own(params, '_meta')
  if (meta === undefined) return
  if (!isObject(meta)) throw refusal('_meta')
  if (findTwin(meta, META) !== undefined) throw refusal('_meta key')
}

function toItem(method: string, list: McpList, name: string): McpSubject {
  return { kind: 'item', method, list, name }
}

function readName(value: JsonValue | undefined, key: 'name' | 'uri', refusal: Refusal): string {
  const lengthMax = key === 'name' ? NAME_LENGTH_MAX : URI_LENGTH_MAX
  if (typeof value !== 'string' || value === '' || value.length > lengthMax) throw refusal(key)
  if (!isPrintable(value)) throw refusal(key)
  if (key === 'uri' && hasDoubtfulPath(value)) throw refusal('uri path')
  return value
}

// A pattern sees the text, the server what it makes of it: a path must not go up, nor be written in another way.
function hasDoubtfulPath(uri: string): boolean {
  return (
    BACKSLASH.test(uri) ||
    ESCAPED_PLAIN.test(uri) ||
    DOT_SEGMENT.test(uri.replace(ESCAPED_SLASH, '/'))
  )
}

function readArguments(params: JsonObject, refusal: Refusal): JsonObject | undefined {
  if (!Object.hasOwn(params, 'arguments')) return undefined
  const given = own(params, 'arguments')
  // A condition sees one of two keys that differ in case, a server that ignores case the other.
  if (!isObject(given) || hasTwinKeys(given)) throw refusal('arguments')
  return given
}

function readReference(method: string, params: JsonObject, refusal: Refusal): McpSubject {
  const reference = own(params, 'ref')
  if (!isObject(reference) || findTwin(reference, REFERENCE) !== undefined) throw refusal('ref')
  const type = own(reference, 'type')
  if (type === 'ref/prompt' && !Object.hasOwn(reference, 'uri'))
    return toItem(method, 'prompts', readName(own(reference, 'name'), 'name', refusal))
  if (type === 'ref/resource' && !Object.hasOwn(reference, 'name'))
    return toItem(method, 'resources', readName(own(reference, 'uri'), 'uri', refusal))
  throw refusal('ref')
}

function readSubscriptions(
  method: string,
  params: JsonObject,
  refusal: Refusal,
): readonly McpSubject[] {
  const filter = own(params, 'notifications')
  if (!isObject(filter) || findTwin(filter, FILTER) !== undefined) throw refusal('notifications')
  const uris = own(filter, 'resourceSubscriptions') ?? []
  if (!isList(uris) || uris.length > SUBSCRIPTIONS_MAX) throw refusal('resourceSubscriptions')
  if (uris.length === 0) return [{ kind: 'session', method }]
  return uris.map((uri) => toItem(method, 'resources', readName(uri, 'uri', refusal)))
}
