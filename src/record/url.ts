// Where a call goes, as ECS `url`. Pure; called by `ecs.ts`.

import type { RecordBody } from './body.ts'
import type { CallFacts } from './facts.ts'

const DEFAULT_PORTS: Readonly<Record<string, number>> = { https: 443, wss: 443, http: 80, ws: 80 }

/** The `url` of a call's record. */
export function urlOf(target: NonNullable<CallFacts['target']>): NonNullable<RecordBody['url']> {
  const { scheme, endpoint } = target
  const domain = endpoint.kind === 'ipv6' ? `[${endpoint.host}]` : endpoint.host
  const port = DEFAULT_PORTS[scheme] === endpoint.port ? '' : `:${String(endpoint.port)}`
  const path = target.path === undefined ? undefined : asciiOf(target.path)
  const query = target.query === undefined ? undefined : asciiOf(target.query)
  return {
    full: `${scheme}://${domain}${port}${path ?? ''}${query === undefined ? '' : `?${query}`}`,
    scheme,
    domain,
    port: endpoint.port,
    path,
    query,
  }
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
