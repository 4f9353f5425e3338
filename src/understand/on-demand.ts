// Loads readers when they are first needed, where nobody can wait for an import: a start must not wait for what most rule sets
// have no use for. Called by `graphql.ts`, `read-content.ts` and whoever runs the tests of rule files.

import { createRequire } from 'node:module'

import type * as GraphqlReader from '../inspect/graphql/read.ts'
import type { ReadBody } from '../policy/check.ts'
import type * as ContentReader from './read-content.ts'

const require = createRequire(import.meta.url)
// As a built module it has the other ending, which nobody rewrites here.
const ENDING = import.meta.url.slice(import.meta.url.lastIndexOf('.'))

let graphql: typeof GraphqlReader | undefined
let content: typeof ContentReader | undefined

/** The reader of GraphQL requests. */
export function graphqlReader(): typeof GraphqlReader {
  graphql ??= loadGraphql()
  return graphql
}

/** Reads bodies that are written down as those of live calls are read. */
export const readContentLater: ReadBody = (...given) => {
  content ??= loadContent()
  return content.readContent(...given)
}

function loadGraphql(): typeof GraphqlReader {
  // oxlint-disable-next-line typescript/no-unsafe-return -- it is the module whose type this is
  return require(`../inspect/graphql/read${ENDING}`)
}

function loadContent(): typeof ContentReader {
  // oxlint-disable-next-line typescript/no-unsafe-return -- it is the module whose type this is
  return require(`./read-content${ENDING}`)
}
