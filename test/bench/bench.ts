// `npm run bench`: the sidecar against a direct connection, in one run, as ratios. Everything on: rules, a credential
// injected, journal and chain. Needs Linux (/proc) and nothing else. `--seconds N` a case, `--rounds N`, `--json`.

import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'

import { makePki } from '../fixtures/pki.ts'
import { freePort } from '../fixtures/port.ts'
import { runLoad, type LoadResult, type Way } from './load.ts'
import { measureStarts, printStarts } from './start.ts'

interface Case {
  readonly name: string
  readonly way: Way
  readonly fresh: boolean
  readonly connections: number
  /** The case whose figures the ratios are against. */
  readonly against: string
}

interface Measured extends LoadResult {
  /** Seconds of the sidecar's CPU. */
  readonly cpu: number
  /** Bytes. */
  readonly peakMemory: number
}

const CASES: readonly Case[] = [
  {
    name: 'direct http kept',
    way: 'direct-http',
    fresh: false,
    connections: 32,
    against: 'direct http kept',
  },
  { name: 'plain kept', way: 'plain', fresh: false, connections: 32, against: 'direct http kept' },
  {
    name: 'direct https kept',
    way: 'direct-https',
    fresh: false,
    connections: 32,
    against: 'direct https kept',
  },
  {
    name: 'intercepted kept',
    way: 'intercepted',
    fresh: false,
    connections: 32,
    against: 'direct https kept',
  },
  {
    name: 'direct https one',
    way: 'direct-https',
    fresh: false,
    connections: 1,
    against: 'direct https one',
  },
  {
    name: 'intercepted one',
    way: 'intercepted',
    fresh: false,
    connections: 1,
    against: 'direct https one',
  },
  {
    name: 'direct https fresh',
    way: 'direct-https',
    fresh: true,
    connections: 16,
    against: 'direct https fresh',
  },
  {
    name: 'intercepted fresh',
    way: 'intercepted',
    fresh: true,
    connections: 16,
    against: 'direct https fresh',
  },
  {
    name: 'tunnelled kept',
    way: 'tunnel',
    fresh: false,
    connections: 32,
    against: 'direct https kept',
  },
  {
    name: 'tunnelled fresh',
    way: 'tunnel',
    fresh: true,
    connections: 16,
    against: 'direct https fresh',
  },
]
const WARM_SECONDS = 0.5
const TICKS_PER_SECOND = 100
const HOST = 'origin.test'

const { values } = parseArgs({
  options: { seconds: { type: 'string' }, rounds: { type: 'string' }, json: { type: 'boolean' } },
})
const seconds = Number(values.seconds ?? 2)
const rounds = Number(values.rounds ?? 3)

const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-bench-'))
const children: ChildProcess[] = []
try {
  const results = await measure()
  const starts = await measureStarts(directory)
  if (values.json) console.log(JSON.stringify({ results: Object.fromEntries(results), starts }))
  else {
    print(results)
    printStarts(starts)
  }
} finally {
  for (const child of children) child.kill('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
}

async function measure(): Promise<Map<string, Measured[]>> {
  const pki = makePki()
  const leaf = pki.issue({ names: [HOST] })
  const file = (name: string, text: string): string => {
    const at = path.join(directory, name)
    mkdirSync(path.dirname(at), { recursive: true })
    writeFileSync(at, text)
    return at
  }
  const ports = await startOrigin(file('leaf.crt', leaf.certPem), file('leaf.key', leaf.keyPem))
  const inspecting = await startSidecar(
    'inspect',
    file,
    pki.caPem,
    [
      `{ id: plain, allow: 'http://${HOST}:${ports.http}', paths: ['/**'], addresses: ['127.0.0.0/8'] }`,
      `{ id: tls, allow: 'https://${HOST}:${ports.https}', methods: [GET], paths: ['/**'], addresses: ['127.0.0.0/8'], credential: bench }`,
    ],
    ports.https,
  )
  const opaque = await startSidecar(
    'opaque',
    file,
    pki.caPem,
    [`{ id: tunnel, allow: 'tls://${HOST}:${ports.https}', addresses: ['127.0.0.0/8'] }`],
    ports.https,
  )
  const results = new Map<string, Measured[]>()
  for (let round = 0; round < rounds; round += 1) {
    for (const one of round % 2 === 0 ? CASES : CASES.toReversed()) {
      const sidecar = one.way === 'tunnel' ? opaque : inspecting
      const options = {
        ...one,
        host: HOST,
        originPort: one.way === 'plain' || one.way === 'direct-http' ? ports.http : ports.https,
        proxyPort: sidecar.port,
        ca: one.way === 'intercepted' ? readFileSync(sidecar.ca, 'utf8') : pki.caPem,
      }
      await runLoad({ ...options, seconds: WARM_SECONDS })
      const before = cpuSeconds(sidecar.pid)
      writeFileSync(`/proc/${sidecar.pid}/clear_refs`, '5')
      const result = await runLoad({ ...options, seconds })
      const measured = {
        ...result,
        cpu: cpuSeconds(sidecar.pid) - before,
        peakMemory: peakBytes(sidecar.pid),
      }
      results.set(one.name, [...(results.get(one.name) ?? []), measured])
    }
  }
  return results
}

async function startOrigin(cert: string, key: string): Promise<{ http: number; https: number }> {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'origin.ts'), cert, key], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  const text = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString()))
    child.once('exit', () => reject(new Error('the origin did not start')))
  })
  const ports: { http: number; https: number } = JSON.parse(text)
  return ports
}

