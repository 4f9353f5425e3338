// Loads the GraphQL parser when it is first needed: a start must not wait for what most rule sets have no use for.
// Called by `graphql.ts` and `read-content.ts`.

import { createRequire } from 'node:module'

import type * as GraphqlReader from '../inspect/graphql/read.ts'

const require = createRequire(import.meta.url)
// As a built module it has the other ending, which nobody rewrites here.
const ENDING = import.meta.url.slice(import.meta.url.lastIndexOf('.'))

let reader: typeof GraphqlReader | undefined

/** The reader of GraphQL requests. */
export function graphqlReader(): typeof GraphqlReader {
  reader ??= load()
  return reader
}

function load(): typeof GraphqlReader {
  // oxlint-disable-next-line typescript/no-unsafe-return -- it is the module whose type this is
  return require(`../inspect/graphql/read${ENDING}`)
}
