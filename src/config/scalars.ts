// The scalars of the configuration as schemas: texts, numbers and texts with a unit. Each says in its message what was
// expected. Pure; called by the schemas of the sections.

import { z } from 'zod'

import { EgressError } from '../errors.ts'
import { canonicalAddress, parseCidr } from '../wire/address.ts'
import { normalizeHost } from '../wire/authority.ts'
import {
  DURATION_PATTERN,
  formatListenAddress,
  parseDuration,
  parseHostPort,
  parseListenAddress,
  parseSize,
  SIZE_PATTERN,
  type HostPort,
  type ListenAddress,
} from './units.ts'

// Generated code pays only where one schema reads much: a configuration and its rules are read once. Before any schema is
// made, because each keeps what was set then.
z.config({ jitless: true })

/** Reads a text by a function that returns undefined, or throws an EgressError, where it is not one. */
function readBy<Value>(
  source: z.ZodType<string, string>,
  read: (text: string) => Value | undefined,
  expected: string,
): z.ZodType<Value, string> {
  return source.transform((written, context) => {
    let value: Value | undefined
    try {
      value = read(written)
    } catch (error) {
      if (!(error instanceof EgressError)) throw error
    }
    if (value !== undefined) return value
    context.addIssue({ code: 'custom', message: expected })
    return z.NEVER
  })
}

/** A text of 1 to `charactersMax` characters without control characters. */
export function boundedText(charactersMax: number): z.ZodType<string, string> {
  return z
    .string({ error: 'expected a text' })
    .min(1, { error: 'expected a text that is not empty' })
    .max(charactersMax, { error: `expected at most ${charactersMax} characters` })
    .refine((written) => !/\p{Cc}/u.test(written.replaceAll(/[\n\t]/g, '')), {
      error: 'control characters are not allowed',
    })
}

const DURATION_EXPECTED = 'expected a duration such as 30s, 15m, 12h or 30d'
const SIZE_EXPECTED = 'expected a size such as 512KiB, 64MiB or 4GiB'

/** A duration in milliseconds, written with a unit. */
export const duration: z.ZodType<number, string> = readBy(
  z.string({ error: DURATION_EXPECTED }).regex(DURATION_PATTERN, { error: DURATION_EXPECTED }),
  parseDuration,
  DURATION_EXPECTED,
)

/** A whole number above zero. */
export const positiveInteger: z.ZodType<number, number> = z
  .int({ error: 'expected a whole number' })
  .positive({ error: 'expected a number above zero' })

/** A size in bytes, written with a unit or as a bare number of bytes. */
export const size: z.ZodType<number, string | number> = z.union(
  [positiveInteger, readBy(z.string().regex(SIZE_PATTERN), parseSize, SIZE_EXPECTED)],
  { error: SIZE_EXPECTED },
)

// A Node timer holds a signed 32-bit count of milliseconds and fires at once beyond it.
const TIMER_MAX_MS = 2 ** 31 - 1

/** A bound of `limits.ts` by its name: what ends in `Ms` may be a duration, what counts bytes a size. */
export function limitValue(name: string): z.ZodType<number, string | number> {
  if (/Bytes/.test(name)) return size
  if (!name.endsWith('Ms')) return positiveInteger
  const either = z.union([positiveInteger, duration], {
    error: `${DURATION_EXPECTED}, or milliseconds`,
  })
  // The longest life of a task is watched in steps, so it alone may be longer.
  if (name === 'taskLifetimeMs') return either
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

/** A range of addresses, as written. */
export const cidr: z.ZodType<string, string> = readBy(
  z.string({ error: 'expected a range such as 10.1.2.0/24' }),
  (written) => (parseCidr(written) ? written : undefined),
  'expected a range such as 10.1.2.0/24, without bits set beyond its length',
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
    return kind === 'name' ? host : undefined
  },
  'expected a host name',
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
