// Who takes part in a benchmark: an origin, a sidecar that inspects and one that does not, each a process of its own. Used by
// `bench.ts`.

import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { makePki } from '../fixtures/pki.ts'
import { freePort } from '../fixtures/port.ts'

const ORIGIN = path.join(import.meta.dirname, 'origin.ts')
/** A name that is at an address where a benchmark's origin may take port 443. */
export const HOST_443 = 'door.test'
/** That address. */
export const ADDRESS_443 = '127.0.0.9'
const TICKS_PER_SECOND = 100
// Of calls, bytes and time each.
const LIMIT =
  'callsPerMinute: 100000000, callsPerHour: 100000000, concurrentCalls: 1000, calls: 1000000000, bytesOut: 1000GiB, bytesIn: 1000GiB'

/** Where an origin listens. */
export interface Ports {
  readonly http: number
  readonly https: number
  /** HTTP/2 alone. */
  readonly h2: number
}

/** All that take part. */
export interface Parties {
  readonly ports: Ports
  readonly inspecting: Sidecar
  readonly opaque: Sidecar
  /** As `inspecting`, its plain rule with limits, each far from being reached. */
  readonly limited: Sidecar
  /** PEM. */
  readonly originCa: string
}

/** Where their files are. */
export const directory: string = mkdtempSync(path.join(tmpdir(), 'sallyport-bench-'))
const children: ChildProcess[] = []

/** Has a process ended with the others. */
export function keep<Child extends ChildProcess>(child: Child): Child {
  children.push(child)
  return child
}

/** Ends every process and takes the files away. */
export function endParties(): void {
  for (const child of children) child.kill('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
}

/** Starts all of them. @param host the origin's name */
export async function startParties(host: string): Promise<Parties> {
  const pki = makePki()
  const leaf = pki.issue({ names: [host] })
  const ports = await startOrigin(file('leaf.crt', leaf.certPem), file('leaf.key', leaf.keyPem))
  const inspecting = await startSidecar(
    'inspect',
    pki.caPem,
    host,
    [
      `{ id: plain, allow: 'http://${host}:${ports.http}', paths: ['/**'], addresses: ['127.0.0.0/8'] }`,
      `{ id: tls, allow: 'https://${host}:${ports.https}', methods: [GET], paths: ['/**'], addresses: ['127.0.0.0/8'], credential: bench }`,
    ],
    ports.https,
  )
  const opaque = await startSidecar(
    'opaque',
    pki.caPem,
    host,
    [`{ id: tunnel, allow: 'tls://${host}:${ports.https}', addresses: ['127.0.0.0/8'] }`],
    ports.https,
  )
  const limited = await startSidecar(
    'limited',
    pki.caPem,
    host,
    [
      `{ id: plain, allow: 'http://${host}:${ports.http}', paths: ['/**'], addresses: ['127.0.0.0/8'], limit: { ${LIMIT} } }`,
    ],
    ports.https,
  )
  return { ports, inspecting, opaque, limited, originCa: pki.caPem }
}

/** Writes a file below `directory` and names it. */
export function file(name: string, text: string): string {
  const at = path.join(directory, name)
  mkdirSync(path.dirname(at), { recursive: true })
  writeFileSync(at, text)
  return at
}

/** Starts an origin. @param cert file of its certificate @param key file of its key @param address443 it takes port 443 of too */
export async function startOrigin(cert: string, key: string, address443?: string): Promise<Ports> {
  const child = keep(
    spawn(
      process.execPath,
      [ORIGIN, cert, key, ...(address443 === undefined ? [] : [address443])],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    ),
  )
  const text = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString()))
    child.once('exit', () => reject(new Error('the origin did not start')))
  })
  const ports: Ports = JSON.parse(text)
  return ports
}

/** A running sidecar. */
export interface Sidecar {
  readonly pid: number
  readonly port: number
  /** Of `/metrics`. */
  readonly health: number
  readonly ca: string
}

/**
 * Starts a sidecar with these rules.
 * @param name of its directory; `inspect` has a credential
 * @param more of its configuration
 * @param doors members of `listen`
 */
export async function startSidecar(
  name: string,
  upstreamCa: string,
  host: string,
  rules: readonly string[],
  httpsPort: number,
  more = '',
  doors = '',
): Promise<Sidecar> {
  const port = await freePort()
  const health = await freePort()
  const hosts = { [host]: ['127.0.0.1'], [HOST_443]: [ADDRESS_443] }
  const ruleText = rules.map((rule) => `  - ${rule}\n`).join('')
  file(`${name}/rules/bench.yaml`, `ruleset: bench\nowner: bench@example.com\nrules:\n${ruleText}`)
  file(`${name}/upstream.pem`, upstreamCa)
  const credential =
    name === 'inspect'
      ? `credentials: { bench: { source: { env: BENCH_SECRET }, inject: { bearer: true }, hosts: ['${host}:${httpsPort}'] } }\n`
      : ''
  const config = file(
    `${name}/sallyport.yaml`,
    `listen: { proxy: '127.0.0.1:${port}', health: '127.0.0.1:${health}'${doors} }
upstream: { ca: [upstream.pem], hosts: ${JSON.stringify(hosts)} }
${credential}${more}task:
  intent: bench
  owner: { name: Bench, team: bench }
  agent: { account: bench, instance: bench/1 }
  sandbox: { id: bench }
  rules: [bench]
  environment: test
  ceiling: confidential
  expires: 1h
`,
  )
  const child = keep(
    spawn(
      process.execPath,
      [path.join(import.meta.dirname, '../../bin/sallyport.js'), 'start', '--config', config],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, BENCH_SECRET: 'bench-secret-0123456789' },
      },
    ),
  )
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const ready = await fetch(`http://127.0.0.1:${health}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    )
    if (ready)
      return { pid: child.pid!, port, health, ca: path.join(directory, name, 'certs/ca.crt') }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('the sidecar did not get ready')
}

/** User and system time of a process, from /proc/PID/stat (fields 14 and 15). */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** The most memory that was resident since `clear_refs`. */
export function peakBytes(pid: number): number {
  return statusBytes(pid, /VmHWM:\s+(\d+)/)
}

/** The memory that is resident. */
export function residentBytes(pid: number): number {
  return statusBytes(pid, /VmRSS:\s+(\d+)/)
}

function statusBytes(pid: number, field: RegExp): number {
  return Number(field.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
}
