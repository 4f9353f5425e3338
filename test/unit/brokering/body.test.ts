import t from 'tap'

import { wholeBody } from '../../../src/brokering/body.ts'

void t.test('what is all there is given in pieces, and each is told of', (t) => {
  const given: number[] = []
  const bytes = Buffer.alloc(130 * 1024, 'a')
  const body = wholeBody(bytes, [], (count) => given.push(count))
  const pieces: Uint8Array[] = []
  for (let piece = body.read(); piece; piece = body.read()) pieces.push(piece)
  t.ok(Buffer.concat(pieces).equals(bytes))
  t.strictSame(given, [65_536, 65_536, 2048])
  t.equal(body.read(), null)
  t.end()
})
