// A body between two sides: order, bounds, how it ends and how it breaks off, and what hostile pieces may cost.

import * as fc from 'fast-check'
import t from 'tap'

import { BodyQueue } from '../../../src/wire/body-queue.ts'

const BYTES_MAX = 100

interface Source {
  readonly calls: string[]
  readonly queue: BodyQueue
}

function make(bytesMax = BYTES_MAX, length?: number): Source {
  const calls: string[] = []
  const queue = new BodyQueue(length, bytesMax, {
    pause: () => calls.push('pause'),
    resume: () => calls.push('resume'),
    abort: () => calls.push('abort'),
  })
  return { calls, queue }
}

function readAll(queue: BodyQueue): Buffer {
  const chunks: Uint8Array[] = []
  for (let chunk = queue.read(); chunk; chunk = queue.read()) chunks.push(chunk)
  return Buffer.concat(chunks)
}

void t.test('bytes come out as they went in, then the end with its trailers', async (t) => {
  const { queue } = make(BYTES_MAX, 3)
  t.equal(queue.length, 3)
  t.equal(queue.read(), undefined)
  queue.push(Buffer.from('ab'))
  queue.push(Buffer.from('c'))
  await queue.wait()
  t.equal(readAll(queue).toString(), 'abc')
  t.equal(queue.read(), undefined)
  queue.end(['T', 'u'])
  await queue.wait()
  t.equal(queue.read(), null)
  t.strictSame(queue.trailers, ['T', 'u'])
})

void t.test('the source stops beyond the bound and goes on at half of it', (t) => {
  const { queue, calls } = make()
  queue.push(Buffer.alloc(BYTES_MAX))
  t.strictSame(calls, [])
  queue.push(Buffer.alloc(1))
  t.strictSame(calls, ['pause'])
  queue.push(Buffer.alloc(50))
  queue.read()
  t.strictSame(calls, ['pause'])
  readAll(queue)
  t.strictSame(calls, ['pause', 'resume'])
  t.end()
})

void t.test('a body that has ended no longer holds its source back', (t) => {
  const { queue, calls } = make()
  queue.push(Buffer.alloc(BYTES_MAX + 1))
  queue.end([])
  t.strictSame(calls, ['pause', 'resume'])
  t.equal(readAll(queue).length, BYTES_MAX + 1)
  t.strictSame(calls, ['pause', 'resume'])
  t.end()
})

void t.test('a body that fails gives what came before; one that is dropped does not', async (t) => {
  const cause = new Error('gone')
  const failed = make().queue
  failed.push(Buffer.from('a'))
  failed.fail(cause)
  failed.push(Buffer.from('late'))
  failed.fail(new Error('again'))
  t.equal(failed.read()?.length, 1)
  await failed.wait()
  t.throws(() => failed.read(), cause)
  t.throws(() => failed.read(), cause)

  const dropped = make().queue
  dropped.push(Buffer.from('a'))
  dropped.drop(cause)
  t.throws(() => dropped.read(), cause)

  const ended = make().queue
  ended.push(Buffer.from('a'))
  ended.end([])
  ended.fail(cause)
  t.equal(readAll(ended).length, 1)
  t.equal(ended.read(), null)

  const { queue, calls } = make()
  queue.abort(cause)
  t.throws(() => queue.read(), cause)
  t.strictSame(calls, ['abort'])
})

void t.test('whoever waits is told of bytes, the end and a failure', async (t) => {
  for (const tell of [
    (queue: BodyQueue): void => queue.push(Buffer.from('a')),
    (queue: BodyQueue): void => queue.end([]),
    (queue: BodyQueue): void => queue.fail(new Error('gone')),
    (queue: BodyQueue): void => queue.drop(new Error('gone')),
  ]) {
    const { queue } = make()
    let isTold = false
    const told = queue.wait().then(() => (isTold = true))
    await Promise.resolve()
    t.notOk(isTold)
    tell(queue)
    t.ok(await told)
  }
})

void t.test(
  'a body of many tiny pieces neither keeps what they came in with nor takes long',
  (t) => {
    const bytesMax = 256 * 1024
    const { queue } = make(bytesMax)
    const buffers = new Set<ArrayBufferLike>()
    for (let at = 0; at < bytesMax; at += 1) queue.push(Buffer.allocUnsafeSlow(1).fill(at))
    let reads = 0
    let bytes = 0
    let isRight = true
    for (let chunk = queue.read(); chunk; chunk = queue.read()) {
      reads += 1
      buffers.add(chunk.buffer)
      for (const byte of chunk) isRight &&= byte === (bytes++ & 0xff)
    }
    t.ok(isRight)
    t.equal(bytes, bytesMax)
    t.ok(reads < bytesMax / 1000, `${reads} reads`)
    let kept = 0
    for (const buffer of buffers) kept += buffer.byteLength
    t.ok(kept < bytesMax * 2, `${kept} bytes kept`)
    t.end()
  },
)

void t.test('what was read is never written to again', (t) => {
  const { queue } = make()
  queue.push(Buffer.from('a'))
  queue.push(Buffer.from('b'))
  queue.read()
  const second = queue.read()!
  queue.push(Buffer.from('c'))
  queue.push(Buffer.from('d'))
  t.equal(Buffer.from(second).toString(), 'b')
  t.equal(readAll(queue).toString(), 'cd')
  t.end()
})

void t.test(
  'any pieces, read at any time, are the same bytes, and the count of kept ones is right',
  (t) => {
    const step = fc.oneof(
      fc.constant('read' as const),
      fc.uint8Array({ minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1000, max: 1100 }).map((length) => new Uint8Array(length).fill(length)),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const { queue, calls } = make(2000)
        const written: Uint8Array[] = []
        const read: Uint8Array[] = []
        let kept = 0
        let isPaused = false
        for (const one of steps) {
          const chunk = one === 'read' ? queue.read() : one
          if (one !== 'read') {
            queue.push(one)
            written.push(one)
            kept += one.length
            isPaused ||= kept > 2000
          } else if (chunk) {
            read.push(chunk)
            kept -= chunk.length
            if (kept <= 1000) isPaused = false
          }
          t.equal(calls.at(-1) === 'pause', isPaused)
        }
        read.push(readAll(queue))
        t.ok(Buffer.concat(read).equals(Buffer.concat(written)))
      }),
      { numRuns: 300 },
    )
    t.end()
  },
)
