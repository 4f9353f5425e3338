// Which hosts a policy lets a task speak TLS with, as far as they can be listed: what its interception CA may be
// constrained to. Pure; called by `config/` when a task is made and when rules change.

import type { Endpoint } from '../wire/authority.ts'
import type { Policy } from './compile.ts'

/** The hosts of a policy's allows. */
export interface ReachableHosts {
  /** Those that are intercepted; a name stands for itself and all below it. Undefined where they are not finite. */
  readonly intercepted: readonly Pick<Endpoint, 'host' | 'kind'>[] | undefined
  /** Whether a destination is passed through, so that its own certificate is what a client sees. */
  readonly passesThrough: boolean
}

/** Lists what can be listed. */
export function reachableHosts(policy: Policy): ReachableHosts {
  const hosts = new Map<string, Pick<Endpoint, 'host' | 'kind'>>()
  let isFinite = true
  let passesThrough = false
  for (const { verdict, binding, entries } of policy.inside.rules) {
    if (verdict === 'deny' || binding !== 'task') continue
    for (const { host, scheme } of entries) {
      if (scheme === 'tls' || scheme === 'tcp') passesThrough = true
      if (scheme !== 'https' && scheme !== 'wss') continue
      if (host.kind === 'below') hosts.set(host.suffix, { host: host.suffix, kind: 'name' })
      else if (host.kind === 'exact')
        hosts.set(host.host, {
          host: host.host,
          kind: host.isAddress ? (host.host.includes(':') ? 'ipv6' : 'ipv4') : 'name',
        })
      else isFinite = false
    }
  }
  return { intercepted: isFinite ? [...hosts.values()] : undefined, passesThrough }
}

/** Names of the credentials that a policy's allows name. */
export function credentialsOf(policy: Policy): readonly string[] {
  const names = policy.inside.rules
    .filter(({ verdict, binding }) => verdict !== 'deny' && binding === 'task')
    .map(({ dues }) => dues.credential)
  return [...new Set(names.filter((name) => name !== undefined))]
}
