// What is known of the two ends of an MCP message besides itself: the server, and the request that an answer belongs to. Pure.
// Called by `mcp.ts` and `mcp-judge.ts`.

import { SESSION_SUBJECT, type McpMessage, type McpRequest } from '../inspect/mcp/messages.ts'
import type { Verdict } from '../judge.ts'
import type { OpenRequest } from '../ledger/open-requests.ts'
import { formatAuthority } from '../wire/authority.ts'
import type { CanonicalRequest } from '../wire/receive.ts'

/** What an answer says is told together with what it answers; of a request that came by another call no more is kept. */
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

/** The verdict on what a server says in a call that a person let pass: it is no call of its own. */
export function letThrough(verdict: Verdict): Verdict {
  const { decision } = verdict
  if (decision.verdict !== 'hold') return verdict
  return { ...verdict, decision: { ...decision, verdict: 'allow', reason: 'allowed' } }
}

/** Scheme, host and port of a request. */
export function originOf({ scheme, endpoint }: CanonicalRequest): string {
  return `${scheme}://${formatAuthority(endpoint, scheme === 'https' ? 443 : 80)}`
}
