// What the answer of a failed request says in JSON: an error to be shown, or something that clients which do not look at the
// status take for an answer. Pure; called by `exchange.ts`.

import { Buffer } from 'node:buffer'

import { EgressError } from '../../errors.ts'
import type { RawHeaders } from '../../wire/body.ts'
import { hasHeader } from '../../wire/headers.ts'
import type { JsonValue } from '../fields.ts'
import { readJson } from '../json.ts'
import { isIdentityCoded } from './content-type.ts'
import { refusal, URL_ELICITATION_REQUIRED } from './messages.ts'
import type { FilteredMessages } from './server-messages.ts'
import { isList, isObject, own } from '../json-values.ts'
import { findTwin, knowKeys } from './values.ts'

const NOTHING = new Uint8Array()
const MEMBERS = knowKeys('jsonrpc', 'id', 'method', 'params', 'result', 'error')

/**
 * The body of a failure as the client gets it: as it came where it is no message, else what is left of the message, and nothing
 * where it is called JSON and cannot be read.
 * @param filter judges a message as in any other answer
 */
export function filterFailure(
  headers: RawHeaders,
  bytes: Uint8Array,
  filter: (value: JsonValue) => FilteredMessages,
): Uint8Array {
  let read: JsonValue
  try {
    if (!isIdentityCoded(headers)) throw refusal('to-client', 'content-encoding')
    read = readJson(bytes)
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    return hasHeader(headers, 'content-type') ? NOTHING : bytes
  }
  if (!isMessage(read)) return bytes
  const { value, isChanged } = filter(read)
  if (!isChanged) return bytes
  return value === undefined ? NOTHING : Buffer.from(JSON.stringify(value))
}

// An error by itself may have any id: servers that could not read a request make one up.
function isMessage(value: JsonValue): boolean {
  // Batches do not nest, and depth is the caller's to choose.
  if (isList(value)) return value.some((member) => !isList(member) && isMessage(member))
  if (!isObject(value)) return false
  if (findTwin(value, MEMBERS) !== undefined) return true
  if (Object.hasOwn(value, 'method') || Object.hasOwn(value, 'result'))
    return Object.hasOwn(value, 'jsonrpc')
  const error = own(value, 'error')
  return isObject(error) && own(error, 'code') === URL_ELICITATION_REQUIRED
}
