// Destinations as they are written: `scheme://host[:port][/path]`, and ranges of addresses. Deliberately stricter than a
// URL: what could be read in two ways is refused. Pure; called by `grammar.ts`.

import { EgressError } from '../errors.ts'
import { parseCidr } from '../wire/address.ts'
import { normalizeHost } from '../wire/authority.ts'
import { isOwnHost, OWN_HOST } from '../wire/own-host.ts'
import { parsePathPattern, type PathPattern, type PatternFault } from './path-pattern.ts'
import type { Destination, HostPattern, Scheme, Verdict } from './rule-set.ts'
import { suggestName } from './suggest.ts'
import { PARAM_NAME } from './template.ts'

// Ports unless written; a `tcp` destination has to write one.
const SCHEME_PORTS: Readonly<Record<Scheme, number | undefined>> = {
  http: 80,
  https: 443,
  ws: 80,
  wss: 443,
  tls: 443,
  tcp: undefined,
}

// Most usual first.
const SCHEMES: readonly Scheme[] = ['https', 'http', 'wss', 'ws', 'tls', 'tcp']

const PORT_MAX = 65_535

/** Whether calls to such a destination are looked into. */
export function isInspected(scheme: Scheme): boolean {
  return scheme !== 'tls' && scheme !== 'tcp'
}

/** Reads a destination URL. @param verdict a deny needs no port, it covers all */
export function parseDestination(text: string, verdict: Verdict): Destination | PatternFault {
  const match = /^([A-Za-z][\w+.-]*):\/\/([^/?#]*)(\/[^?#]*)?([?#].*)?$/s.exec(text)
  if (!match) return missingScheme(text)
  const [, scheme = '', authority = '', path, rest] = match
  if (!isScheme(scheme)) return unknownScheme(scheme)
  if (rest !== undefined)
    return rest.startsWith('?')
      ? { fault: 'a destination has no query', hint: 'write `query:` beside it' }
      : { fault: 'a destination has no fragment' }
  if (authority.includes('@')) return { fault: 'a destination has no user' }
  const split = /^(\[[^\]]*\]|[^:]*)(?::([^:]*))?$/.exec(authority)
  if (!split) return { fault: 'expected one host', hint: 'write IPv6 addresses in brackets' }
  const host = parseHostPattern(split[1] ?? '')
  if ('fault' in host) return host
  // `10.0.0.0/8` as a URL is one address and the path `/8`: a deny that denies nothing.
  if (host.kind === 'exact' && host.isAddress && /^\/\d{1,3}$/.test(path ?? ''))
    return {
      fault: 'a range is no URL',
      hint: `write { scheme: ${scheme}, cidr: ${authority}${path} }`,
    }
  const port = split[2] === undefined ? SCHEME_PORTS[scheme] : parsePort(split[2])
  if (port === 'none') return { fault: 'a port is a number from 1 to 65535' }
  if (port === undefined && verdict !== 'deny')
    return {
      fault: 'a tcp destination names its port',
      hint: `write ${scheme}://${authority}:PORT`,
    }
  const pattern = path === undefined ? undefined : parseShorthand(path, scheme, authority)
  if (pattern && 'fault' in pattern) return pattern
  return { text, scheme, host, port, isPortWritten: split[2] !== undefined, path: pattern }
}

/** Reads a range of addresses. */
export function parseRange(
  range: {
    readonly scheme?: string | undefined
    readonly cidr: string
    readonly port?: number | undefined
  },
  verdict: Verdict,
): Destination | PatternFault {
  const { scheme, cidr: written, port } = range
  if (scheme === undefined && verdict !== 'deny')
    return { fault: 'a range names its scheme', hint: `write { scheme: https, cidr: ${written} }` }
  if (scheme !== undefined && !isScheme(scheme)) return unknownScheme(scheme)
  const cidr = parseCidr(written)
  if (!cidr)
    return {
      fault: `\`${written}\` is no range of addresses`,
      hint: 'write such as 10.1.2.0/24, without bits set behind the prefix',
    }
  const portOf = port ?? (scheme === undefined ? undefined : SCHEME_PORTS[scheme])
  if (portOf === undefined && verdict !== 'deny')
    return { fault: 'a tcp range names its port', hint: 'write `port:` beside it' }
  return {
    text: `${scheme === undefined ? '' : `${scheme}://`}${cidr.text}${port === undefined ? '' : `:${port}`}`,
    scheme,
    host: { kind: 'range', cidr },
    port: portOf,
    isPortWritten: port !== undefined,
    path: undefined,
  }
}

function isScheme(text: string): text is Scheme {
  return Object.hasOwn(SCHEME_PORTS, text)
}

function missingScheme(text: string): PatternFault {
  return {
    fault: 'expected scheme://host[:port]',
    ...(/^[\w.*{[-][^\s@]*$/.test(text) && { hint: `write https://${text}` }),
  }
}

function unknownScheme(scheme: string): PatternFault {
  const near = suggestName(scheme, SCHEMES)
  return {
    fault: `unknown scheme \`${scheme}\``,
    hint: near === undefined ? `one of ${SCHEMES.join(', ')}` : `did you mean \`${near}\`?`,
  }
}

function parsePort(text: string): number | 'none' {
  return /^[1-9]\d{0,4}$/.test(text) && Number(text) <= PORT_MAX ? Number(text) : 'none'
}

function parseShorthand(
  path: string,
  scheme: Scheme,
  authority: string,
): PathPattern | PatternFault {
  if (!isInspected(scheme)) return { fault: `nothing of a ${scheme} connection shows a path` }
  // For a browser `https://host/` is the whole host, as a path it is the root alone: too dear a doubt for a deny.
  if (path === '/')
    return {
      fault: 'is this the whole host or its root alone?',
      hint: `write ${scheme}://${authority}, or \`paths: [/]\` beside it`,
    }
  return parsePathPattern(path)
}

function parseHostPattern(text: string): HostPattern | PatternFault {
  if (text === '*') return { kind: 'any' }
  if (/[{}]/.test(text)) {
    const name = /^\{([^{}]*)\}$/.exec(text)?.[1]
    if (name !== undefined && PARAM_NAME.test(name)) return { kind: 'param', name }
    return { fault: 'a parameter is the whole host', hint: 'write {name} in place of the host' }
  }
  const isBelow = text.startsWith('*.')
  if (text.includes('*', isBelow ? 1 : 0))
    return {
      fault: 'a `*` in a host stands for its first labels, or for all of it',
      hint: 'write *.example.com, or *',
    }
  try {
    const { host, kind } = normalizeHost(isBelow ? text.slice(2) : text)
    if (isOwnHost(host) || host.endsWith(`.${OWN_HOST}`))
      return {
        fault: `${OWN_HOST} is the proxy itself, and no rule has a say in it`,
        hint: 'leave it out: every task may ask there',
      }
    if (!isBelow) return { kind: 'exact', host, isAddress: kind !== 'name' }
    if (kind === 'name') return { kind: 'below', suffix: host }
    return { fault: 'nothing is below an address', hint: 'write { scheme, cidr, port }' }
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    return { fault: `\`${text}\` is no host` }
  }
}
