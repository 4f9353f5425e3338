// What an exchange asks of whoever decides. Types only: the answers come from the policy, the memory of sessions and the
// pinned definitions, which are not this room's. Implemented by `understand/mcp-judge.ts`, called by `exchange.ts`,
// `server-messages.ts` and `lists.ts`.

import type { Reason } from '../../errors.ts'
import type { McpList } from '../../policy/subject.ts'
import type { McpMessage, McpRequest, MessageId } from './messages.ts'

/** What is known of why a server sends a message. */
export interface AnswerContext {
  /** The client's message on this HTTP call that it answers, or whose answer it stands in. */
  readonly request?: McpRequest
  /** The method that it answers; also where the request came by another call. */
  readonly method?: string
}

/** Decides and remembers; called once for every message from the server, in their order. */
export interface McpJudge {
  /** Decides on one message from the server and records it. @returns `allowed`, or why it is not */
  judge(message: McpMessage, context: AnswerContext): Reason
  /**
   * Whether a member of a list is shown to the client.
   * @param name a tool's or prompt's name, a resource's URI, a template's text with its braces
   */
  mayUse(list: McpList, name: string): boolean
  /** The method of a request of this session that came by another HTTP call; undefined where it is not remembered. */
  methodOf(id: MessageId): string | undefined
  /** The old transport names where its messages are to be posted. @param query with its question mark, or empty */
  noteEndpoint(path: string, query: string): void
}
