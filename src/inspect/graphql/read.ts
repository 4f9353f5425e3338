// Reads GraphQL requests over HTTP: what their documents ask for. Every operation of a document is judged, whichever
// `operationName` selects: servers choose by rules of their own. What can be read in two ways is refused. Deliberately
// without a schema and without judging. Loaded by `understand/graphql-reader.ts`, only where a rule asks for it.

import type { GraphqlOperation, GraphqlSubject } from '../../policy/subject.ts'
import { EgressError } from '../../errors.ts'
import { DEFAULT_LIMITS } from '../../limits.ts'
import type { InspectedFields } from '../fields.ts'
import { readJson } from '../json.ts'
import { findDocuments, type DocumentText, type GraphqlCarrier } from './carried.ts'
import { openBudget, parseDocument, type GraphqlBounds } from './document.ts'
import { malformed } from './refusal.ts'
import { resolveFields } from './resolve-fields.ts'

/** What a request asks for; or it names a document by a hash or an id alone, so that nobody here can know. */
export type GraphqlReading =
  | { readonly subject: GraphqlSubject; readonly fields: InspectedFields }
  | { readonly unknownDocument: true }

interface NamedOperation {
  readonly name: string | undefined
  readonly operation: GraphqlOperation
}

const RECORDED_MAX = 64
const RECORDED_CHARACTERS_MAX = 256
const NOT_FOUND = {
  errors: [
    { message: 'PersistedQueryNotFound', extensions: { code: 'PERSISTED_QUERY_NOT_FOUND' } },
  ],
}

/**
 * Reads a GraphQL request: POST with `application/json` (one request or a batch) or `application/graphql`, GET
 * with the document in its URL.
 * @param body the whole body; undefined where there is none
 * @throws malformed-body with `why`; operation-not-allowed for ways that are not supported: other methods, forms and uploads,
 *   compressed bodies; body-too-large for documents beyond a bound
 */
export function readGraphql(
  request: GraphqlCarrier,
  body: Uint8Array | undefined,
  bounds: GraphqlBounds = DEFAULT_LIMITS,
): GraphqlReading {
  const { documents, otherwise } = findDocuments(request, body, bounds.graphqlBatchMax)
  const operations = readOperations(documents, bounds)
  for (const { read, onlySpaces } of otherwise)
    if (!isSame(operations, () => readOperations([read()], bounds), onlySpaces))
      throw malformed('more than one reading')
  if (!operations) return { unknownDocument: true }
  return {
    subject: { operations: operations.map(({ operation }) => operation) },
    fields: { content: { graphql: describeForRecord(operations) } },
  }
}

/**
 * The answer to a request with an unknown document, in the words that make a client send the whole one (automatic persisted
 * queries); its status is 200. A client that knows its documents by id alone cannot be helped.
 * @param body the one that was read
 */
export function persistedQueryNotFound(body: Uint8Array | undefined): string {
  const request = body === undefined || body.length === 0 ? null : readJson(body)
  return JSON.stringify(Array.isArray(request) ? request.map(() => NOT_FOUND) : NOT_FOUND)
}

// Undefined where a document is not known: then nothing of the batch is.
function readOperations(
  documents: readonly DocumentText[],
  bounds: GraphqlBounds,
): NamedOperation[] | undefined {
  const budget = openBudget(bounds)
  const operations = documents.map((text) => {
    if (text === undefined) return undefined
    const document = parseDocument(text, budget)
    return document.operations.map((node) => ({
      name: node.name?.value,
      operation: resolveFields(node, document, budget),
    }))
  })
  return operations.every((each) => each !== undefined) ? operations.flat() : undefined
}

// Whether another reading comes to the same. A document with spaces is none when `+` stands for itself: that is well.
function isSame(
  expected: readonly NamedOperation[] | undefined,
  read: () => readonly NamedOperation[] | undefined,
  onlySpaces: boolean,
): boolean {
  try {
    return JSON.stringify(read()) === JSON.stringify(expected)
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    const { part, why } = error.detail
    return onlySpaces && (part === 'json' || why === 'syntax')
  }
}

function describeForRecord(operations: readonly NamedOperation[]): {
  readonly operations: readonly string[]
  readonly fields: readonly string[]
} {
  const paths = operations.flatMap(({ operation }) => operation.fields)
  // What stands closer to the root says more.
  const byDepth = paths.toSorted((one, other) => one.length - other.length)
  return {
    operations: shorten(
      operations.map(({ name, operation: { type } }) =>
        name === undefined ? type : `${type} ${name}`,
      ),
    ),
    fields: shorten([...new Set(byDepth.map((path) => path.join('.')))]),
  }
}

function shorten(texts: readonly string[]): string[] {
  return texts.slice(0, RECORDED_MAX).map((text) => text.slice(0, RECORDED_CHARACTERS_MAX))
}
