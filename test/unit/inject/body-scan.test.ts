import * as fc from 'fast-check'
import t from 'tap'

import type { HeldPlaceholder } from '../../../src/credentials/placeholder.ts'
import { PlaceholderScan } from '../../../src/inject/body-scan.ts'
import { watchBody } from '../../../src/inject/watch-body.ts'
import type { Body } from '../../../src/wire/body.ts'
import { BEARER, PLACEHOLDERS, placeholderOf, QUERY } from './support.ts'

const KNOWN = [...PLACEHOLDERS.keys()]

/** The first placeholder seen when the text comes in chunks that end at the cuts. */
function scan(
  text: string,
  cuts: readonly number[],
  placeholders: ReadonlyMap<string, HeldPlaceholder> = PLACEHOLDERS,
): string | undefined {
  const bytes = Buffer.from(text, 'latin1')
  const ends = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort(
    (one, other) => one - other,
  )
  const scanner = new PlaceholderScan(placeholders)
  let from = 0
  let first: string | undefined
  for (const end of ends) {
    const [seen] = scanner.push(bytes.subarray(from, end))
    first ??= seen
    from = end
  }
  return first
}

void t.test('whatever way a body is cut, the same placeholder is found as in the whole', (t) => {
  const piece = fc.oneof(
    fc.constantFrom(...KNOWN),
    fc.constantFrom(...KNOWN.map((text) => text.slice(0, -1))),
    fc.string({ unit: 'binary-ascii', maxLength: 60 }),
  )
  const text = fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join('|'))
  const cuts = fc.array(fc.nat({ max: 400 }), { maxLength: 30 })
  fc.assert(
    fc.property(text, cuts, (whole, at) => {
      const found = KNOWN.map((placeholder) => [whole.indexOf(placeholder), placeholder] as const)
        .filter(([index]) => index >= 0)
        .sort(([one], [other]) => one - other)
      return scan(whole, []) === found[0]?.[1] && scan(whole, at) === found[0]?.[1]
    }),
    { numRuns: 500 },
  )
  t.end()
})

void t.test('a placeholder is found byte by byte and over every border', (t) => {
  const text = `{"token":"${KNOWN[1]}"}`
  const everywhere = Array.from({ length: text.length }, (_, at) => at)
  t.equal(scan(text, everywhere), KNOWN[1])
  for (const at of everywhere) t.equal(scan(text, [at]), KNOWN[1])
  t.equal(scan(`{"token":"${KNOWN[1]?.slice(0, -1)}"}`, everywhere), undefined)
  t.equal(scan(text, everywhere, new Map()), undefined, 'nothing is sought')
  t.end()
})

function bodyOf(chunks: readonly string[]): Body {
  const left = chunks.map((text) => Buffer.from(text))
  return {
    length: undefined,
    trailers: [],
    read: () => left.shift() ?? null,
    wait: () => Promise.resolve(),
    abort: () => undefined,
  }
}

void t.test(
  'a watched body flows on unchanged and tells of each placeholder once, one behind another among them',
  (t) => {
    const token = placeholderOf(BEARER)
    const chunks = [
      'a',
      token.slice(0, 9),
      token.slice(9),
      `${token}${placeholderOf(QUERY)}`,
      token,
      'z',
    ]
    const seen: string[] = []
    const body = watchBody(bodyOf(chunks), PLACEHOLDERS, (name) => seen.push(name))
    const passed: string[] = []
    for (;;) {
      const chunk = body.read()
      if (!chunk) break
      passed.push(Buffer.from(chunk).toString())
    }
    t.strictSame(passed, chunks)
    t.strictSame(seen, ['bearer', 'query'])
    t.end()
  },
)

void t.test('a body whose placeholder is refused ends there, and one without goes through', (t) => {
  const refuse = (): never => {
    throw new Error('refused')
  }
  t.throws(() => watchBody(bodyOf([placeholderOf(BEARER)]), PLACEHOLDERS, refuse).read(), {
    message: 'refused',
  })
  t.ok(watchBody(bodyOf(['harmless']), PLACEHOLDERS, refuse).read())
  t.end()
})
