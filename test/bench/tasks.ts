// What many tasks cost, for `bench.ts`: made, held, called for, ended one by one and all at once, and found again at a start.
// Real program, control API on its unix socket, everything in one run. Needs Linux (/proc).

import { fork, spawn, type ChildProcess } from 'node:child_process'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'

import { makePki } from '../fixtures/pki.ts'
import { freePort } from '../fixtures/port.ts'
import { runLoad } from './load.ts'
import { cpuSeconds, directory, file, keep, residentBytes, startOrigin } from './parties.ts'

/** What many tasks cost; times in milliseconds, memory in bytes. */
export interface TaskCosts {
  readonly tasks: number
  readonly makeMs: number
  readonly makeGapMs: number
  readonly bytesEach: number
  /** Requests a second of one task with all held, against with one held. */
  readonly rateRatio: number
  /** The same of the program's CPU a request. */
  readonly cpuRatio: number
  readonly endOneMs: { readonly p50: number; readonly p99: number }
  readonly endAll: { readonly tasks: number; readonly ms: number; readonly gapMs: number }
  readonly bytesAfter: number
  readonly startEmptyMs: number
  readonly startHeldMs: number
}

interface Program {
  readonly child: ChildProcess
  readonly startMs: number
}

interface Place {
  readonly config: string
  readonly socket: string
  readonly ports: { readonly proxy: number; readonly health: number; readonly origin: number }
}

interface Made {
  readonly id: string
  readonly token: string
}

const HOST = 'origin.test'
const AT_ONCE = 8
const ENDED_ALONE = 1000
const WARM_SECONDS = 4
const CALL_SECONDS = 1
const CALL_ROUNDS = 3
const PATIENCE_MS = 120_000
const MIB = 2 ** 20
const ENTRY = path.join(import.meta.dirname, '../../bin/sallyport.js')
const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE })
let instances = 0

/** Makes so many tasks and ends them. @param count how many */
export async function measureTasks(count: number): Promise<TaskCosts> {
  const place = await makePlace()
  // Not counted: it makes the CA and the journal that later ones find.
  await stop(await start(place))
  const program = await start(place)
  const pid = program.child.pid!
  const gaps = keep(
    fork(path.join(import.meta.dirname, 'gap.ts'), [
      `http://127.0.0.1:${place.ports.health}/healthz`,
    ]),
  )
  const [first] = await makeTasks(place, 1)
  const alone = await costOfCalls(place, pid, first!)
  const bytesBefore = residentBytes(pid)
  await longestGap(gaps)
  const makeFrom = performance.now()
  const made = await makeTasks(place, count - 1)
  const makeMs = (performance.now() - makeFrom) / (count - 1)
  const makeGapMs = await longestGap(gaps)
  const bytesEach = (residentBytes(pid) - bytesBefore) / (count - 1)
  const among = await costOfCalls(place, pid, first!)
  const endOneMs = await endOneByOne(place, made.slice(0, Math.min(ENDED_ALONE, count / 2)))
  const endAll = await endTheRest(place, gaps)
  const bytesAfter = residentBytes(pid)
  await makeTasks(place, count)
  await stop(program)
  const again = await start(place)
  const held = await ask(place, 'GET', '/v1/tasks?state=active')
  if (held.tasks.length !== count) throw new Error(`${held.tasks.length} tasks were found again`)
  await stop(again)
  gaps.disconnect()
  return {
    tasks: count,
    makeMs,
    makeGapMs,
    bytesEach,
    rateRatio: among.rate / alone.rate,
    cpuRatio: among.cpu / alone.cpu,
    endOneMs,
    endAll,
    bytesAfter,
    startEmptyMs: program.startMs,
    startHeldMs: again.startMs,
  }
}

/** Prints it as a table. */
export function printTasks(costs: TaskCosts): void {
  const { endOneMs, endAll } = costs
  const rows: readonly (readonly [string, string])[] = [
    ['made, ms each', costs.makeMs.toFixed(2)],
    ['made, longest gap ms', costs.makeGapMs.toFixed(0)],
    ['held, KiB each', (costs.bytesEach / 1024).toFixed(1)],
    ['calls of one task, req/s against 1 held', costs.rateRatio.toFixed(2)],
    ['calls of one task, CPU against 1 held', costs.cpuRatio.toFixed(2)],
    ['ended one by one, ms p50 / p99', `${endOneMs.p50.toFixed(2)} / ${endOneMs.p99.toFixed(2)}`],
    [`ended at once (${endAll.tasks}), ms`, endAll.ms.toFixed(0)],
    ['ended at once, longest gap ms', endAll.gapMs.toFixed(0)],
    ['resident after it, MiB', (costs.bytesAfter / MIB).toFixed(0)],
    ['start with none, ms', costs.startEmptyMs.toFixed(0)],
    ['start with all held, ms', costs.startHeldMs.toFixed(0)],
  ]
  console.log(`| ${costs.tasks} tasks | |\n|---|---|`)
  for (const [name, value] of rows) console.log(`| ${name} | ${value} |`)
}

