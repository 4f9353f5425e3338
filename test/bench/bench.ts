// `npm run bench`: the sidecar against a direct connection, in one run, as ratios. Everything on: rules, a credential
// injected, journal and chain. Needs Linux (/proc) and nothing else. `--seconds N` a case, `--rounds N`, `--json`.
// `npm run bench -- soak [--seconds N]`: one load for long, with its rate and the sidecar's memory as they go.
// `npm run bench -- tasks [--tasks N]`: what many tasks cost.
// `npm run bench -- record [--records N]`: what the record costs, how fast it is at a sink, and what a dead sink holds up.
// `npm run bench -- inside [--seconds N] [--rounds N]`: what it costs to look inside MCP calls and streamed completions.
// `npm run bench -- doors [--seconds N] [--rounds N]`: HTTP/2, the transparent door, and what `run` adds to a command.
// `npm run bench -- scrub [--seconds N]`: what it costs to look for credentials in what comes back.
// `npm run bench -- decide [--seconds N] [--rounds N]`: decisions a second by sets of rules of many sizes, and what of a call they are.

import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

import { measureDecisions, measureShare, printDecisions, printRates } from './decide.ts'
import { measureInside, printInside } from './inside.ts'
import { measureDoors, printDoors } from './doors.ts'
import { runLoad, type LoadResult, type Way } from './load.ts'
import {
  cpuSeconds,
  directory,
  endParties,
  peakBytes,
  residentBytes,
  startParties,
} from './parties.ts'
import { measureRecord, printRecord } from './record.ts'
import { measureResponses, measureScrub, printResponses, printScrub } from './scrub.ts'
import { measureStarts, printStarts } from './start.ts'
import { measureTasks, printTasks } from './tasks.ts'

interface Case {
  readonly name: string
  readonly way: Way
  readonly fresh: boolean
  readonly connections: number
  /** With a rule that has limits. */
  readonly isLimited?: true
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
    name: 'plain kept, limits',
    way: 'plain',
    fresh: false,
    connections: 32,
    isLimited: true,
    against: 'direct http kept',
  },
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
const SOAK_STEP_SECONDS = 10
const HOST = 'origin.test'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    tasks: { type: 'string' },
    records: { type: 'string' },
    json: { type: 'boolean' },
  },
})
const seconds = Number(values.seconds ?? 2)
const rounds = Number(values.rounds ?? 3)
const tasks = Number(values.tasks ?? 10_000)

try {
  if (positionals[0] === 'soak') await soak(Number(values.seconds ?? 120))
  else if (positionals[0] === 'tasks') {
    const costs = await measureTasks(tasks)
    if (values.json) console.log(JSON.stringify(costs))
    else printTasks(costs)
  } else if (positionals[0] === 'inside') {
    const costs = await measureInside(seconds, rounds)
    if (values.json) console.log(JSON.stringify(costs))
    else printInside(costs)
  } else if (positionals[0] === 'doors') {
    const costs = await measureDoors(seconds, rounds)
    if (values.json) console.log(JSON.stringify(costs))
    else printDoors(costs)
  } else if (positionals[0] === 'decide') {
    const costs = measureDecisions(Number(values.seconds ?? 0.3), rounds)
    const shares = await measureShare(seconds)
    if (values.json) console.log(JSON.stringify({ costs, shares }))
    else printDecisions(costs, shares)
  } else if (positionals[0] === 'scrub') {
    const costs = measureScrub(Number(values.seconds ?? 0.5))
    const responses = await measureResponses(Number(values.seconds ?? 0.5))
    if (values.json) console.log(JSON.stringify({ costs, responses }))
    else {
      printScrub(costs)
      printResponses(responses)
    }
  } else if (positionals[0] === 'record') {
    const costs = await measureRecord(Number(values.records ?? 1_000_000), seconds)
    if (values.json) console.log(JSON.stringify(costs))
    else printRecord(costs)
  } else {
    const results = await measure()
    const starts = await measureStarts(directory)
    const decisions = measureDecisions(0.1, 1)
    if (values.json)
      console.log(JSON.stringify({ results: Object.fromEntries(results), starts, decisions }))
    else {
      print(results)
      printStarts(starts)
      printRates(decisions)
    }
  }
} finally {
  endParties()
}

async function measure(): Promise<Map<string, Measured[]>> {
  const { ports, inspecting, opaque, limited, originCa } = await startParties(HOST)
  const results = new Map<string, Measured[]>()
  for (let round = 0; round < rounds; round += 1) {
    for (const one of round % 2 === 0 ? CASES : CASES.toReversed()) {
      const plain = one.isLimited === true ? limited : inspecting
      const sidecar = one.way === 'tunnel' ? opaque : plain
      const options = {
        ...one,
        host: HOST,
        originPort: one.way === 'plain' || one.way === 'direct-http' ? ports.http : ports.https,
        proxyPort: sidecar.port,
        ca: one.way === 'intercepted' ? readFileSync(sidecar.ca, 'utf8') : originCa,
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

// Flat lines are the aim: what grows here grows without end.
async function soak(soakSeconds: number): Promise<void> {
  const { ports, inspecting } = await startParties(HOST)
  console.log('| s | kept req/s | fresh req/s | CPU µs/req | resident MiB | errors |')
  console.log('|---|---|---|---|---|---|')
  const options = {
    way: 'intercepted' as const,
    host: HOST,
    originPort: ports.https,
    proxyPort: inspecting.port,
    ca: readFileSync(inspecting.ca, 'utf8'),
    seconds: SOAK_STEP_SECONDS,
  }
  for (let at = 0; at < soakSeconds; at += SOAK_STEP_SECONDS) {
    const before = cpuSeconds(inspecting.pid)
    const [kept, fresh] = await Promise.all([
      runLoad({ ...options, fresh: false, connections: 32 }),
      runLoad({ ...options, fresh: true, connections: 2 }),
    ])
    const cpu = ((cpuSeconds(inspecting.pid) - before) / (kept.requests + fresh.requests)) * 1e6
    const memory = residentBytes(inspecting.pid) / 2 ** 20
    const cells = [rate(kept), rate(fresh), cpu, memory].map((one) => one.toFixed(0))
    console.log(
      `| ${at + SOAK_STEP_SECONDS} | ${cells.join(' | ')} | ${kept.errors + fresh.errors} |`,
    )
  }
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
