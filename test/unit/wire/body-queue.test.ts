// A body between its socket and whoever pulls it: order, back-pressure, ends and breaks.

import t from 'tap'

import { BodyQueue } from '../../../src/wire/body-queue.ts'

function makeQueue(bytesMax = 4): { queue: BodyQueue; told: string[] } {
  const told: string[] = []
  const queue = new BodyQueue(undefined, bytesMax, {
    pause: () => told.push('pause'),
    resume: () => told.push('resume'),
    abort: (cause) => told.push(`abort ${cause.message}`),
  })
  return { queue, told }
}

const bytes = (text: string): Buffer => Buffer.from(text)

void t.test('bytes come out in order, then the end with its trailers', async (t) => {
  const { queue } = makeQueue()
  t.equal(queue.read(), undefined, 'nothing yet')
  const waiting = queue.wait()
  queue.push(bytes('a'))
  await waiting
  queue.push(bytes('b'))
  queue.end(['X-T', '1'])
  t.strictSame([queue.read(), queue.read(), queue.read()], [bytes('a'), bytes('b'), null])
  t.strictSame(queue.trailers, ['X-T', '1'])
  await queue.wait()
  t.end()
})

void t.test(
  'I7: beyond its bound the source is paused, and let go at half of it or at the end',
  (t) => {
    const { queue, told } = makeQueue()
    queue.push(bytes('abcd'))
    t.strictSame(told, [])
    queue.push(bytes('e'))
    queue.push(bytes('f'))
    t.strictSame(told, ['pause'])
    queue.read()
    t.strictSame(told, ['pause', 'resume'])
    queue.push(bytes('ghij'))
    t.strictSame(told, ['pause', 'resume', 'pause'])
    queue.end([])
    t.strictSame(told, ['pause', 'resume', 'pause', 'resume'], 'what comes next is not its own')
    t.end()
  },
)

void t.test('a body that breaks off gives what came before it breaks', async (t) => {
  const { queue } = makeQueue()
  queue.push(bytes('a'))
  queue.fail(new Error('gone'))
  queue.push(bytes('b'))
  await queue.wait()
  t.strictSame(queue.read(), bytes('a'))
  t.throws(() => queue.read(), /gone/)
  t.throws(() => queue.read(), /gone/, 'and stays so')
  t.end()
})

void t.test('a body that is dropped or aborted breaks at once', (t) => {
  const dropped = makeQueue()
  dropped.queue.push(bytes('a'))
  dropped.queue.drop(new Error('cut'))
  t.throws(() => dropped.queue.read(), /cut/)
  t.strictSame(dropped.told, [])
  const aborted = makeQueue()
  aborted.queue.push(bytes('a'))
  aborted.queue.abort(new Error('enough'))
  t.throws(() => aborted.queue.read(), /enough/)
  t.strictSame(aborted.told, ['abort enough'])
  t.end()
})

void t.test('an end is not undone by what breaks behind it', (t) => {
  const { queue } = makeQueue()
  queue.push(bytes('a'))
  queue.end([])
  queue.fail(new Error('late'))
  t.strictSame([queue.read(), queue.read()], [bytes('a'), null])
  t.end()
})