interface Sidecar {
  readonly pid: number
  readonly port: number
  readonly ca: string
}

async function startSidecar(
  name: string,
  file: (name: string, text: string) => string,
  upstreamCa: string,
  rules: readonly string[],
  httpsPort: number,
): Promise<Sidecar> {
  const port = await freePort()
  const health = await freePort()
  const ruleText = rules.map((rule) => `  - ${rule}\n`).join('')
  file(`${name}/rules/bench.yaml`, `ruleset: bench\nowner: bench@example.com\nrules:\n${ruleText}`)
  file(`${name}/upstream.pem`, upstreamCa)
  const credential =
    name === 'inspect'
      ? `credentials: { bench: { source: { env: BENCH_SECRET }, inject: { bearer: true }, hosts: ['${HOST}:${httpsPort}'] } }\n`
      : ''
  const config = file(
    `${name}/sallyport.yaml`,
    `listen: { proxy: '127.0.0.1:${port}', health: '127.0.0.1:${health}' }
upstream: { ca: [upstream.pem], hosts: { ${HOST}: ['127.0.0.1'] } }
${credential}task:
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
  const child = spawn(
    process.execPath,
    [path.join(import.meta.dirname, '../../bin/sallyport.js'), 'start', '--config', config],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, BENCH_SECRET: 'bench-secret-0123456789' },
    },
  )
  children.push(child)
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const ready = await fetch(`http://127.0.0.1:${health}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    )
    if (ready) return { pid: child.pid!, port, ca: path.join(directory, name, 'certs/ca.crt') }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('the sidecar did not get ready')
}

// User and system time of the process, from /proc/PID/stat (fields 14 and 15).
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

function peakBytes(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
}

function print(results: Map<string, Measured[]>): void {
  console.log(
    '| case | req/s ratio | req/s | p50 added ms | p99 added ms | sidecar CPU µs/req | peak MiB | errors |',
  )
  console.log('|---|---|---|---|---|---|---|---|')
  for (const { name, against, way } of CASES) {
    const mine = results.get(name)!
    const base = results.get(against)!
    const of = (pick: (one: Measured) => number, runs = mine): number => median(runs.map(pick))
    const ratio = median(mine.map((one, at) => rate(one) / rate(base[at]!)))
    const added = (share: number): string =>
      (of((one) => quantile(one, share)) - of((one) => quantile(one, share), base)).toFixed(3)
    const direct = way.startsWith('direct')
    const cells = [
      name,
      ratio.toFixed(3),
      of(rate).toFixed(0),
      direct ? '-' : added(0.5),
      direct ? '-' : added(0.99),
      direct ? '-' : of((one) => (one.cpu / one.requests) * 1e6).toFixed(1),
      direct ? '-' : (of(({ peakMemory }) => peakMemory) / 2 ** 20).toFixed(0),
      String(mine.reduce((sum, { errors }) => sum + errors, 0)),
    ]
    console.log(`| ${cells.join(' | ')} |`)
  }
}

function rate({ requests, seconds: took }: LoadResult): number {
  return requests / took
}

function quantile({ latencies }: LoadResult, share: number): number {
  return latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}
