// Parses a GraphQL document with the reference implementation, within bounds: it is recursive, so depth is looked at before.
// Deliberately without a schema: whether fields exist is the server's question. Called by `read.ts`.

import { Buffer } from 'node:buffer'

import { GraphQLError } from 'graphql/error/index.js'
import {
  Kind,
  Lexer,
  parse,
  Source,
  TokenKind,
  type DocumentNode,
  type FragmentDefinitionNode,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql/language/index.js'

import type { Limits } from '../../limits.ts'
import { malformed, tooLarge } from './refusal.ts'

/** The bounds of a request that an operator says. */
export type GraphqlBounds = Pick<
  Limits,
  'graphqlBatchMax' | 'graphqlDocumentBytesMax' | 'graphqlTokensMax'
>

/** What is left of the bounds, for all documents of a request together. */
export interface Budget {
  /** Of each document. */
  readonly documentBytes: number
  tokens: number
  /** Looks at a field or a fragment; fragments may be looked at in many places. */
  visits: number
  /** Fields by their places in the answer. */
  fields: number
  /** Of the fields' paths. */
  characters: number
}

/** A document that can be executed. */
export interface ParsedDocument {
  readonly operations: readonly OperationDefinitionNode[]
  /** By name; those that are spread exist, and none is spread within itself. */
  readonly fragments: ReadonlyMap<string, FragmentDefinitionNode>
}

const VISITS_MAX = 50_000
const FIELDS_MAX = 10_000
const CHARACTERS_MAX = 2 * 1024 * 1024
// Brackets in each other, of any kind.
const DEPTH_MAX = 100

const OPENING: ReadonlySet<string> = new Set([
  TokenKind.BRACE_L,
  TokenKind.BRACKET_L,
  TokenKind.PAREN_L,
])
const CLOSING: ReadonlySet<string> = new Set([
  TokenKind.BRACE_R,
  TokenKind.BRACKET_R,
  TokenKind.PAREN_R,
])

// What ended a line, and so a comment, in older editions and other languages, or is not shown.
// oxlint-disable-next-line no-control-regex
const ODD_IN_COMMENT = /[\0-\x08\v\f\x0e-\x1f\x7f\x85\u2028\u2029]/

/** The bounds of one request. */
export function openBudget({ graphqlDocumentBytesMax, graphqlTokensMax }: GraphqlBounds): Budget {
  return {
    documentBytes: graphqlDocumentBytesMax,
    tokens: graphqlTokensMax,
    visits: VISITS_MAX,
    fields: FIELDS_MAX,
    characters: CHARACTERS_MAX,
  }
}

/**
 * Parses a document.
 * @throws malformed-body, with `why: syntax` where it is no GraphQL; body-too-large beyond a bound
 */
export function parseDocument(text: string, budget: Budget): ParsedDocument {
  if (Buffer.byteLength(text) > budget.documentBytes) throw tooLarge('document')
  try {
    spendTokens(text, budget)
    return takeApart(parse(text, { noLocation: true }))
  } catch (error) {
    if (error instanceof GraphQLError) throw malformed('syntax', error.positions?.[0])
    throw error
  }
}

function spendTokens(text: string, budget: Budget): void {
  const lexer = new Lexer(new Source(text))
  let depth = 0
  let last = lexer.token
  while (last.kind !== TokenKind.EOF) {
    const next = lexer.advance()
    // Comments stand between the two.
    for (let token = last.next; token; token = token.next) {
      budget.tokens -= 1
      if (token.kind === TokenKind.COMMENT && ODD_IN_COMMENT.test(token.value))
        throw malformed('comment', token.start)
    }
    if (budget.tokens < 0) throw tooLarge('tokens')
    if (OPENING.has(next.kind)) depth += 1
    if (CLOSING.has(next.kind)) depth -= 1
    if (depth > DEPTH_MAX) throw tooLarge('depth')
    last = next
  }
}

function takeApart({ definitions }: DocumentNode): ParsedDocument {
  const operations: OperationDefinitionNode[] = []
  const fragments = new Map<string, FragmentDefinitionNode>()
  for (const definition of definitions)
    if (definition.kind === Kind.OPERATION_DEFINITION) operations.push(definition)
    else if (definition.kind === Kind.FRAGMENT_DEFINITION) {
      if (fragments.has(definition.name.value)) throw malformed('repeated fragment')
      fragments.set(definition.name.value, definition)
    } else throw malformed('definition')
  if (operations.length === 0) throw malformed('no operation')
  const spreads = new Map(
    [...fragments].map(([name, { selectionSet }]) => [name, findSpreads(selectionSet)]),
  )
  const spreadAtAll = [
    ...spreads.values(),
    ...operations.map((each) => findSpreads(each.selectionSet)),
  ]
  if (spreadAtAll.some((names) => names.some((name) => !fragments.has(name))))
    throw malformed('unknown fragment')
  if (hasCycle(spreads)) throw malformed('fragment cycle')
  return { operations, fragments }
}

function findSpreads(from: SelectionSetNode): string[] {
  const names = new Set<string>()
  const open = [from]
  for (let set = open.pop(); set; set = open.pop())
    for (const selection of set.selections)
      if (selection.kind === Kind.FRAGMENT_SPREAD) names.add(selection.name.value)
      else if (selection.selectionSet) open.push(selection.selectionSet)
  return [...names]
}

// Takes away what nobody spreads any more until nothing is left, or a cycle.
function hasCycle(spreads: ReadonlyMap<string, readonly string[]>): boolean {
  const uses = new Map([...spreads.keys()].map((name) => [name, 0]))
  const count = (name: string, by: number): number => {
    const now = (uses.get(name) ?? 0) + by
    uses.set(name, now)
    return now
  }
  for (const names of spreads.values()) for (const name of names) count(name, 1)
  const unused = [...uses].filter(([, times]) => times === 0).map(([name]) => name)
  let left = spreads.size
  for (let name = unused.pop(); name !== undefined; name = unused.pop()) {
    left -= 1
    for (const used of spreads.get(name) ?? []) if (count(used, -1) === 0) unused.push(used)
  }
  return left > 0
}
