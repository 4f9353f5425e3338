// A body that is looked through while it comes: what it ends with for now reaches a client that waits for it.

import t from 'tap'

import { NO_BODY, type Body } from '../../../../src/wire/body.ts'
import { BodyQueue } from '../../../../src/wire/body-queue.ts'
import { WatchedBody } from '../../../../src/inject/scrub/watched-body.ts'
import { finderFor, VALUE } from './support.ts'

const NOTHING = (): void => undefined
const finder = finderFor(VALUE)

async function next(body: Body): Promise<string> {
  for (;;) {
    const chunk = body.read()
    if (chunk === null) return 'end'
    if (chunk !== undefined) return Buffer.from(chunk).toString('latin1')
    await body.wait()
  }
}

void t.test(
  'what may begin a value goes on once nothing follows, and is looked at still',
  async (t) => {
    const source = new BodyQueue(undefined, 1024, {
      pause: NOTHING,
      resume: NOTHING,
      abort: NOTHING,
    })
    const body = new WatchedBody(source, { finder: () => finder, onFound: NOTHING }, 'text')
    source.push(Buffer.from(`are you there? ${VALUE[0]}`))
    t.equal(await next(body), 'are you there? ')
    t.equal(await next(body), VALUE[0], 'though nothing follows')
    source.push(Buffer.from(`${VALUE.slice(1)}, yes`))
    t.equal(await next(body), `${'*'.repeat(Buffer.byteLength(VALUE) - 1)}, yes`)
    source.end(NO_BODY.trailers)
    t.equal(await next(body), 'end')
  },
)
