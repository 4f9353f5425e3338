import t from 'tap'

import { wholeBody } from '../../../src/brokering/body.ts'
import { EgressError } from '../../../src/errors.ts'
import { exactBody } from '../../../src/forward/exact-body.ts'

void t.test('a body is of the length that its framing says, or breaks off', (t) => {
  const bytes = Buffer.alloc(10)
  const sent = (length: number): number => {
    const body = exactBody(wholeBody(bytes, []), { kind: 'length', length })
    let count = 0
    for (let chunk = body.read(); chunk; chunk = body.read()) count += chunk.length
    return count
  }
  const reasonOf = (length: number): unknown => {
    try {
      return sent(length)
    } catch (error) {
      return error instanceof EgressError ? error.reason : error
    }
  }
  t.equal(reasonOf(10), 10)
  t.equal(reasonOf(9), 'internal', 'more than was said')
  t.equal(reasonOf(11), 'internal', 'fewer')
  t.equal(exactBody(wholeBody(bytes, []), { kind: 'chunked' }).read()?.length, 10)
  t.end()
})
