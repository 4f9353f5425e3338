// The scalars that only the configuration has, as schemas: bounds, addresses, host names. Each says in its message
// what was expected. Pure; called by the schemas of the sections. Those that a task has too are in `tasks/scalars.ts`.

import { z } from 'zod'

import { duration, DURATION_EXPECTED, positiveInteger, readBy, size } from '../tasks/scalars.ts'
import { canonicalAddress } from '../wire/address.ts'
import { normalizeHost } from '../wire/authority.ts'
import { isOwnHost, OWN_HOST } from '../wire/own-host.ts'
import {
  formatListenAddress,
  parseHostPort,
  parseListenAddress,
  type HostPort,
  type ListenAddress,
} from './units.ts'

// A Node timer holds a signed 32-bit count of milliseconds and fires at once beyond it.
const TIMER_MAX_MS = 2 ** 31 - 1

// These may be longer.
const WATCHED_IN_STEPS = new Set(['taskLifetimeMs', 'checkpointKeyLifetimeMs'])

/** A bound of `limits.ts` by its name: what ends in `Ms` may be a duration, what counts bytes a size. */
export function limitValue(name: string): z.ZodType<number, string | number> {
  if (/Bytes/.test(name)) return size
  if (!name.endsWith('Ms')) return positiveInteger
  const either = z.union([positiveInteger, duration], {
    error: `${DURATION_EXPECTED}, or milliseconds`,
  })
  if (WATCHED_IN_STEPS.has(name)) return either
  return either.refine((valueMs) => valueMs <= TIMER_MAX_MS, { error: 'expected at most 24d' })
}

const LISTEN_EXPECTED = 'expected ADDRESS:PORT or unix:PATH, such as 127.0.0.1:3128'

/** Where to listen. */
export const listenAddress: z.ZodType<ListenAddress, string> = readBy(
  z.string({ error: LISTEN_EXPECTED }),
  parseListenAddress,
  LISTEN_EXPECTED,
)

/** A host, and a port where it is not 443. */
export const hostPort: z.ZodType<HostPort, string> = readBy(
  z.string({ error: 'expected a host name' }),
  (written) => (written.includes('*') ? undefined : parseHostPort(written)),
  'expected one host, or HOST:PORT; a pattern is no host',
)

/** An address in canonical form. */
export const address: z.ZodType<string, string> = readBy(
  z.string({ error: 'expected an address' }),
  (written) => canonicalAddress(written)?.host,
  'expected an IPv4 or IPv6 address',
)

/** A host name in normal form. */
export const hostName: z.ZodType<string, string> = readBy(
  z.string({ error: 'expected a host name' }),
  (written) => {
    const { host, kind } = normalizeHost(written)
    return kind === 'name' && !isOwnHost(host) ? host : undefined
  },
  `expected a host name, and not ${OWN_HOST}, which is the proxy itself`,
)

/** A DNS server as `ADDRESS:PORT`; port 53 unless written. */
export const resolverAddress: z.ZodType<string, string> = readBy(
  z.string({ error: 'expected ADDRESS:PORT' }),
  (written) => {
    const bare = canonicalAddress(written)
    if (bare !== undefined) return formatListenAddress({ kind: 'tcp', host: bare.host, port: 53 })
    const parsed = parseListenAddress(written)
    return parsed?.kind === 'tcp' && parsed.port > 0 && !written.startsWith('localhost')
      ? written
      : undefined
  },
  'expected the address of a DNS server, such as 127.0.0.1:5353',
)
