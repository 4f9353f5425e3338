// What a start costs, for `bench.ts`: from the process's start to its listener, and the memory it holds idle after that,
// beside a bare Node process that listens with http and tls loaded. Needs Linux (/proc).

import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'

import { freePort } from '../fixtures/port.ts'

interface StartCost {
  readonly listeningMs: number
  /** Resident. */
  readonly idleBytes: number
}

/** All starts of both. */
export interface Starts {
  readonly sidecar: readonly StartCost[]
  readonly bare: readonly StartCost[]
}

const ENTRY = path.join(import.meta.dirname, '../../bin/sallyport.js')
const ROUNDS = 8
const IDLE_AFTER_MS = 250
const PATIENCE_MS = 10_000

/** Starts a sidecar without a task and a bare process in turn. @param directory an empty place for its files */
export async function measureStarts(directory: string): Promise<Starts> {
  const [port, barePort] = [await freePort(), await freePort()]
  const config = path.join(directory, 'idle.yaml')
  writeFileSync(config, `listen: { proxy: '127.0.0.1:${port}', health: '127.0.0.1:0' }\n`)
  const program = `import http from 'node:http'; import 'node:tls'; http.createServer().listen(${barePort}, '127.0.0.1')`
  const startSidecar = (): Promise<StartCost> => costOf([ENTRY, 'start', '--config', config], port)
  // Not counted: it makes the CA and the journal that later ones find.
  await startSidecar()
  const sidecar: StartCost[] = []
  const bare: StartCost[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    bare.push(await costOf(['--input-type=module', '--eval', program], barePort))
    sidecar.push(await startSidecar())
  }
  return { sidecar, bare }
}

/** Prints the medians, as ratios and as they were. */
export function printStarts({ sidecar, bare }: Starts): void {
  const print = (name: string, unit: string, pick: (one: StartCost) => number): void => {
    const [mine, base] = [median(sidecar.map(pick)), median(bare.map(pick))]
    console.log(`${name}: ${(mine / base).toFixed(2)} of a bare Node (${mine.toFixed(0)} ${unit})`)
  }
  print('start to listening', 'ms', ({ listeningMs }) => listeningMs)
  print('idle memory', 'MiB', ({ idleBytes }) => idleBytes / 2 ** 20)
}

async function costOf(words: readonly string[], port: number): Promise<StartCost> {
  const began = performance.now()
  const child = spawn(process.execPath, words, { stdio: 'ignore' })
  const exited = new Promise((resolve) => child.once('exit', resolve))
  try {
    while (!(await accepts(port))) {
      if (performance.now() - began > PATIENCE_MS) throw new Error('nothing listens')
      await sleep(1)
    }
    const listeningMs = performance.now() - began
    await sleep(IDLE_AFTER_MS)
    const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
    return { listeningMs, idleBytes: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024 }
  } finally {
    child.kill('SIGTERM')
    await exited
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0
}
