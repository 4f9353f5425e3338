// What the record costs, for `bench.ts`: appending to the journal, bringing it to a sink, the time from a call to its copy
// there, and what a sink that is dead for a million records holds up. Needs Linux (/proc).

import { execFileSync, spawn } from 'node:child_process'
import http from 'node:http'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { makePki } from '../fixtures/pki.ts'
import { freePort } from '../fixtures/port.ts'
import { runLoad } from './load.ts'
import {
  cpuSeconds,
  directory,
  file,
  keep,
  residentBytes,
  startOrigin,
  startSidecar,
} from './parties.ts'

/** One figure. */
export interface RecordCost {
  readonly what: string
  readonly value: number
  readonly unit: string
}

const HOST = 'origin.test'
const PACED_CALLS = 2000
const PACED_EVERY_MS = 5

/** Measures all of it. @param records that a sink is behind @param seconds of load a case */
export async function measureRecord(records: number, seconds: number): Promise<RecordCost[]> {
  return [
    ...(await measureAppend('process')),
    ...(await measureAppend('disk')),
    ...(await measureLag()),
    ...(await measureDeadSink(records, seconds)),
  ]
}

/** Prints it as a table. */
export function printRecord(costs: readonly RecordCost[]): void {
  console.log('| what | | |')
  console.log('|---|---|---|')
  for (const { what, value, unit } of costs)
    console.log(`| ${what} | ${value < 10 ? value.toFixed(2) : value.toFixed(0)} | ${unit} |`)
}

