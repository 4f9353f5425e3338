// What it costs to look inside, for `bench.ts`: calls of an MCP tool and streamed completions, direct, through a tunnel, through
// a sidecar that inspects HTTP alone and through one whose rules look inside, as ratios in one run. Needs Linux (/proc).

import { readFileSync } from 'node:fs'

import { makePki } from '../fixtures/pki.ts'
import { runLoad, type LoadResult, type Way } from './load.ts'
import { cpuSeconds, file, startOrigin, startSidecar, type Sidecar } from './parties.ts'

/** One way to the origin, measured in rounds. */
export interface InsideCost {
  readonly what: string
  readonly way: string
  readonly connections: number
  /** Calls a second against the direct way, the median of the rounds. */
  readonly ratio: number
  readonly rate: number
  /** Milliseconds to the first byte of the answer's body beyond the direct way's, at the median and the 99th. */
  readonly firstAddedMs: { readonly p50: number; readonly p99: number }
  /** Microseconds of the sidecar's CPU a call. */
  readonly cpuUs: number
  readonly errors: number
}

interface Measured extends LoadResult {
  readonly cpu: number
}

interface Path {
  readonly name: string
  readonly way: Way
  readonly sidecar: Sidecar
  readonly ca: string
}

const HOST = 'origin.test'
const WARM_SECONDS = 0.5
const CONNECTIONS = [32, 1] as const
const LOOPBACK = "addresses: ['127.0.0.0/8']"

/** Measures all of it. @param seconds a case @param rounds of all cases */
export async function measureInside(seconds: number, rounds: number): Promise<InsideCost[]> {
  const { port, paths } = await startPaths()
  const questions: Readonly<Record<string, string>> = {
    'MCP call': mcpCall(port),
    'streamed completion': completion(port),
  }
  const costs: InsideCost[] = []
  for (const [what, request] of Object.entries(questions))
    for (const connections of CONNECTIONS) {
      const results = new Map<string, Measured[]>()
      for (let round = 0; round < rounds; round += 1)
        for (const path of round % 2 === 0 ? paths : paths.toReversed()) {
          const options = {
            ...path,
            fresh: false,
            connections,
            host: HOST,
            originPort: port,
            proxyPort: path.sidecar.port,
            request,
          }
          await runLoad({ ...options, seconds: WARM_SECONDS })
          const before = cpuSeconds(path.sidecar.pid)
          const result = await runLoad({ ...options, seconds })
          const cpu = cpuSeconds(path.sidecar.pid) - before
          results.set(path.name, [...(results.get(path.name) ?? []), { ...result, cpu }])
        }
      const direct = results.get(paths[0]!.name)!
      for (const { name } of paths)
        costs.push({ what, way: name, connections, ...costOf(results.get(name)!, direct) })
    }
  return costs
}

/** Prints it as a table. */
export function printInside(costs: readonly InsideCost[]): void {
  console.log(
    '| what | way | at once | calls/s ratio | calls/s | first byte p50 added ms | p99 added ms | sidecar CPU µs/call | errors |',
  )
  console.log('|---|---|---|---|---|---|---|---|---|')
  for (const { what, way, connections, ratio, rate, firstAddedMs, cpuUs, errors } of costs) {
    const isDirect = way === 'direct'
    const cells = [
      what,
      way,
      connections,
      ratio.toFixed(3),
      rate.toFixed(0),
      isDirect ? '-' : firstAddedMs.p50.toFixed(3),
      isDirect ? '-' : firstAddedMs.p99.toFixed(3),
      isDirect ? '-' : cpuUs.toFixed(1),
      errors,
    ]
    console.log(`| ${cells.join(' | ')} |`)
  }
}

async function startPaths(): Promise<{ port: number; paths: readonly Path[] }> {
  const pki = makePki()
  const leaf = pki.issue({ names: [HOST] })
  const { https } = await startOrigin(
    file('inside-leaf.crt', leaf.certPem),
    file('inside-leaf.key', leaf.keyPem),
  )
  const start = (name: string, ...rules: string[]): Promise<Sidecar> =>
    startSidecar(name, pki.caPem, HOST, rules, https)
  const at = `https://${HOST}:${https}`
  const opaque = await start(
    'tunnel',
    `{ id: tunnel, allow: 'tls://${HOST}:${https}', ${LOOPBACK} }`,
  )
  const http = await start('http', `{ id: http, allow: '${at}', methods: [POST], ${LOOPBACK} }`)
  const inside = await start(
    'inside',
    `{ id: mcp, allow: '${at}', paths: [/mcp], tools: [get_*], ${LOOPBACK} }`,
    `{ id: model, allow: '${at}', paths: ['/v1/**'], models: [bench*], serverTools: false, ${LOOPBACK} }`,
  )
  const intercepted = (name: string, sidecar: Sidecar): Path => ({
    name,
    way: 'intercepted',
    sidecar,
    ca: readFileSync(sidecar.ca, 'utf8'),
  })
  return {
    port: https,
    paths: [
      { name: 'direct', way: 'direct-https', sidecar: opaque, ca: pki.caPem },
      { name: 'tunnel', way: 'tunnel', sidecar: opaque, ca: pki.caPem },
      intercepted('HTTP judged', http),
      intercepted('inside judged', inside),
    ],
  }
}

function mcpCall(port: number): string {
  return post(port, '/mcp', {
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { name: 'get_issue', arguments: { id: 'PAY-1', note: 'x'.repeat(256) } },
  })
}

function completion(port: number): string {
  return post(port, '/v1/chat/completions', {
    model: 'bench',
    stream: true,
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'word '.repeat(400) },
    ],
  })
}

function post(port: number, path: string, body: object): string {
  const text = JSON.stringify(body)
  return `POST ${path} HTTP/1.1\r\nHost: ${HOST}:${port}\r\nUser-Agent: bench\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`
}

function costOf(
  mine: readonly Measured[],
  direct: readonly Measured[],
): Omit<InsideCost, 'what' | 'way' | 'connections'> {
  const of = (pick: (one: Measured) => number, runs = mine): number => median(runs.map(pick))
  const added = (share: number): number =>
    of(({ firsts }) => quantile(firsts, share)) -
    of(({ firsts }) => quantile(firsts, share), direct)
  return {
    ratio: median(mine.map((one, at) => rateOf(one) / rateOf(direct[at]!))),
    rate: of(rateOf),
    firstAddedMs: { p50: added(0.5), p99: added(0.99) },
    cpuUs: of(({ cpu, requests }) => (cpu / requests) * 1e6),
    errors: mine.reduce((sum, { errors }) => sum + errors, 0),
  }
}

function rateOf({ requests, seconds }: LoadResult): number {
  return requests / seconds
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0
}
