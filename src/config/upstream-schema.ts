// The grammar of `upstream`: how the other side is found, trusted and reached. Called by `schema.ts`.

import { z } from 'zod'

import type { LocalSource } from '../credentials/definition.ts'
import { boundedText, cidr, readBy } from '../tasks/scalars.ts'
import { normalizeHost, type Endpoint } from '../wire/authority.ts'
import { isOwnHost } from '../wire/own-host.ts'
import { localSource } from './credentials/local-schema.ts'
import { address, hostName, resolverAddress } from './scalars.ts'

/** The proxy above us. */
export interface ProxySection {
  readonly url: {
    /** As it is written. */
    readonly text: string
    readonly endpoint: Endpoint
    /** Whether the proxy itself is reached by verified TLS. */
    readonly tls: boolean
  }
  /** What it is asked to connect to: an address that was checked here, or the name. */
  readonly connectBy: 'address' | 'name'
  readonly auth?:
    | {
        readonly user: string
        readonly password: LocalSource
      }
    | undefined
}

/** The section as it is written. */
export interface UpstreamSection {
  readonly hosts: Readonly<Record<string, readonly string[]>>
  readonly resolver?: readonly string[] | undefined
  readonly allowAddresses: readonly string[]
  /** Paths as written. */
  readonly ca: readonly string[]
  readonly proxy?: ProxySection | undefined
}

const filePath = boundedText(4096)

const PROXY_URL_EXPECTED = 'expected http://HOST:PORT or https://HOST:PORT'

// The password would be shown wherever the configuration is.
const proxyUrl: z.ZodType<ProxySection['url'], string> = readBy(
  z.string({ error: PROXY_URL_EXPECTED }).refine((written) => !written.includes('@'), {
    error: 'expected no user and no password in the URL: they are `auth: { user, password }`',
    abort: true,
  }),
  readProxyUrl,
  PROXY_URL_EXPECTED,
)

const proxy: z.ZodType<ProxySection> = z.strictObject({
  url: proxyUrl.describe('http:// or https://; by https the proxy itself is verified.'),
  connectBy: z
    .enum(['address', 'name'], { error: 'expected address or name' })
    .default('address')
    .describe('name: the proxy resolves, and no address is checked here.'),
  auth: z
    .strictObject({
      user: boundedText(256).refine((written) => !written.includes(':'), {
        error: 'expected a user without a colon',
      }),
      password: localSource,
    })
    .optional()
    .describe('What this side proves itself to the proxy with (Basic).'),
})

/** The grammar of the section. */
export const upstreamSchema: z.ZodType<UpstreamSection> = z
  .strictObject({
    hosts: z
      .record(hostName, z.array(address).min(1, { error: 'expected at least one address' }))
      .default({})
      .describe(
        'Fixed answers, asked before any resolver; their addresses are checked like any other.',
      ),
    resolver: z
      .array(resolverAddress)
      .min(1)
      .optional()
      .describe("DNS servers; the system's unless given."),
    allowAddresses: z
      .array(cidr)
      .default([])
      .describe('Ranges that names may resolve to although special-purpose.'),
    ca: z.array(filePath).default([]).describe('PEM files of further roots for upstreams.'),
    proxy: proxy.optional().describe('What all calls go out through; nothing else does.'),
  })
  .prefault({})

function readProxyUrl(written: string): ProxySection['url'] | undefined {
  const match = /^(https?):\/\/(\[[^\]\s]+\]|[^\s:/?#[\]]+)(?::([1-9]\d{0,4}))?\/?$/i.exec(written)
  if (match === null) return undefined
  const tls = match[1]!.toLowerCase() === 'https'
  const port = Number(match[3] ?? (tls ? 443 : 80))
  const host = normalizeHost(match[2]!)
  if (port > 65_535 || isOwnHost(host.host)) return undefined
  return { text: written, endpoint: { ...host, port }, tls }
}
