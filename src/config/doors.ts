// The doors that a configuration opens. Called by `sidecar.ts`.

import { Doors, type DoorAddresses, type DoorsOptions } from '../listen/doors.ts'
import type { Config } from './config.ts'
import { socketAddressOf } from './dialer.ts'
import { readTrustBundle } from './identity.ts'
import type { ListenAddress } from './units.ts'

/**
 * Makes the doors of a sidecar; nothing is listened on yet.
 * @param own whether it opens any itself: a sidecar that was started for one sandbox is handed all of them
 */
export function makeDoors(
  config: Config,
  own: boolean,
  parts: Omit<DoorsOptions, 'addresses' | 'clientCa'>,
): Doors {
  const addresses = own ? addressesOf(config.listen) : {}
  return new Doors({ ...parts, addresses, clientCa: readTrustBundle(config) })
}

function addressesOf({ proxy, socks, transparent }: Config['listen']): DoorAddresses {
  const places = { proxy, socks, ...transparent }
  const given = Object.entries(places).filter(
    (place): place is [string, ListenAddress] => place[1] !== undefined,
  )
  return Object.fromEntries(given.map(([door, address]) => [door, socketAddressOf(address)]))
}