async function makePlace(): Promise<Place> {
  const pki = makePki()
  const leaf = pki.issue({ names: [HOST] })
  const origin = await startOrigin(
    file('tasks/leaf.crt', leaf.certPem),
    file('tasks/leaf.key', leaf.keyPem),
  )
  const ports = { proxy: await freePort(), health: await freePort(), origin: origin.http }
  file(
    'tasks/rules/bench.yaml',
    `ruleset: bench
owner: bench@example.com
rules:
  - { id: plain, allow: 'http://${HOST}:${origin.http}', paths: ['/**'], addresses: ['127.0.0.0/8'] }
  - { id: tls, allow: 'https://${HOST}:${origin.https}', paths: ['/**'], addresses: ['127.0.0.0/8'] }
`,
  )
  const config = file(
    'tasks/sallyport.yaml',
    `listen: { proxy: '127.0.0.1:${ports.proxy}', health: '127.0.0.1:${ports.health}' }
upstream: { hosts: { ${HOST}: ['127.0.0.1'] } }
limits: { controlRequestsPerSecond: 1000000, tasksMax: 100000, tasksEndedMax: 100000 }
`,
  )
  return { config, socket: path.join(directory, 'tasks/state/control.sock'), ports }
}

async function start({ config, ports }: Place): Promise<Program> {
  const began = performance.now()
  const child = keep(
    spawn(process.execPath, [...programFlags(), ENTRY, 'start', '--config', config], {
      stdio: ['ignore', 'ignore', 'pipe'],
    }),
  )
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4096)))
  while (!(await accepts(ports.proxy))) {
    if (child.exitCode !== null || performance.now() - began > PATIENCE_MS)
      throw new Error(`the program did not start: ${said}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  return { child, startMs: performance.now() - began }
}

// Such as `--cpu-prof`, to see where the time goes.
function programFlags(): string[] {
  return process.env['BENCH_NODE_FLAGS']?.split(' ') ?? []
}

async function stop({ child }: Program): Promise<void> {
  const exited = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await exited
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

async function makeTasks(place: Place, count: number): Promise<Made[]> {
  const made: Made[] = []
  let left = count
  const maker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      instances += 1
      const { id, token } = await ask(place, 'POST', '/v1/tasks', {
        intent: 'Measure what a task costs.',
        owner: { name: 'Bench', team: 'bench' },
        agent: { account: 'bench', instance: `bench/${instances}` },
        sandbox: { id: `box-${instances}` },
        rules: ['bench'],
        environment: 'test',
        ceiling: 'confidential',
        expires: '1h',
      })
      made.push({ id, token })
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, maker))
  return made
}

async function costOfCalls(
  { ports }: Place,
  pid: number,
  { id, token }: Made,
): Promise<{ readonly rate: number; readonly cpu: number }> {
  const options = {
    way: 'plain' as const,
    fresh: false,
    connections: 32,
    host: HOST,
    originPort: ports.origin,
    proxyPort: ports.proxy,
    ca: '',
    seconds: CALL_SECONDS,
    login: `Proxy-Authorization: Basic ${Buffer.from(`${id}:${token}`).toString('base64')}`,
  }
  // The first rate would be that of code that has not been compiled yet.
  await runLoad({ ...options, seconds: WARM_SECONDS })
  const rates: number[] = []
  const cpus: number[] = []
  for (let round = 0; round < CALL_ROUNDS; round += 1) {
    const before = cpuSeconds(pid)
    const { requests, seconds, errors } = await runLoad(options)
    if (errors > 0) throw new Error(`${errors} calls failed`)
    rates.push(requests / seconds)
    cpus.push((cpuSeconds(pid) - before) / requests)
  }
  return { rate: quantile(rates, 0.5), cpu: quantile(cpus, 0.5) }
}

async function endOneByOne(
  place: Place,
  tasks: readonly Made[],
): Promise<{ readonly p50: number; readonly p99: number }> {
  const times: number[] = []
  for (const { id } of tasks) {
    const at = performance.now()
    await ask(place, 'POST', `/v1/tasks/${id}/revoke`, { reason: 'bench' })
    times.push(performance.now() - at)
  }
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
}

async function endTheRest(place: Place, gaps: ChildProcess): Promise<TaskCosts['endAll']> {
  await longestGap(gaps)
  const at = performance.now()
  const all = { scope: 'all', value: '', reason: 'bench' }
  const { kill, ended } = await ask(place, 'POST', '/v1/kill', all)
  const ms = performance.now() - at
  const gapMs = await longestGap(gaps)
  await ask(place, 'DELETE', `/v1/kill/${kill.id}`)
  return { tasks: ended.length, ms, gapMs }
}

function longestGap(gaps: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    gaps.once('message', (longestMs) => resolve(Number(longestMs)))
    gaps.send('lap')
  })
}

// A reader of JSON takes it as it comes.
// eslint-disable-next-line typescript/no-explicit-any
function ask({ socket }: Place, method: string, route: string, body?: object): Promise<any> {
  const text = body === undefined ? undefined : JSON.stringify(body)
  const headers = {
    host: 'localhost',
    ...(text !== undefined && {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    }),
  }
  return new Promise((resolve, reject) => {
    const asked = http.request(
      { socketPath: socket, agent, method, path: route, headers },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject)
        response.on('end', () => {
          const answer = Buffer.concat(chunks).toString()
          if ((response.statusCode ?? 0) < 300) resolve(JSON.parse(answer))
          else reject(new Error(`${method} ${route}: ${response.statusCode} ${answer}`))
        })
      },
    )
    asked.on('error', reject)
    asked.end(text)
  })
}

function quantile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}
