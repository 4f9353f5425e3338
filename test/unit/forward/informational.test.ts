import t from 'tap'

import { EgressError } from '../../../src/errors.ts'
import { boundInformational } from '../../../src/forward/informational.ts'

const MALFORMED = new EgressError('response-malformed')

void t.test('what is said before an answer is passed on within a bound', (t) => {
  const passed: number[] = []
  const pass = boundInformational(200, (status) => passed.push(status))
  pass(103, ['link', '</a>'])
  pass(102, [])
  t.throws(() => pass(103, ['link', 'x'.repeat(40)]), MALFORMED)
  t.throws(() => pass(103, []), MALFORMED, 'nor what comes behind it')
  t.strictSame(passed, [103, 102])
  t.end()
})

void t.test('heads without fields count too', (t) => {
  const pass = boundInformational(320, () => undefined)
  for (let at = 0; at < 10; at += 1) pass(100, [])
  t.throws(() => pass(100, []), MALFORMED)
  t.end()
})
