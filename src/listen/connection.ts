// What a door knows of one client connection, or of the inside of one tunnel. Called by `server.ts`.

import type { Call, CallKind, ClientAddress } from '../call.ts'
import type { CallScope } from '../stages.ts'

/** What is known of one client connection, or of the inside of one tunnel. */
export interface Connection {
  readonly client: ClientAddress
  readonly kind: CallKind
  readonly scope: CallScope
  readonly parent?: string
  /** Calls of this connection that are open, and whether their request has arrived whole. */
  readonly calls: Map<Call, () => boolean>
  requests: number
  /** What still comes is no request any more. */
  ended?: true
  /** What is to happen once no call is open. */
  onIdle?: () => void
}

/** A connection on which nothing was asked yet. */
export function newConnection(
  client: ClientAddress,
  kind: CallKind,
  scope: CallScope,
  parent?: string,
): Connection {
  return {
    client,
    kind,
    scope,
    ...(parent !== undefined && { parent }),
    calls: new Map(),
    requests: 0,
  }
}

/** Does something behind the answers that are still owed on a connection; at once where there are none. */
export function whenIdle(connection: Connection, action: () => void): void {
  if (connection.calls.size === 0) action()
  else connection.onIdle = action
}
