import * as fc from 'fast-check'
import t from 'tap'

import { readTraceparent } from '../../../src/wire/trace-context.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'
const WHOLE = `00-${TRACE}-${SPAN}-01`

void t.test('R58: a traceparent names the trace and the span of who called', (t) => {
  const context = { traceId: TRACE, parentId: SPAN }
  t.strictSame(readTraceparent(WHOLE), context)
  t.strictSame(readTraceparent(`00-${TRACE}-${SPAN}-00`), context)
  t.strictSame(readTraceparent(`00-${TRACE}-${SPAN}-ff`), context, 'flags of later versions too')
  t.strictSame(readTraceparent(`cc-${TRACE}-${SPAN}-01`), context, 'a later version')
  t.strictSame(readTraceparent(`cc-${TRACE}-${SPAN}-01-what-comes`), context, 'and its more')
  t.end()
})

void t.test('R58: what is not exactly a traceparent is none', (t) => {
  for (const text of [
    '',
    'ff-' + WHOLE.slice(3),
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    WHOLE.toUpperCase(),
    `00-${TRACE.replace('b', 'B')}-${SPAN}-01`,
    `0A-${TRACE}-${SPAN}-01`,
    `${WHOLE}-`,
    `${WHOLE}-more`,
    `${WHOLE}1`,
    `${WHOLE}\n`,
    `cc${WHOLE.slice(2)}x`,
    `cc${WHOLE.slice(2)}.more`,
    ` ${WHOLE}`,
    `${WHOLE} `,
    `${WHOLE}, ${WHOLE}`,
    WHOLE.slice(0, -1),
    WHOLE.replaceAll('-', '_'),
    `00-${TRACE.slice(1)}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-0g`,
    `-${WHOLE}`,
  ])
    t.equal(readTraceparent(text), undefined, JSON.stringify(text))
  t.end()
})

void t.test('property: nothing but what the text says comes out', async (t) => {
  const hex = (length: number): fc.Arbitrary<string> =>
    fc.string({
      unit: fc.integer({ min: 0, max: 15 }).map((digit) => digit.toString(16)),
      minLength: length,
      maxLength: length,
    })
  fc.assert(
    fc.property(hex(2), hex(32), hex(16), hex(2), (version, traceId, parentId, flags) => {
      const isNone = version === 'ff' || /^0+$/.test(traceId) || /^0+$/.test(parentId)
      const context = readTraceparent(`${version}-${traceId}-${parentId}-${flags}`)
      return isNone
        ? context === undefined
        : context?.traceId === traceId && context.parentId === parentId
    }),
  )
  fc.assert(
    fc.property(fc.string({ maxLength: 80 }), (text) => readTraceparent(text) === undefined),
  )
  t.pass('all of them')
})
