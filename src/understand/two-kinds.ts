// What could be of one kind to one server and of another to the next: rules for the other kind would not see it, so it counts as
// not understood. MCP's messages and git's requests leave no room for it. Called by `inside.ts` and `read-content.ts`.

import { resemblesGraphql } from '../inspect/graphql/carried.ts'
import { mayBeMessages } from '../inspect/mcp/resemblance.ts'
import { parseJson } from '../inspect/model/shape.ts'
import type { Content, Inspector } from '../policy/subject.ts'
import type { CanonicalRequest } from '../wire/receive.ts'

/** What is read of such a call. */
export const TWO_KINDS: Content & { readonly fault: 'malformed-body' } = { fault: 'malformed-body' }

/**
 * Whether a server might take for something else what was read as one kind, where rules look for both.
 * @param bytes the body; empty where there is none
 */
export function isOfTwoKinds(
  content: Content,
  inspectors: readonly Inspector[],
  { query }: Pick<CanonicalRequest, 'query'>,
  bytes: Uint8Array,
): boolean {
  if (content.fault !== undefined) return false
  const asksGraphql = inspectors.includes('graphql') && content.graphql === undefined
  const asksMcp = inspectors.includes('mcp') && content.mcp === undefined
  if (!asksGraphql && !asksMcp) return false
  const body = parseJson(Buffer.from(bytes).toString())
  // The id of a message may look like that of a stored document, but nothing else in it is of GraphQL.
  if (asksGraphql && resemblesGraphql(query, content.mcp ? undefined : body)) return true
  return asksMcp && body !== undefined && mayBeMessages(body)
}
