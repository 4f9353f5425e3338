// Every message of the corpus, cut at every byte, means the same, or is refused for the same reason at the same place.

import * as fc from 'fast-check'
import t from 'tap'

import { REQUESTS, RESPONSES } from './corpus.ts'
import {
  BOUNDS,
  cut,
  readRequests,
  readResponse,
  type Bounds,
  type Conversation,
} from './own-reader.ts'

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1')
// So small that many messages meet them.
const SMALL: Bounds = { headBytesMax: 200, chunkLineBytesMax: 16, trailerBytesMax: 32 }

type Whole = (pieces: readonly Buffer[]) => Conversation

const READERS: readonly (readonly [name: string, texts: readonly string[], read: Whole])[] = [
  ['request', REQUESTS, (pieces) => readRequests(pieces, BOUNDS)],
  ['request with small bounds', REQUESTS, (pieces) => readRequests(pieces, SMALL)],
  ['response', RESPONSES, (pieces) => readResponse(pieces, 'GET', true, BOUNDS)],
  ['response with small bounds', RESPONSES, (pieces) => readResponse(pieces, 'GET', true, SMALL)],
  ['response to HEAD', RESPONSES, (pieces) => readResponse(pieces, 'HEAD', true, BOUNDS)],
]

for (const [name, texts, whole] of READERS)
  void t.test(`every ${name} means the same, cut at any byte and at every byte`, (t) => {
    let accepted = 0
    let refused = 0
    for (const text of texts) {
      const bytes = bytesOf(text)
      const expected = JSON.stringify(whole([bytes]))
      const differing: number[] = []
      for (let at = 1; at < bytes.length; at += 1)
        if (JSON.stringify(whole(cut(bytes, [at]))) !== expected) differing.push(at)
      const single = [...bytes].map((byte) => Buffer.of(byte))
      if (JSON.stringify(whole(single)) !== expected) differing.push(-1)
      t.strictSame(differing, [], JSON.stringify(text))
      if (expected.includes('"refused"')) refused += 1
      else accepted += 1
    }
    t.ok(accepted > 20 && refused > 20, `${accepted} accepted, ${refused} refused`)
    t.end()
  })

void t.test('any messages one behind the other, cut anywhere, mean the same', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...REQUESTS), { minLength: 1, maxLength: 3 }),
      fc.array(fc.nat(400), { maxLength: 6 }),
      (texts, cuts) => {
        const bytes = bytesOf(texts.join(''))
        const pieces = cut(
          bytes,
          cuts.filter((at) => at < bytes.length).sort((one, other) => one - other),
        )
        t.equal(JSON.stringify(readRequests(pieces)), JSON.stringify(readRequests([bytes])))
      },
    ),
    { numRuns: 500 },
  )
  t.end()
})
