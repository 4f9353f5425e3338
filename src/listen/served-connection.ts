// What a door and its connections ask of each other, whatever the connections speak. Types only; `server.ts` is the door.

import type { Call, CallKind, ClientAddress } from '../call.ts'
import type { DeadlineSweep, Timed } from '../deadlines.ts'
import type { CallScope, Parts } from '../stages.ts'
import type { TaskStanding } from '../tasks/task.ts'

/** Where a connection comes from. */
export interface ConnectionOrigin {
  readonly client: ClientAddress
  /** The task that all of its calls are, by where they come in. */
  readonly boundTo?: TaskStanding
  readonly kind: CallKind
  readonly scope: CallScope
  /** The call of the tunnel around it. */
  readonly parent?: string
}

/** A connection as its door looks after it. */
export interface ServedConnection extends Timed {
  /** Takes nothing new on the connection, which ends where nothing is asked on it. */
  endIfIdle(): void
}

/** What a connection of HTTP/2 needs of its door. */
export interface Http2Host {
  readonly parts: Parts
  readonly deadlines: DeadlineSweep<ServedConnection>
  makeCall(origin: ConnectionOrigin, kind: CallKind): Call
  /** Counts a call as open. @throws EgressError draining, busy */
  openCall(call: Call): void
  closeCall(call: Call): void
}
