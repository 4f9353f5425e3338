// What is asked of an upstream whose answer is to be looked through: to send it whole and not compressed. Called by `prepare.ts`.

import type { Call, Identified } from '../call.ts'
import type { Injection } from '../credentials/definition.ts'
import { askPlainly, withoutFields } from '../inspect/mcp/head.ts'
import type { Parts } from '../stages.ts'
import type { RawHeaders } from '../wire/body.ts'

const EXTENSIONS: ReadonlySet<string> = new Set(['sec-websocket-extensions'])
const CODINGS: ReadonlySet<string> = new Set(['accept-encoding'])

/**
 * The head of a request whose answer can be read.
 * @param inject of the credential that it carries: a value could be cut through by ranges, and compressed beyond our reach
 */
export function askReadably(
  { arrival, identity }: Call & Identified,
  headers: RawHeaders,
  inject: Injection | undefined,
  { credentials }: Parts,
): RawHeaders {
  const asked = inject === undefined ? headers : askUncoded(headers, inject)
  const isRead = arrival.kind === 'upgrade' && credentials.secretsOf(identity.task.id).length > 0
  return isRead ? withoutFields(asked, EXTENSIONS) : asked
}

// What signs is not sent, and who reads objects in parts, as clients of S3 do, cannot do without them.
function askUncoded(headers: RawHeaders, { kind }: Injection): RawHeaders {
  if (kind !== 'sigv4') return askPlainly(headers)
  return [...withoutFields(headers, CODINGS), 'Accept-Encoding', 'identity']
}
