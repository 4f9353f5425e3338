// What a call that is only written down would be understood as: by the same readers as a live one, without a server, a task or
// a record, and within the bounds that nobody has moved. Called for the tests of rule files.

import { EgressError } from '../errors.ts'
import { PushReader } from '../inspect/git/push.ts'
import { recogniseGit, resemblesGit, type GitHead } from '../inspect/git/request.ts'
import { resemblesGraphql } from '../inspect/graphql/carried.ts'
import { readJson } from '../inspect/json.ts'
import { readJsonBody } from '../inspect/json-body.ts'
import { isMcpRequest } from '../inspect/mcp/head.ts'
import { checkMcpHeaders } from '../inspect/mcp/headers.ts'
import { readMessages } from '../inspect/mcp/messages.ts'
import { resemblesJsonRpc, resemblesMcp } from '../inspect/mcp/resemblance.ts'
import { recogniseQuestion } from '../inspect/model/question.ts'
import { readModelRequest } from '../inspect/model/request.ts'
import { findOverride } from '../judge.ts'
import { DEFAULT_LIMITS } from '../limits.ts'
import type { ReadBody } from '../policy/rule-tests.ts'
import type { Question } from '../policy/decision.ts'
import type { Content, Inspector } from '../policy/subject.ts'
import { graphqlReader } from './graphql-reader.ts'
import { isOfTwoKinds, TWO_KINDS } from './two-kinds.ts'

/** Reads one kind of thing; undefined where the bytes are none. @throws EgressError what is wrong with them */
type Reader = (question: Question, bytes: Uint8Array) => Content | undefined

type Readers = Readonly<Record<Exclude<Inspector, 'git' | 'body'>, Reader>>

/** Makes a reader of bodies as rules would see them. @param loadGraphql gives the reader of GraphQL once it is needed */
export function makeContentReader(loadGraphql: typeof graphqlReader): ReadBody {
  const readers: Readers = {
    mcp: readMcp,
    model: readModel,
    graphql: (question, bytes) => readGraphql(loadGraphql(), question, bytes),
  }
  return (question, bytes, inspectors) => {
    const content = readBody(readers, question, bytes, inspectors)
    if (!inspectors.includes('body')) return content
    const { conditionBodyBytesMax } = DEFAULT_LIMITS
    const body = readJsonBody(question.headers, bytes, conditionBodyBytesMax)
    return body ? { ...content, body } : content
  }
}

/** Reads a body as rules would see it; one MCP message, as those of a batch are judged one by one. */
export const readContent: ReadBody = makeContentReader(graphqlReader)

function readBody(
  readers: Readers,
  question: Question,
  bytes: Uint8Array,
  inspectors: readonly Inspector[],
): Content {
  const { method, path, query, headers } = question
  const head = { method, path: path.raw, query, headers }
  const override = findOverride(question)
  if (override !== undefined) return faultOf(new EgressError('method-not-allowed', { override }))
  let fault: EgressError | undefined
  try {
    const git = inspectors.includes('git') ? readGit(head, bytes) : undefined
    if (git) return git
  } catch (error) {
    return faultOf(asFault(error))
  }
  for (const inspector of inspectors) {
    if (inspector === 'git' || inspector === 'body') continue
    try {
      const content = readers[inspector](question, bytes)
      if (content === undefined) continue
      return isOfTwoKinds(content, inspectors, question, bytes) ? TWO_KINDS : content
    } catch (error) {
      fault ??= asFault(error)
      if (inspector === 'mcp' && resemblesJsonRpc(headers, bytes)) break
      // What could be a question is not read as something else.
      if (inspector === 'model') break
    }
  }
  return fault === undefined ? {} : faultOf(fault)
}

function asFault(error: unknown): EgressError {
  if (error instanceof EgressError) return error
  throw error
}

function faultOf({ reason }: EgressError): Content {
  return { fault: reason }
}

function readGit(head: GitHead, bytes: Uint8Array): Content | undefined {
  const request = recogniseGit(head)
  if (request === undefined && resemblesGit(head)) throw new EgressError('protocol-not-allowed')
  if (request === undefined) return undefined
  const { repo, service, step } = request
  if (step !== 'push') return { git: { repo, service, commands: [] } }
  const reader = new PushReader(request)
  const push = reader.push(bytes)
  return { git: (push === 'more' ? reader.end() : push).subject }
}

function readMcp({ method, headers }: Question, bytes: Uint8Array): Content | undefined {
  if (!isMcpRequest(method, headers)) {
    if (!resemblesMcp(method, headers, bytes)) return undefined
    throw new EgressError('protocol-not-allowed', { part: 'head' })
  }
  if (method !== 'POST') return { mcp: { kind: 'session', method: '' } }
  const { messages, isBatch } = readMessages(readJson(bytes), 'to-server')
  checkMcpHeaders(headers, messages, isBatch, () => undefined)
  const [message, ...others] = messages
  if (message === undefined || others.length > 0)
    throw new EgressError('malformed-body', { part: 'batch' })
  return { mcp: message.subject }
}

function readModel(
  { method, endpoint, path, headers }: Question,
  bytes: Uint8Array,
): Content | undefined {
  const api = recogniseQuestion({ method, host: endpoint.host, path, headers })
  const request = api && readModelRequest(api, bytes, { strict: true })
  return request && { model: request.subject }
}

function readGraphql(
  reader: ReturnType<typeof graphqlReader>,
  question: Question,
  bytes: Uint8Array,
): Content | undefined {
  if (
    bytes.length === 0 &&
    question.method !== 'POST' &&
    !resemblesGraphql(question.query, undefined)
  )
    return undefined
  const reading = reader.readGraphql(question, bytes.length === 0 ? undefined : bytes)
  return 'subject' in reading ? { graphql: reading.subject } : { fault: 'operation-not-allowed' }
}
