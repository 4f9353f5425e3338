// Loads the GraphQL parser when it is first needed: a start must not wait for what most rule sets have no use for.
// Called by `graphql.ts` and `read-content.ts`.

import { loadNow } from '../program.ts'
import type * as GraphqlReader from '../inspect/graphql/read.ts'

let reader: typeof GraphqlReader | undefined

/** The reader of GraphQL requests. */
export function graphqlReader(): typeof GraphqlReader {
  reader ??= loadNow<typeof GraphqlReader>('inspect/graphql/read')
  return reader
}
