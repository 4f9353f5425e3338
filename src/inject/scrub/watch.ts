// What is looked for in all that comes back for one call, and who is told. Made by `brokering/`, used by the files of this room.

import type { FormFinder } from './form-finder.ts'

/** Where in what comes back: a head, what follows a body, a body, a message of a WebSocket. */
export type EchoPlace = 'header' | 'trailer' | 'body' | 'message'

/** What is looked for, as it is now, and who is told. */
export interface Watch {
  /** The same as long as the task's credentials are the same. */
  finder(): FormFinder
  onFound(credential: string, place: EchoPlace): void
}
