// Where a call goes, as ECS `url`: the member of a record, and its text. Pure. Called by `ecs.ts` and `call-text.ts`.

import type { Redactor } from '../inspect/redactor.ts'
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

/** The same without secrets. */
export function redactUrl(
  url: NonNullable<RecordBody['url']>,
  redactor: Redactor,
  taskId: string | undefined,
): NonNullable<RecordBody['url']> {
  const domain = redactor.text(url.domain, taskId)
  const path = url.path === undefined ? undefined : redactor.path(url.path, taskId)
  const query = url.query === undefined ? undefined : redactor.query(url.query, taskId)
  if (domain === url.domain && path === url.path && query === url.query) return url
  const origin = url.full.slice(0, url.full.length - behindOrigin(url.path, url.query).length)
  const full = origin.replace(url.domain, () => domain) + behindOrigin(path, query)
  return { ...url, full, domain, path, query }
}

/**
 * The text of that member without secrets, with each part of it looked at once.
 * @param host the endpoint's, redacted
 */
export function urlTextOf(
  target: Target,
  host: string,
  redactor: Redactor,
  taskId: string,
): string {
  const { scheme, endpoint } = target
  const domain = domainOf(endpoint, inner(host))
  const path =
    target.path === undefined ? undefined : inner(redactor.path(asciiOf(target.path), taskId))
  const query =
    target.query === undefined ? undefined : inner(redactor.query(asciiOf(target.query), taskId))
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
  return `${scheme}://${domain}${port}${behindOrigin(path, query)}`
}

function behindOrigin(path: string | undefined, query: string | undefined): string {
  return query === undefined ? (path ?? '') : `${path ?? ''}?${query}`
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
