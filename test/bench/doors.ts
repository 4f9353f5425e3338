// `npm run bench -- doors`: HTTP/2 inside an interception, the transparent door beside the explicit one, and the time that
// `run` adds to the start of a command. Needs Linux, and to be allowed to take port 443 of a loopback address.

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'

import { makePki } from '../fixtures/pki.ts'
import { freePort } from '../fixtures/port.ts'
import { runHttp2Load } from './load-http2.ts'
import { runLoad, type LoadResult } from './load.ts'
import {
  ADDRESS_443,
  cpuSeconds,
  directory,
  file,
  HOST_443,
  startOrigin,
  startSidecar,
  type Ports,
  type Sidecar,
} from './parties.ts'

/** One way through, measured. */
export interface DoorCost {
  readonly name: string
  /** The case whose rate the ratio is against. */
  readonly against: string
  readonly rates: readonly number[]
  /** Microseconds of the sidecar's CPU a request; empty where it is not on the way. */
  readonly cpuUs: readonly number[]
  readonly errors: number
}

/** What the doors cost, and what a sandbox adds. */
export interface DoorCosts {
  readonly doors: readonly DoorCost[]
  /** Milliseconds from start to end of a command that does nothing: alone, and by `run`. */
  readonly runMs: { readonly alone: readonly number[]; readonly sandboxed: readonly number[] }
}

interface Load {
  readonly name: string
  readonly against: string
  readonly run: (seconds: number) => Promise<LoadResult>
  readonly isDirect?: true
}

const ENTRY = path.join(import.meta.dirname, '../../bin/sallyport.js')
const WARM_SECONDS = 0.5
const RUNS = 8
const CONNECTIONS = 4
const STREAMS = 16

/** Measures all of it. */
export async function measureDoors(seconds: number, rounds: number): Promise<DoorCosts> {
  const pki = makePki()
  const leaf = pki.issue({ names: [HOST_443] })
  const cert = file('door.crt', leaf.certPem)
  const ports = await startOrigin(cert, file('door.key', leaf.keyPem), ADDRESS_443)
  const door = await freePort()
  const sidecar = await startDoors(pki.caPem, ports, door)
  const loads = listLoads(ports, sidecar, door, pki.caPem)
  const costs = new Map(
    loads.map(({ name, against }) => [
      name,
      { name, against, rates: [] as number[], cpuUs: [] as number[], errors: 0 },
    ]),
  )
  for (let round = 0; round < rounds; round += 1) {
    for (const load of round % 2 === 0 ? loads : loads.toReversed()) {
      await load.run(WARM_SECONDS)
      const before = cpuSeconds(sidecar.pid)
      const { requests, seconds: took, errors } = await load.run(seconds)
      const cost = costs.get(load.name)!
      cost.rates.push(requests / took)
      cost.errors += errors
      if (!load.isDirect) cost.cpuUs.push(((cpuSeconds(sidecar.pid) - before) / requests) * 1e6)
    }
  }
  return { doors: [...costs.values()], runMs: await measureRuns() }
}

/** Prints the medians. */
export function printDoors({ doors, runMs }: DoorCosts): void {
  console.log('| case | req/s ratio | req/s | sidecar CPU µs/req | errors |')
  console.log('|---|---|---|---|---|')
  for (const { name, against, rates, cpuUs, errors } of doors) {
    const base = doors.find((one) => one.name === against)!
    const ratio = median(rates.map((rate, at) => rate / base.rates[at]!))
    const cpu = cpuUs.length === 0 ? '-' : median(cpuUs).toFixed(1)
    const cells = [name, ratio.toFixed(3), median(rates).toFixed(0), cpu, String(errors)]
    console.log(`| ${cells.join(' | ')} |`)
  }
  const [alone, sandboxed] = [median(runMs.alone), median(runMs.sandboxed)]
  console.log(`run adds ${(sandboxed - alone).toFixed(0)} ms to a command's start and end`)
}

function startDoors(upstreamCa: string, { h2 }: Ports, door: number): Promise<Sidecar> {
  const rule = (id: string, port: number): string =>
    `{ id: ${id}, allow: 'https://${HOST_443}:${port}', methods: [GET], paths: ['/**'], addresses: ['127.0.0.0/8'] }`
  const rules = [rule('multiplexed', h2), rule('door', 443)]
  const doors = `, transparent: { tls: '127.0.0.1:${door}' }`
  return startSidecar('doors', upstreamCa, HOST_443, rules, h2, '', doors)
}

function listLoads(ports: Ports, sidecar: Sidecar, door: number, originCa: string): Load[] {
  const ca = readFileSync(sidecar.ca, 'utf8')
  const common = { host: HOST_443, address: ADDRESS_443 }
  const http2 = { ...common, connections: CONNECTIONS, streams: STREAMS, fresh: false }
  const http1 = { ...common, connections: CONNECTIONS * STREAMS, originPort: 443 }
  const proxyPort = sidecar.port
  const toOrigin = { ca: originCa, proxyPort }
  const load = (name: string, against: string, run: Load['run'], isDirect?: true): Load => ({
    name,
    against,
    run,
    ...(isDirect && { isDirect }),
  })
  const kinds = [
    { kind: 'kept', fresh: false, connections: http1.connections },
    { kind: 'fresh', fresh: true, connections: STREAMS },
  ]
  return [
    load(
      'direct h2',
      'direct h2',
      (seconds) =>
        runHttp2Load({ ...http2, ...toOrigin, way: 'direct-https', originPort: ports.h2, seconds }),
      true,
    ),
    load('intercepted h2', 'direct h2', (seconds) =>
      runHttp2Load({ ...http2, ca, proxyPort, way: 'intercepted', originPort: ports.h2, seconds }),
    ),
    ...kinds.flatMap(({ kind, ...how }) => [
      load(
        `direct https ${kind}`,
        `direct https ${kind}`,
        (seconds) => runLoad({ ...http1, ...how, ...toOrigin, way: 'direct-https', seconds }),
        true,
      ),
      load(`explicit ${kind}`, `direct https ${kind}`, (seconds) =>
        runLoad({ ...http1, ...how, ca, proxyPort, way: 'intercepted', seconds }),
      ),
      load(`transparent ${kind}`, `direct https ${kind}`, (seconds) =>
        runLoad({ ...http1, ...how, ca, proxyPort: door, way: 'transparent', seconds }),
      ),
    ]),
  ]
}

async function measureRuns(): Promise<DoorCosts['runMs']> {
  const config = file('run/sallyport.yaml', '')
  const sandbox = [process.execPath, ENTRY, 'run', '--config', config, '--', 'true']
  // Not counted: it makes the CA and the journal that later ones find.
  await timeOf(sandbox)
  const alone: number[] = []
  const sandboxed: number[] = []
  for (let run = 0; run < RUNS; run += 1) {
    alone.push(await timeOf(['true']))
    sandboxed.push(await timeOf(sandbox))
  }
  return { alone, sandboxed }
}

function timeOf([program = '', ...words]: readonly string[]): Promise<number> {
  const began = performance.now()
  return new Promise((resolve, reject) => {
    spawn(program, words, { stdio: 'ignore', cwd: directory }).once('exit', (code) =>
      code === 0 ? resolve(performance.now() - began) : reject(new Error(`${program}: ${code}`)),
    )
  })
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0
}
