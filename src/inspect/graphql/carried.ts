// Where in an HTTP request GraphQL documents stand: its body, or its URL's query, never both. Ways in which servers disagree
// (forms, uploads, compressed bodies, other encodings) are refused. Called by `read.ts`.

import { readQuery, type QueryReading } from '../../policy/query.ts'
import type { RawHeaders } from '../../wire/body.ts'
import { valuesOf } from '../../wire/headers.ts'
import type { JsonValue } from '../fields.ts'
import { readJson } from '../json.ts'
import { isList, isObject } from '../json-values.ts'
import { fromUrl, isTelling, readDocumentText, type Member } from './members.ts'
import { malformed, tooLarge, unsupported } from './refusal.ts'

/** The parts of an HTTP request that carry GraphQL. */
export interface GraphqlCarrier {
  readonly method: string
  /** Of the URL, without `?`, latin1 as it was sent. */
  readonly query: string | undefined
  readonly headers: RawHeaders
}

/** The text of a document; undefined where the request only names one that the server has. */
export type DocumentText = string | undefined

/** The documents of a request in one reading. */
export interface Carried {
  /** One for each request of a batch. */
  readonly documents: readonly DocumentText[]
  /** The same in the other readings of a URL; `onlySpaces`: it differs in whether `+` is a space. */
  readonly otherwise: readonly { readonly read: () => DocumentText; readonly onlySpaces: boolean }[]
}

const MEDIA_TYPE = /^application\/(json|graphql)(?:[ \t]*;[ \t]*charset=(?:utf-8|"utf-8"))?$/i

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Finds the documents that a request carries.
 * @param batchMax requests of one batch
 * @throws malformed-body where it could be read in more than one way, operation-not-allowed where it is of a kind that is
 *   not supported, body-too-large where a batch is too long
 */
export function findDocuments(
  carrier: GraphqlCarrier,
  body: Uint8Array | undefined,
  batchMax: number,
): Carried {
  const { method, query, headers } = carrier
  if (method === 'GET') {
    if (body !== undefined && body.length > 0) throw malformed('body of GET')
    return readUrl(query)
  }
  if (method !== 'POST') throw unsupported('method')
  if (readQuery(query).some(tells)) throw malformed('URL and body')
  if (valuesOf(headers, 'content-encoding').some((value) => !/^identity$/i.test(value)))
    throw unsupported('content-encoding')
  const kind = readMediaType(headers)
  const bytes = body ?? new Uint8Array()
  const documents = kind === 'json' ? readBatch(readJson(bytes), batchMax) : [decode(bytes)]
  return { documents, otherwise: [] }
}

/** Whether a request says somewhere what a document is, or could be, whatever is wrong with it. @param body undefined: none */
export function resemblesGraphql(query: string | undefined, body: JsonValue | undefined): boolean {
  if (readQuery(query).some(tells)) return true
  const requests = body === undefined ? [] : isList(body) ? body : [body]
  return requests.some(
    (request) =>
      typeof request === 'object' && request !== null && Object.keys(request).some(isTelling),
  )
}

function tells(reading: QueryReading): boolean {
  return reading === 'unreadable' || reading.some(([name]) => isTelling(name))
}

function readMediaType(headers: RawHeaders): string {
  const types = valuesOf(headers, 'content-type')
  const [, kind] = MEDIA_TYPE.exec(types[0] ?? '') ?? []
  if (types.length !== 1 || kind === undefined) throw unsupported('content-type')
  return kind.toLowerCase()
}

function readBatch(value: JsonValue, batchMax: number): DocumentText[] {
  const requests = isList(value) ? value : [value]
  if (requests.length === 0) throw malformed('empty batch')
  if (requests.length > batchMax) throw tooLarge('batch')
  return requests.map((request) => readDocumentText(readMembers(request)))
}

function readMembers(request: JsonValue): Member[] {
  if (!isObject(request)) throw malformed('no request')
  return Object.entries(request)
}

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw malformed('utf-8')
  }
}

function readUrl(query: string | undefined): Carried {
  // A separator to some. No document needs one that is not escaped.
  if (query?.includes(';') === true) throw malformed('separator')
  const readings = readQuery(query)
  const [plain = [], ...others] = readings.map((reading) => {
    if (reading === 'unreadable') throw malformed('escapes')
    return reading.filter(([name]) => isTelling(name))
  })
  const spaces = describeSpaces(plain)
  return {
    documents: [readDocumentText(fromUrl(plain))],
    otherwise: others.map((members) => ({
      read: () => readDocumentText(fromUrl(members)),
      onlySpaces: describeSpaces(members) === spaces,
    })),
  }
}

function describeSpaces(members: readonly (readonly [string, string])[]): string {
  return JSON.stringify(members).replaceAll('+', ' ')
}
