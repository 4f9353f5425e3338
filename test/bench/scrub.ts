// What it costs to look for credentials in what comes back, for `bench.ts`: bytes a second by kinds of bodies and sizes of reads and
// what waits meanwhile; what a small response costs with and without; the memory that a GiB takes.

import { FormFinder } from '../../src/inject/scrub/form-finder.ts'
import { Scrubber } from '../../src/inject/scrub/scrubber.ts'
import { scrubResponse } from '../../src/inject/scrub/scrub-response.ts'
import { formsOf } from '../../src/inject/scrub/value-forms.ts'
import type { Watch } from '../../src/inject/scrub/watch.ts'
import type { UpstreamResponse } from '../../src/call-parts.ts'
import type { Body } from '../../src/wire/body.ts'

/** What one kind of body costs. */
export interface ScrubCost {
  readonly what: string
  readonly chunkBytes: number
  /** Of CPU. */
  readonly mbPerSecond: number
  /** Bytes that waited, at the most. */
  readonly heldMax: number
}

const VALUE = 'ghp_16C7e42F292c6912E7710c838347Ae178B4a'
const BODY_BYTES = 256 * 1024
const GIB_PIECES = 16 * 1024
const CHUNKS = [64 * 1024, 1024, 100] as const
const repeat = (text: string): Buffer =>
  Buffer.from(text.repeat(Math.ceil(BODY_BYTES / text.length)).slice(0, BODY_BYTES))

const BODIES: Readonly<Record<string, Buffer>> = {
  text: repeat('the quick brown fox jumps over the lazy dog, and goes on as text does. '),
  JSON: repeat(
    '{"id":123,"name":"abc","html_url":"https://example.com/a/b","note":"line one\\nline two, and more"},\n',
  ),
  HTML: repeat(
    '<p class="a">some text &amp; more of it</p>\n<a href="/x?y=1&amp;z=2">a link</a>\n',
  ),
  events: repeat('data: {"choices":[{"delta":{"content":"he"}}]}\n\n'),
  'all percent': repeat('%41%42%43%7a'),
  'all `\\u`': repeat('\\u0041\\u0042'),
  'nothing but `%`': repeat('%'),
  'nothing but `&`': repeat('&'),
  'the value but for its end': repeat(VALUE.slice(0, -1)),
  'the value': repeat(`${VALUE} `),
}

/** Measures every kind of body. @param seconds a case */
export function measureScrub(seconds: number): ScrubCost[] {
  const finder = new FormFinder(formsOf(VALUE, 'token'))
  return Object.entries(BODIES).flatMap(([what, body]) =>
    CHUNKS.map((chunkBytes) => {
      scrubFor(finder, body, chunkBytes, seconds / 4)
      return { what, chunkBytes, ...scrubFor(finder, body, chunkBytes, seconds) }
    }),
  )
}

/** What responses cost, looked through or not. */
export interface ResponseCost {
  /** Microseconds of CPU for ten fields and a KiB of JSON. */
  readonly smallUs: { readonly with: number; readonly without: number }
  /** Megabytes a second of CPU, and by how many MiB the process grew, for a GiB in pieces of 64 KiB. */
  readonly large: { readonly mbPerSecond: number; readonly grownMib: number }
}

/** Measures whole responses. @param seconds a case */
export async function measureResponses(seconds: number): Promise<ResponseCost> {
  const finder = new FormFinder(formsOf(VALUE, 'token'))
  const watch: Watch = { finder: () => finder, onFound: () => undefined }
  await smallUs(watch, seconds / 4)
  const small = { with: await smallUs(watch, seconds), without: await smallUs(undefined, seconds) }
  const before = process.memoryUsage.rss()
  const begun = cpuMs()
  await drain(responseOf(BODIES['JSON']!.subarray(0, 64 * 1024), GIB_PIECES), watch)
  const spentMs = cpuMs() - begun
  const grownMib = (process.memoryUsage.rss() - before) / 1024 / 1024
  return { smallUs: small, large: { mbPerSecond: 2 ** 30 / 1000 / spentMs, grownMib } }
}

/** Prints it. */
export function printResponses({ smallUs: small, large }: ResponseCost): void {
  console.log(
    `a small response: ${small.with.toFixed(1)} µs looked through, ${small.without.toFixed(1)} µs not; ` +
      `a GiB: ${large.mbPerSecond.toFixed(0)} MB/s of CPU, the process grew by ${large.grownMib.toFixed(0)} MiB`,
  )
}

/** Prints it as a table. */
export function printScrub(costs: readonly ScrubCost[]): void {
  console.log('| body | bytes a read | MB/s of CPU | bytes that wait |')
  console.log('|---|---|---|---|')
  for (const { what, chunkBytes, mbPerSecond, heldMax } of costs)
    console.log(`| ${what} | ${chunkBytes} | ${mbPerSecond.toFixed(0)} | ${heldMax} |`)
}

function scrubFor(
  finder: FormFinder,
  body: Buffer,
  chunkBytes: number,
  seconds: number,
): Pick<ScrubCost, 'mbPerSecond' | 'heldMax'> {
  const scrubber = new Scrubber(finder, () => undefined)
  const begun = cpuMs()
  let bytes = 0
  let heldMax = 0
  let at = 0
  while (cpuMs() - begun < seconds * 1000)
    for (let turn = 0; turn < 64; turn += 1) {
      const chunk = body.subarray(at, at + chunkBytes)
      scrubber.push(chunk)
      bytes += chunk.length
      heldMax = Math.max(heldMax, scrubber.heldBytes)
      at = at + chunkBytes >= body.length ? 0 : at + chunkBytes
    }
  return { mbPerSecond: bytes / 1000 / (cpuMs() - begun), heldMax }
}

async function smallUs(watch: Watch | undefined, seconds: number): Promise<number> {
  const begun = cpuMs()
  let calls = 0
  const body = BODIES['JSON']!.subarray(0, 1024)
  for (; cpuMs() - begun < seconds * 1000; calls += 100)
    for (let call = 0; call < 100; call += 1) await drain(responseOf(body, 1), watch)
  return ((cpuMs() - begun) * 1000) / calls
}

async function drain(response: UpstreamResponse, watch: Watch | undefined): Promise<void> {
  const options = { isInjected: true, ratioMax: 100, bufferBytesMax: 256 * 1024 }
  const { body } = watch ? await scrubResponse(response, watch, options) : response
  while (body.read() !== null);
}

function responseOf(piece: Uint8Array, pieces: number): UpstreamResponse {
  let left = pieces
  const body: Body = {
    length: piece.length * pieces,
    trailers: [],
    read: () => (left-- > 0 ? piece : null),
    wait: () => Promise.resolve(),
    abort: () => undefined,
  }
  const headers = Array.from({ length: 9 }, (_, at) => [
    `X-Field-${at}`,
    'a value of thirty characters ..',
  ]).flat()
  return {
    status: 200,
    statusText: 'OK',
    headers: [...headers, 'Content-Type', 'application/json'],
    length: body.length,
    body,
  }
}

function cpuMs(): number {
  return process.cpuUsage().user / 1000
}
