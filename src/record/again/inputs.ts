// From a record back to what the rules were asked: the call as its URL says it, and what was read inside it. What a record does
// not hold is named, never guessed; where it leaves more than one reading, all of them are given. Pure. Called by `decide.ts`.

import { createHash } from 'node:crypto'

import { EgressError, REASONS, type Reason } from '../../errors.ts'
import { canonicalJson } from '../../inspect/canonical.ts'
import type { JsonValue } from '../../inspect/fields.ts'
import type { JsonObject } from '../../inspect/json-values.ts'
import { findMethod } from '../../inspect/mcp/methods.ts'
import { SESSION_SUBJECT, UNASKED_SUBJECT } from '../../inspect/mcp/messages.ts'
import { readSubjects } from '../../inspect/mcp/subjects.ts'
import type { Inspector, McpSubject } from '../../policy/subject.ts'
import type { Content } from '../../policy/subject.ts'
import { askAbout, type Asked } from '../../policy/written-call.ts'
import { parseAuthority } from '../../wire/authority.ts'
import type { RecordBody } from '../body.ts'
import { gitSubject, graphqlSubject, modelSubject } from './subjects.ts'

/** What may have been read inside; of several nobody knows which. */
export interface ReadInside {
  readonly contents: readonly Content[]
  /** What would tell them apart, or what is not there at all. */
  readonly missing?: string
}

const MASK = '[secret:'

/**
 * The question of a record's head; undefined where it has no target or one that is not understood again.
 * @param around the record of a message's call: the message's own has no method
 */
export function askedOf(record: RecordBody, around: RecordBody | undefined): Asked | undefined {
  const { url, http, sallyport } = record
  if (url === undefined) return undefined
  try {
    if (sallyport.call?.kind === 'tunnel')
      return { connect: parseAuthority(`${url.domain}:${String(url.port)}`) }
    const method = (http ?? around?.http)?.request.method
    const headers = [...recordedHeaders(http === undefined ? (around ?? record) : record)].flat()
    return method === undefined ? undefined : askAbout(method, url.full, headers)
  } catch (error) {
    if (error instanceof EgressError) return undefined
    throw error
  }
}

// Longer values are cut.
const HEADER_CHARACTERS_MAX = 1024

/** The fields of a call's head that its record has whole, by their names in lower case. */
export function recordedHeaders({ sallyport }: RecordBody): ReadonlyMap<string, string> {
  const recorded = Object.entries(sallyport.headers ?? {})
  // A comma may stand between two fields of one name. Of `user_agent` a record has the first of several.
  const isWhole = (value: string): boolean =>
    value.length < HEADER_CHARACTERS_MAX && !value.includes(', ') && !value.includes(MASK)
  return new Map(recorded.filter(([, value]) => typeof value === 'string' && isWhole(value)))
}

/** Where something was masked before it was written: in the URL's query alone, or elsewhere; undefined where nothing was. */
export function maskedIn({ url, mcp }: RecordBody): 'query' | 'elsewhere' | undefined {
  if (mcp?.resource?.uri.includes(MASK) === true) return 'elsewhere'
  if (url === undefined || !url.full.includes(MASK)) return undefined
  const { domain, path = '', query = '' } = url
  return query.includes(MASK) && !`${domain}${path}`.includes(MASK) ? 'query' : 'elsewhere'
}

