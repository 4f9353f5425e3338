// What a door asks of its connections, whatever they speak. Types only; called by `server.ts`.

import type { Timed } from '../deadlines.ts'

/** A connection as its door looks after it. */
export interface ServedConnection extends Timed {
  /** Ends the connection where nothing is asked on it. */
  endIfIdle(): void
}
