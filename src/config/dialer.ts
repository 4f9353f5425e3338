// The dialer that a configuration describes: its resolver, its roots, the listeners of our own that it must never reach, and
// where those of tasks are.
// Called by `sidecar.ts`.

import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import path from 'node:path'

import type { SecretSource } from '../credentials/local-source.ts'
import { NewNames } from '../ledger/new-names.ts'
import type { OwnListener } from '../net/classify.ts'
import { Dialer } from '../net/dial.ts'
import type { ProxyAbove } from '../net/proxy-above.ts'
import { Resolver } from '../net/resolve.ts'
import { parseCidr } from '../wire/address.ts'
import type { Config } from './config.ts'
import { permitEndpoint } from './operator-permit.ts'
import type { ProxySection } from './upstream-schema.ts'
import type { ListenAddress } from './units.ts'

/**
 * Makes the one dialer of a sidecar.
 * @param proxyPassword what it proves itself to the proxy above with
 * @param listening what is listened on as it stands, a port the system chose included
 */
export function makeDialer(
  { upstream, limits, control }: Config,
  proxyPassword: SecretSource | undefined,
  listening: () => readonly (AddressInfo | string | null)[],
  onDial: (outcome: 'connected' | 'failed') => void,
): Dialer {
  const ownListeners = (): OwnListener[] => [
    ...listening().flatMap((bound) =>
      typeof bound === 'object' && bound !== null
        ? [{ host: bound.address, port: bound.port }]
        : [],
    ),
    ...ownListener(control.listen),
  ]
  const names = new NewNames({ limits, now: () => performance.now() })
  return new Dialer({
    names: {
      admit: ({ rootId, endpoint: { host }, isNameWritten }) =>
        names.admit({ rootId, host, isWritten: isNameWritten }),
      forget: (rootId) => names.forget(rootId),
    },
    resolver: new Resolver({ servers: upstream.resolver, hosts: upstream.hosts, limits }),
    allowAddresses: upstream.allowAddresses.flatMap((text) => parseCidr(text) ?? []),
    ownListeners,
    limits,
    upstreamRoots: upstream.caFiles.map((file) => readFileSync(file, 'utf8')),
    above: upstream.proxy && proxyAbove(upstream.proxy, proxyPassword),
    onDial,
  })
}

function proxyAbove(
  { url, connectBy, auth }: ProxySection,
  password: SecretSource | undefined,
): ProxyAbove {
  return {
    permit: permitEndpoint('upstream.proxy', url.endpoint, url.tls),
    connectBy,
    auth: auth && password && { user: auth.user, secret: () => password.secret() },
  }
}

/** A listener's address as node's servers take it. */
export function socketAddressOf(
  address: ListenAddress,
): { host: string; port: number } | { path: string } {
  return address.kind === 'tcp'
    ? { host: address.host, port: address.port }
    : { path: address.path }
}

function ownListener(address: ListenAddress): OwnListener[] {
  return address.kind === 'tcp' ? [{ host: address.host, port: address.port }] : []
}

/** The directory that the sockets of tasks are in. */
export function socketDirOf({ stateDir }: Pick<Config, 'stateDir'>): string {
  return path.join(stateDir, 'sockets')
}