/** What rules saw inside a message. */
export function insideMessage(record: RecordBody): ReadInside {
  const { mcp, sallyport } = record
  const { direction = 'to-server', kind = 'request' } = sallyport.message ?? {}
  const method = mcp?.method?.name
  if (kind === 'response') {
    if (direction === 'to-server' || method !== undefined) return oneOf(SESSION_SUBJECT)
    return {
      contents: [{ mcp: SESSION_SUBJECT }, { mcp: UNASKED_SUBJECT }],
      missing: 'whether anybody had asked for it',
    }
  }
  if (method === undefined) return { contents: [], missing: 'the method of the message' }
  const row = findMethod(direction, kind, method)
  if (row?.meaning === 'reference' || row?.meaning === 'subscriptions')
    return { contents: [], missing: `what the ${method} names` }
  const refusal = (): EgressError => new EgressError('malformed-body')
  try {
    const [subject] = readSubjects(method, row, namedIn(record), refusal)
    return subject === undefined ? { contents: [] } : oneOf(subject)
  } catch {
    return { contents: [], missing: `what the ${method} names` }
  }
}

function namedIn(record: RecordBody): JsonObject {
  const { gen_ai: named, mcp } = record
  const name = named?.tool?.name ?? named?.prompt?.name
  const uri = mcp?.resource?.uri
  const given = argumentsIn(record)
  return {
    ...(name !== undefined && { name }),
    ...(uri !== undefined && { uri }),
    ...(given !== undefined && { arguments: given }),
  }
}

function oneOf(mcp: McpSubject): ReadInside {
  return { contents: [{ mcp }] }
}

// Whole and without masks where the digest of what was sent is theirs.
function argumentsIn({ gen_ai: named, sallyport: { content } }: RecordBody): JsonValue | undefined {
  const digest = content?.input?.digest
  if (digest === undefined) return undefined
  return [named?.tool?.call?.arguments, {}].find(
    (each) => each !== undefined && sha256Of(canonicalJson(each)) === digest,
  )
}

function sha256Of(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`
}

/**
 * What rules saw inside a call.
 * @param inspectors what the rules look for
 * @param messages the records of what its client said in it, in order
 */
export function insideCall(
  record: RecordBody,
  inspectors: readonly Inspector[],
  messages: readonly RecordBody[],
): ReadInside {
  const { content, decision } = record.sallyport
  if (content?.unread !== undefined) return { contents: [], missing: 'the body' }
  const git = content?.git && gitSubject(content.git)
  if (git === 'cut') return { contents: [], missing: 'all of what the push changes' }
  if (git !== undefined) return { contents: [git] }
  const graphql = content?.graphql && graphqlSubject(content.graphql)
  if (graphql === 'mixed')
    return { contents: [], missing: 'which of several operations asks for which field' }
  if (graphql !== undefined) return { contents: [{ graphql }] }
  const model = modelSubject(record)
  if (model !== undefined && inspectors.includes('model')) return { contents: [{ model }] }
  if (messages.length > 0) return insideMessages(messages)
  const reason = decision?.verdict === 'deny' ? decision.reason : undefined
  if (reason !== undefined && isFault(reason)) return { contents: [{ fault: reason }] }
  if (record.http?.request.method === 'POST') return { contents: [], missing: 'the body' }
  const nothing: Content = {}
  const contents = inspectors.includes('mcp') ? [{ mcp: SESSION_SUBJECT }, nothing] : [nothing]
  return { contents, missing: 'whether it was a request of an MCP client' }
}

// Of one sent together the first that is refused decides; the last reading is that of all when none is.
function insideMessages(messages: readonly RecordBody[]): ReadInside {
  const denied = messages.find(
    ({ event, sallyport: { detail } }) =>
      event.action === 'message-denied' && detail?.['batch'] === undefined,
  )
  const held = messages.find(({ sallyport: { decision } }) => decision?.verdict === 'hold')
  const [first] = messages
  const deciding = denied ?? held ?? first
  return deciding === undefined ? { contents: [] } : insideMessage(deciding)
}

/** Reasons for which bytes were not understood: with the rules they make the decision. */
function isFault(reason: string): reason is Reason {
  return Object.hasOwn(REASONS, reason) && phaseOf(reason) === 'understood'
}

function phaseOf(reason: string): string | undefined {
  const rows: Readonly<Record<string, { readonly phase: string }>> = REASONS
  return rows[reason]?.phase
}
