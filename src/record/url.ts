// Where a call goes, as ECS `url`: the member of a record, and its text. Pure. Called by `ecs.ts` and `call-text.ts`.

import type { RecordBody } from './body.ts'
import type { CallFacts } from './facts.ts'
import { inner, numeral } from './text.ts'

type Target = NonNullable<CallFacts['target']>

const DEFAULT_PORTS: Readonly<Record<string, number>> = { https: 443, wss: 443, http: 80, ws: 80 }

/** The `url` of a call's record. */
export function urlOf(target: Target): RecordBody['url'] {
  const { scheme, endpoint } = target
  const domain = domainOf(endpoint, endpoint.host)
  const path = target.path === undefined ? undefined : asciiOf(target.path)
  const query = target.query === undefined ? undefined : asciiOf(target.query)
  return {
    full: fullOf(target, domain, path, query),
    scheme,
    domain,
    port: endpoint.port,
    path,
    query,
  }
}

/** The text of that member, with each part of it looked at once. */
export function urlTextOf(target: Target): string {
  const { scheme, endpoint } = target
  const domain = domainOf(endpoint, inner(endpoint.host))
  const path = target.path === undefined ? undefined : inner(asciiOf(target.path))
  const query = target.query === undefined ? undefined : inner(asciiOf(target.query))
  return (
    `,"url":{"full":"${fullOf(target, domain, path, query)}","scheme":"${scheme}","domain":"${domain}"` +
    `,"port":${numeral(endpoint.port)}${path === undefined ? '' : `,"path":"${path}"`}` +
    `${query === undefined ? '' : `,"query":"${query}"`}}`
  )
}

function domainOf({ kind }: Target['endpoint'], host: string): string {
  return kind === 'ipv6' ? `[${host}]` : host
}

function fullOf(
  { scheme, endpoint }: Target,
  domain: string,
  path: string | undefined,
  query: string | undefined,
): string {
  const port = DEFAULT_PORTS[scheme] === endpoint.port ? '' : `:${String(endpoint.port)}`
  return `${scheme}://${domain}${port}${path ?? ''}${query === undefined ? '' : `?${query}`}`
}

const ASCII = /^[\u0000-\u007f]*$/ // eslint-disable-line no-control-regex
const BEYOND_ASCII = /[^\u0000-\u007f]/g // eslint-disable-line no-control-regex

// Bytes above 0x7f of a latin1 string become percent escapes: what was sent can be told from the record, byte by byte.
function asciiOf(latin1: string): string {
  if (ASCII.test(latin1)) return latin1
  return latin1.replace(
    BEYOND_ASCII,
    (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  )
}
