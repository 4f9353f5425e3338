// The identifying stage as a configuration and its tasks make it. Called by `sidecar.ts`.

import { Identifier } from '../identify/identify.ts'
import type { Strangers } from '../identify/strangers.ts'
import type { Dialer } from '../net/dial.ts'
import type { Config } from './config.ts'
import { makeJwtVerifier } from './identity.ts'
import { SELF_CHECK_CLIENT } from './self-checks.ts'
import type { TaskRoom } from './task-room.ts'

/** What identifying is made of. */
export interface IdentifierOptions {
  readonly config: Config
  readonly room: TaskRoom
  readonly dialer: Dialer
  readonly strangers: Strangers
}

/** Makes the stage. */
export function makeIdentifier(options: IdentifierOptions): Identifier {
  const { config, room, dialer, strangers } = options
  return new Identifier({
    tasks: room.known,
    jwt: makeJwtVerifier(config, dialer, Date.now),
    policiesFor: (task) => room.policies.chainOf(task),
    momentOf: (task) => ({ now: room.clock.now(), read: room.flow.read(task) }),
    checkSwitches: (task) => room.switches.checkTask(task),
    onStranger: ({ address }, reason) => {
      if (address !== SELF_CHECK_CLIENT) strangers.note(address, reason)
    },
  })
}
