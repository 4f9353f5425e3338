// What a proxy above us changes for the rest of the configuration and for rules: it must not be this sidecar, and where it is
// asked for names nobody here sees an address, which some keys rely on. Pure; called by `cross-check.ts` and
// `check-installation.ts`.

import type { Problem } from '../policy/problem.ts'
import type { Rule, RuleSet } from '../policy/rule-set.ts'
import type { Config } from './config.ts'
import type { ReportProblem } from './report-problem.ts'
import type { Sections } from './schema.ts'
import type { ProxySection } from './upstream-schema.ts'
import { isLocalAddress, type ListenAddress } from './units.ts'

const KEYS = ['upstream', 'proxy'] as const

/** Checks the proxy above against the listeners and the credentials. */
export function checkProxySection(
  { upstream, listen, control, credentials = {} }: Partial<Sections>,
  report: ReportProblem,
): void {
  const proxy = upstream?.proxy
  if (proxy === undefined) return
  const listeners = [
    listen?.proxy,
    listen?.socks,
    ...Object.values(listen?.transparent ?? {}),
    listen?.health,
    control?.listen,
  ]
  if (listeners.some((address) => address !== undefined && isReachedBy(address, proxy.url)))
    report(
      [...KEYS, 'url'],
      'conflict',
      '`upstream.proxy.url` is a listener of this sidecar: calls would go round in a loop',
    )
  if (proxy.connectBy !== 'name') return
  for (const [name, { insecurePlaintext }] of Object.entries(credentials))
    if (insecurePlaintext)
      report(
        ['credentials', name, 'insecurePlaintext'],
        'conflict',
        `\`${name}\` is sent in plaintext to listed addresses only, and by \`upstream.proxy.connectBy: name\` nobody here sees an address`,
        'connect by address, or send the credential by TLS alone',
      )
}

/** Warns of what rules say of addresses that nobody here sees. */
export function checkUnseenAddresses(
  set: RuleSet,
  { upstream: { proxy } }: Pick<Config, 'upstream'>,
): Problem[] {
  if (proxy?.connectBy !== 'name') return []
  return set.rules.flatMap((rule) => {
    const unseen = unseenBy(rule)
    if (unseen === undefined) return []
    return [
      {
        file: set.file,
        ...rule.place,
        severity: 'warning' as const,
        message: `${unseen} of rule \`${rule.id}\` does not bind what names resolve to: the proxy above resolves them`,
        hint: 'set `upstream.proxy.connectBy` to address',
        code: 'address-unseen',
      },
    ]
  })
}

function unseenBy({ addresses, verdict, destinations }: Rule): string | undefined {
  if (addresses.length > 0) return '`addresses`'
  const isRange = destinations.some(({ host }) => host.kind === 'range')
  return verdict === 'deny' && isRange ? 'the range' : undefined
}

// What can be told without asking anybody; the rest is found when it is dialed.
function isReachedBy(listener: ListenAddress, { endpoint }: ProxySection['url']): boolean {
  if (listener.kind !== 'tcp' || listener.port !== endpoint.port) return false
  const { host } = endpoint
  const isHere = host === 'localhost' || host.endsWith('.localhost') || isEvery(host)
  if (listener.host === host) return true
  // Dialing the unspecified address reaches this machine's loopback.
  if (isHere && isLocalAddress(listener)) return true
  return isEvery(listener.host) && (isHere || host.startsWith('127.') || host === '::1')
}

function isEvery(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}
