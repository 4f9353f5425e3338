// Records as audit lines of the agents.net draft, version 1: one for each call that was decided, when it is known what became
// of it. Messages inside a call, counts and the sidecar's own events have no line there. Pure. Called by the sinks and by
// `sallyport export`.

import type { RecordBody } from '../body.ts'
import { REASONS, type Reason } from '../../errors.ts'
import { compact, portAt, textAt, timeOf, type JsonObject } from './members.ts'

type Verdict = 'allow' | 'block' | 'fail'

// Allowed, and could not be served: the draft's resolution, dial, budget and TLS, and the proxy's own troubles.
const UNSERVED: ReadonlySet<string> = new Set([
  'resolve-failed',
  'dial-failed',
  'connect-timeout',
  'tls-untrusted',
  'tls-failed',
  'credential-unavailable',
  'loop-detected',
  'policy-unavailable',
  'audit-unavailable',
  'busy',
  'draining',
  'internal',
])

const TOKEN = /^[a-z0-9-]{1,32}$/

/** The line of a call that is over or was refused; undefined for every other record. */
export function projectAgentsNet(record: RecordBody): JsonObject | undefined {
  const action = textAt(record, 'event', 'action')
  if (action !== 'call-ended' && action !== 'call-denied') return undefined
  const { destination, address } = placesOf(record)
  const written = textAt(record, 'event', 'reason') ?? ''
  const reason = TOKEN.test(written) ? written : 'internal'
  // Each call inside it has its own line, and nothing was dialed for the tunnel.
  const isOuter = textAt(record, 'sallyport', 'inspection') === 'connect'
  if (isOuter && action === 'call-ended' && address === undefined) return undefined
  const isWhole = destination !== undefined && address !== undefined
  const decision = verdictOf(action, reason, isWhole)
  const isAllowed = decision === 'allow'
  return {
    agents_net_audit: 1,
    ts: new Date(timeOf(record) ?? 0).toISOString(),
    sandbox: textAt(record, 'sallyport', 'task', 'sandbox') ?? 'unknown',
    policy: textAt(record, 'sallyport', 'decision', 'policy') ?? 'none',
    wire: 'h1',
    ...compact({
      transport: destination === undefined ? undefined : 'tcp',
      direction: 'egress',
      destination,
      address: isAllowed ? address : undefined,
      rule: isAllowed ? textAt(record, 'rule', 'id') : undefined,
    }),
    decision,
    ...(!isAllowed && { reason }),
  }
}

function verdictOf(action: string, reason: string, isWhole: boolean): Verdict {
  if (UNSERVED.has(reason)) return 'fail'
  if (action === 'call-denied' || isRefusal(reason)) return 'block'
  return isWhole ? 'allow' : 'fail'
}

// Refused after all, when the address or the body was seen.
function isRefusal(reason: string): boolean {
  if (!isReason(reason)) return false
  const { status } = REASONS[reason]
  return status >= 400 && status < 500
}

function isReason(token: string): token is Reason {
  return Object.hasOwn(REASONS, token)
}

function placesOf(record: unknown): {
  readonly destination: string | undefined
  readonly address: string | undefined
} {
  const port = portAt(record, 'destination', 'port')
  const ip = textAt(record, 'destination', 'ip')
  const name = textAt(record, 'destination', 'domain') ?? ip
  if (port === undefined || name === undefined)
    return { destination: undefined, address: undefined }
  return {
    destination: `${bracketed(name)}:${port}`,
    address: ip === undefined ? undefined : `${bracketed(ip)}:${port}`,
  }
}

function bracketed(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
}
