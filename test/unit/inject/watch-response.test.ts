// The credential of a call is found in its response, whatever way the body is cut, and what flows on is what came.

import * as fc from 'fast-check'
import t from 'tap'

import { makeSecret } from '../../../src/credentials/vault.ts'
import { watchResponse } from '../../../src/inject/watch-response.ts'
import type { Body } from '../../../src/wire/body.ts'
import { CANARY } from './support.ts'

function bodyOf(chunks: readonly Uint8Array[]): Body {
  const left = [...chunks]
  return {
    length: undefined,
    trailers: [],
    read: () => left.shift() ?? null,
    wait: () => Promise.resolve(),
    abort: () => undefined,
  }
}

function watch(chunks: readonly Uint8Array[]): { readonly found: string[]; readonly said: Buffer } {
  const found: string[] = []
  const body = watchResponse([], bodyOf(chunks), makeSecret('github', CANARY), (place) =>
    found.push(place),
  )
  const said: Uint8Array[] = []
  for (let chunk = body.read(); chunk; chunk = body.read()) said.push(chunk)
  return { found, said: Buffer.concat(said) }
}

void t.test('an echo is found once, whatever way the body is cut', (t) => {
  const piece = fc.oneof(fc.constantFrom(CANARY, CANARY.slice(3), 'canary-'), fc.string())
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), fc.array(fc.nat(200)), (pieces, cuts) => {
      const whole = Buffer.from(pieces.join(''))
      const ends = [...new Set([...cuts.filter((cut) => cut < whole.length), whole.length])]
      ends.sort((one, other) => one - other)
      const chunks = ends.map((end, at) => whole.subarray(ends[at - 1] ?? 0, end))
      const { found, said } = watch(chunks)
      return said.equals(whole) && found.length === Number(whole.includes(CANARY))
    }),
    { numRuns: 500 },
  )
  t.end()
})

void t.test('behind the bytes that are looked at nothing is found', (t) => {
  const before = Buffer.alloc(64 * 1024, 'x')
  t.same(watch([before, Buffer.from(CANARY)]).found, [])
  t.same(watch([before.subarray(CANARY.length), Buffer.from(CANARY)]).found, ['body'])
  t.end()
})