/** Has `record-filler.ts` append to a journal. @returns what it says */
async function fill(
  dir: string,
  calls: number,
  sync: string,
): Promise<{ perCallUs: number; bytes: number }> {
  const filler = path.join(import.meta.dirname, 'record-filler.ts')
  const child = keep(
    spawn(process.execPath, [filler, dir, String(calls), sync], {
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  )
  let text = ''
  for await (const piece of child.stdout) text += String(piece)
  const said: { perCallUs: number; bytes: number } = JSON.parse(text)
  return said
}

async function measureAppend(sync: 'process' | 'disk'): Promise<RecordCost[]> {
  const calls = 100_000
  const { perCallUs, bytes } = await fill(path.join(directory, `append-${sync}`), calls, sync)
  const what = `journal, \`sync: ${sync}\`, two records a call`
  return [
    { what, value: perCallUs, unit: 'µs of CPU a call' },
    ...(sync === 'process' ? [{ what, value: bytes / calls, unit: 'bytes a call' }] : []),
  ]
}

interface Receiver {
  readonly port: number
  /** Milliseconds from a record's time to its arrival. */
  readonly lags: number[]
  /** Lines that came. */
  lines: number
}

/** Takes NDJSON. @param isTimed whether each line is looked at */
async function startReceiver(isTimed: boolean): Promise<Receiver> {
  const port = await freePort()
  const receiver: Receiver = { port, lags: [], lines: 0 }
  const server = http.createServer((incoming, answer) => {
    const pieces: Buffer[] = []
    incoming.on('data', (piece: Buffer) => pieces.push(piece))
    incoming.on('end', () => {
      const now = Date.now()
      const body = Buffer.concat(pieces)
      for (let at = body.indexOf(0x0a); at >= 0; at = body.indexOf(0x0a, at + 1))
        receiver.lines += 1
      if (isTimed)
        for (const line of body.toString().split('\n').slice(0, -1))
          receiver.lags.push(now - Date.parse(JSON.parse(line)['@timestamp']))
      answer.end()
    })
  })
  server.listen(port, '127.0.0.1')
  server.unref()
  return receiver
}

async function startRecording(
  name: string,
  config: string,
): Promise<{ sidecar: Awaited<ReturnType<typeof startSidecar>>; originPort: number }> {
  const pki = makePki()
  const leaf = pki.issue({ names: [HOST] })
  const ports = await startOrigin(
    file(`${name}.crt`, leaf.certPem),
    file(`${name}.key`, leaf.keyPem),
  )
  const rule = `{ id: plain, allow: 'http://${HOST}:${ports.http}', paths: ['/**'], addresses: ['127.0.0.0/8'] }`
  const sidecar = await startSidecar(name, pki.caPem, HOST, [rule], ports.https, config)
  return { sidecar, originPort: ports.http }
}

/** Calls at a pace, so that what is measured is the way to the sink and not a queue. */
async function measureLag(): Promise<RecordCost[]> {
  const receiver = await startReceiver(true)
  const { sidecar, originPort } = await startRecording(
    'lag',
    `sinks: [{ http: { url: 'http://127.0.0.1:${receiver.port}/' } }]\n`,
  )
  const agent = new http.Agent({ keepAlive: true })
  for (let call = 0; call < PACED_CALLS; call += 1) {
    http
      .get({
        host: '127.0.0.1',
        port: sidecar.port,
        path: `http://${HOST}:${originPort}/`,
        headers: { host: `${HOST}:${originPort}` },
        agent,
      })
      .on('response', (response) => response.resume())
    await sleep(PACED_EVERY_MS)
  }
  await sleep(1000)
  const lags = receiver.lags.toSorted((a, b) => a - b)
  const at = (share: number): number => lags[Math.floor(lags.length * share)] ?? Number.NaN
  const what = 'a call’s end to its arrival at an HTTP sink'
  return [
    { what, value: at(0.5), unit: 'ms, median' },
    { what, value: at(0.99), unit: 'ms, 99th of 100' },
    { what, value: at(0.9999), unit: 'ms, the worst' },
  ]
}

async function measureDeadSink(records: number, seconds: number): Promise<RecordCost[]> {
  const dead = await freePort()
  // The bound must not be reached: what is measured is calls, not refusals.
  const sinks = `sinks: [{ http: { url: 'http://127.0.0.1:${dead}/', backlogBytes: 8GiB } }]\njournal: { maxBytes: 16GiB }\n`
  const load = async (
    name: string,
  ): Promise<{ rate: number; cpuUs: number; memory: number; pid: number }> => {
    const { sidecar, originPort } = await startRecording(name, sinks)
    const options = {
      way: 'plain' as const,
      host: HOST,
      originPort,
      proxyPort: sidecar.port,
      ca: '',
      fresh: false,
      connections: 32,
    }
    // As long as a start is felt.
    await runLoad({ ...options, seconds: 3 })
    const before = cpuSeconds(sidecar.pid)
    const { requests, seconds: took } = await runLoad({ ...options, seconds: seconds * 2 })
    const cpuUs = ((cpuSeconds(sidecar.pid) - before) / requests) * 1e6
    const memory = residentBytes(sidecar.pid)
    return { rate: requests / took, cpuUs, memory, pid: sidecar.pid }
  }
  const without = await load('without-backlog')
  process.kill(without.pid)
  await fill(path.join(directory, 'with-backlog/journal'), Math.ceil(records / 2), 'process')
  // What the disk still has to take of it would slow down the journal, not the sink.
  execFileSync('sync')
  const withIt = await load('with-backlog')
  process.kill(withIt.pid)
  const drained = await measureDrain(records)
  const what = `a dead sink that is ${records.toLocaleString('en')} records behind`
  return [
    { what, value: withIt.memory / 2 ** 20, unit: 'MiB resident under load' },
    {
      what: 'a dead sink that has just died',
      value: without.memory / 2 ** 20,
      unit: 'MiB resident under load',
    },
    { what, value: withIt.rate / without.rate, unit: 'of the rate without a backlog' },
    { what, value: withIt.cpuUs / without.cpuUs, unit: 'of the CPU a call without a backlog' },
    ...drained,
  ]
}

/** The same journal again, with a receiver. */
async function measureDrain(records: number): Promise<RecordCost[]> {
  const receiver = await startReceiver(false)
  const { sidecar } = await startRecording(
    'with-backlog',
    `sinks: [{ http: { url: 'http://127.0.0.1:${receiver.port}/', all: true } }]\njournal: { maxBytes: 16GiB }\n`,
  )
  const startedAt = performance.now()
  const before = { cpu: cpuSeconds(sidecar.pid), lines: receiver.lines }
  while (receiver.lines < records && performance.now() - startedAt < 120_000) await sleep(50)
  const took = (performance.now() - startedAt) / 1000
  const lines = receiver.lines - before.lines
  const what = 'an HTTP sink that catches up'
  return [
    { what, value: lines / took, unit: 'records/s' },
    { what, value: ((cpuSeconds(sidecar.pid) - before.cpu) / lines) * 1e6, unit: 'µs of CPU each' },
  ]
}
