// What the probes know of where they run: the variables, the proxy they name, the certificates they trust, resolvers,
// gateways, the installation's own files. Read once, before any probe; sends nothing. Called by `probe.ts`.

import { readFileSync } from 'node:fs'
import os from 'node:os'
import tls from 'node:tls'

import type { KnownFiles } from './known-files.ts'
import { hexAddress6, hexAddress4 } from './proc-net.ts'

/** The explicit proxy, as the variables name it. */
export interface NamedProxy {
  readonly host: string
  readonly port: number
  readonly isTls: boolean
  /** `user:password` in base64, where the variable has it. */
  readonly login: string | undefined
}

/** What every probe is given. */
export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Addresses elsewhere, that nothing must reach. */
  readonly targets: readonly string[]
  readonly proxy: NamedProxy | undefined
  /** The sidecar's certificates that this sandbox is given, as PEM, without public roots. */
  readonly roots: readonly string[]
  readonly resolvers: readonly string[]
  /** Gateways and the first address of each network, where a host usually is. */
  readonly neighbours: readonly string[]
  /** Interfaces other than loopback that have an address. */
  readonly interfaces: readonly string[]
  readonly files: KnownFiles
}

/** Public resolvers, of which one at least is reached from anywhere that has a way out. */
const DEFAULT_TARGETS: readonly string[] = [
  '1.1.1.1',
  '8.8.8.8',
  '9.9.9.9',
  '2606:4700:4700::1111',
  '2001:4860:4860::8888',
]

const PROXY_VARIABLES = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'ALL_PROXY']
const CA_VARIABLES = ['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'CURL_CA_BUNDLE']
const HOST_NAMES = /^(host|gateway)\.(docker|containers)\.internal$/
const NEIGHBOURS_MAX = 8

/** Reads them. @param targets an empty list means the default ones */
export function readSurroundings(
  environment: Surroundings['environment'],
  targets: readonly string[],
  files: KnownFiles,
): Surroundings {
  const interfaces = Object.entries(interfacesHere()).filter(([, addresses]) =>
    addresses?.some(({ internal }) => !internal),
  )
  const first = interfaces.flatMap(([, addresses]) =>
    (addresses ?? []).flatMap(({ cidr }) => firstOfNetwork(cidr ?? '') ?? []),
  )
  const own = new Set(interfaces.flatMap(([, all]) => (all ?? []).map(({ address }) => address)))
  const neighbours = [...gateways(), ...first, ...hostsByName()].filter((one) => !own.has(one))
  return {
    environment,
    targets: targets.length === 0 ? DEFAULT_TARGETS : targets,
    proxy: namedProxy(environment),
    roots: readRoots(environment),
    resolvers: readResolvers(),
    neighbours: [...new Set(neighbours)].slice(0, NEIGHBOURS_MAX),
    interfaces: interfaces.map(([name]) => name),
    files,
  }
}

/** The text of a file; empty where it cannot be read. */
export function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function interfacesHere(): ReturnType<typeof os.networkInterfaces> {
  try {
    return os.networkInterfaces()
  } catch {
    // A sandbox may forbid the question.
    return {}
  }
}

function namedProxy(environment: Surroundings['environment']): NamedProxy | undefined {
  for (const name of PROXY_VARIABLES) {
    const written = environment[name] ?? ''
    const url = URL.parse(written)
    if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) continue
    const isTls = url.protocol === 'https:'
    const { username, password } = url
    const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
    return {
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: Number(url.port) || (isTls ? 443 : 80),
      isTls,
      login: username === '' ? undefined : Buffer.from(credentials).toString('base64'),
    }
  }
  return undefined
}

/** Every certificate that the variables name and that is no public root: those would vouch for strangers. */
function readRoots(environment: Surroundings['environment']): string[] {
  const isPublic = new Set(tls.rootCertificates.map((root) => root.replaceAll(/\s/g, '')))
  const found = CA_VARIABLES.flatMap((name) => environment[name] ?? []).flatMap(
    (file) =>
      textOf(file).match(/-----BEGIN CERTIFICATE-----[^-]{1,20000}-----END CERTIFICATE-----/g) ??
      [],
  )
  return [...new Set(found)].filter((pem) => !isPublic.has(pem.replaceAll(/\s/g, '')))
}

function readResolvers(): string[] {
  const lines = textOf('/etc/resolv.conf').split('\n')
  return lines.flatMap((line) => /^nameserver\s+([\da-fA-F.:]+)/.exec(line)?.[1] ?? [])
}

/** The names under which engines tell containers of their host, where they are in the hosts file. */
function hostsByName(): string[] {
  return textOf('/etc/hosts')
    .split('\n')
    .map((line) => line.replace(/#.*$/, '').trim().split(/\s+/))
    .flatMap(([address = '', ...names]) =>
      names.some((name) => HOST_NAMES.test(name)) ? [address] : [],
    )
}

function gateways(): string[] {
  const four = textOf('/proc/net/route')
    .split('\n')
    .slice(1)
    .flatMap((line) => hexAddress4(line.split(/\s+/)[2] ?? '') ?? [])
  const six = textOf('/proc/net/ipv6_route')
    .split('\n')
    .flatMap((line) => hexAddress6(line.split(/\s+/)[4] ?? '') ?? [])
  return [...four, ...six].filter((address) => address !== '0.0.0.0' && !/^[0:]+$/.test(address))
}

/** `172.18.0.7/16` is in the network whose first address is 172.18.0.1. */
function firstOfNetwork(cidr: string): string | undefined {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(cidr)
  if (match === null) return undefined
  const [a = 0, b = 0, c = 0, d = 0, bits = 32] = match.slice(1).map(Number)
  if (bits >= 31 || bits < 8) return undefined
  const value = ((a << 24) | (b << 16) | (c << 8) | d) & (-1 << (32 - bits))
  const first = value | 1
  return [24, 16, 8, 0].map((shift) => (first >>> shift) & 255).join('.')
}
