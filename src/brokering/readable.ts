// What is asked of an upstream whose answer is to be looked through: to send it whole and not compressed. Called by `prepare.ts`.

import type { Call, Identified } from '../call.ts'
import { askPlainly, withoutFields } from '../inspect/mcp/head.ts'
import type { Parts } from '../stages.ts'
import type { RawHeaders } from '../wire/body.ts'

const EXTENSIONS: ReadonlySet<string> = new Set(['sec-websocket-extensions'])

/**
 * The head of a request whose answer can be read.
 * @param isInjected whether it carries a credential: a value could be cut through by ranges, and compressed beyond our reach
 */
export function askReadably(
  { arrival, identity }: Call & Identified,
  headers: RawHeaders,
  isInjected: boolean,
  { credentials }: Parts,
): RawHeaders {
  const asked = isInjected ? askPlainly(headers) : headers
  const isRead = arrival.kind === 'upgrade' && credentials.secretsOf(identity.task.id).length > 0
  return isRead ? withoutFields(asked, EXTENSIONS) : asked
}
