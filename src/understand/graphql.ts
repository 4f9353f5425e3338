// GraphQL: the operations of a request as its documents have them. Called by `inside.ts`.

import type { Answer } from '../call.ts'
import type { Reason } from '../errors.ts'
import { resemblesGraphql } from '../inspect/graphql/carried.ts'
import type { GraphqlReading } from '../inspect/graphql/read.ts'
import type { Parts } from '../stages.ts'
import { refusalHeaders } from '../wire/proxy-status.ts'
import { NO_BODY, type Body } from '../wire/body.ts'
import { graphqlReader } from './graphql-reader.ts'
import { makeInspection, type Reading, type Screened, type WholeCall } from './inspection.ts'

/** Reads a posted request. @throws malformed-body, body-too-large */
export function readGraphqlPost({ call, bytes, body, parts }: WholeCall): Reading {
  const { readGraphql, persistedQueryNotFound } = graphqlReader()
  const reading = readGraphql(call.request, bytes, parts.limits)
  if (!('unknownDocument' in reading)) return describe(call, reading, body)
  return refuseUnknown(body, persistedQueryNotFound(bytes))
}

/** Reads a request that is all in its URL; undefined where there is none. @throws malformed-body, body-too-large, operation-not-allowed */
export function readGraphqlQuery(call: Screened, parts: Parts): Reading | undefined {
  if (!resemblesGraphql(call.request.query, undefined)) return undefined
  const { readGraphql, persistedQueryNotFound } = graphqlReader()
  const reading = readGraphql(call.request, undefined, parts.limits)
  if (!('unknownDocument' in reading)) return describe(call, reading, NO_BODY)
  return refuseUnknown(NO_BODY, persistedQueryNotFound(undefined))
}

function describe(
  call: Screened,
  { subject, fields }: Extract<GraphqlReading, { readonly subject: unknown }>,
  body: Body,
): Reading {
  call.inspected = fields
  return { content: { graphql: subject }, inspection: makeInspection({ body }) }
}

// What a document is that only its digest names, nobody here can say; clients send the whole one when they are told so.
function refuseUnknown(body: Body, answer: string): Reading {
  const writeRefusal = (reason: Reason): Answer | undefined =>
    reason === 'operation-not-allowed'
      ? {
          status: 200,
          statusText: `Sallyport: ${reason}`,
          headers: refusalHeaders(reason, 'application/json'),
          body: answer,
        }
      : undefined
  return {
    content: { fault: 'operation-not-allowed' },
    inspection: makeInspection({ body, writeRefusal }),
  }
}
