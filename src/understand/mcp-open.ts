// What a server answers, described by the request that it answers where that came by another call. Pure; called by
// `mcp-judge.ts`.

import { SESSION_SUBJECT, type McpMessage, type McpRequest } from '../inspect/mcp/messages.ts'
import type { OpenRequest } from '../ledger/open-requests.ts'

/** The request that an answer belongs to; undefined where it is no answer, or the method is not known any more. */
export function describeOpen(
  answer: McpMessage,
  { method, tool }: OpenRequest,
): McpRequest | undefined {
  if (answer.kind !== 'response' || answer.id === null || method === undefined) return undefined
  return {
    kind: 'request',
    direction: 'to-server',
    id: answer.id,
    method,
    params: tool === undefined ? {} : { name: tool },
    value: {},
    subject: SESSION_SUBJECT,
    subjects: [SESSION_SUBJECT],
  }
}
