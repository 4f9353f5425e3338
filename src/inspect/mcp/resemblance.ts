// What is no MCP by its head, or cannot be read as that, and may be a message to some server all the same: a deny must not be
// evaded by a method or a key that our own reading does not know. Pure; called by `understand/`.

import { EgressError } from '../../errors.ts'
import type { RawHeaders } from '../../wire/body.ts'
import { valuesOf } from '../../wire/headers.ts'
import type { JsonValue } from '../fields.ts'
import { readJson } from '../json.ts'
import { isList, isObject } from '../json-values.ts'
import { findTwin, knowKeys } from './values.ts'

const MARK = knowKeys('jsonrpc')
const MARKS: ReadonlySet<string> = new Set(['jsonrpc', 'method'])

/** Whether some server may take a body for JSON-RPC: it says so, or is JSON that not everybody reads alike. */
export function resemblesJsonRpc(headers: RawHeaders, bytes: Uint8Array): boolean {
  if (bytes.length === 0) return false
  let value: JsonValue
  try {
    value = readJson(bytes)
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    return valuesOf(headers, 'content-type').some((type) => /json/i.test(type))
  }
  return (isList(value) ? value : [value]).some(
    (member) =>
      isObject(member) &&
      (Object.hasOwn(member, 'jsonrpc') || findTwin(member, MARK) !== undefined),
  )
}

/** Whether some server may take a request for one of MCP although its head is none: the server sees no `Upgrade` of a POST. */
export function resemblesMcp(method: string, headers: RawHeaders, bytes: Uint8Array): boolean {
  return (method === 'POST' && bytes.length > 0) || resemblesJsonRpc(headers, bytes)
}

/** Whether a lenient server might take JSON for messages, whatever else is in it. */
export function mayBeMessages(value: JsonValue): boolean {
  return (isList(value) ? value : [value]).some(
    (member) => isObject(member) && Object.keys(member).some((key) => MARKS.has(key.toLowerCase())),
  )
}
