// What a condition may cost: whoever sends the call chooses texts and lists, and no choice makes one condition do more than its
// steps. Counted, not timed.

import t from 'tap'

import { STEPS_MAX } from '../../../../src/policy/condition/bounds.ts'
import { ConditionFacts } from '../../../../src/policy/condition/condition.ts'
import { Run } from '../../../../src/policy/condition/run.ts'
import { askAbout } from '../../../../src/policy/written-call.ts'
import { condition, judge, toolCall } from './judge.ts'

const many = (length: number): number[] => Array.from({ length }, (_, at) => at)

/** Steps that one evaluation takes, without a bound. */
function stepsOf(text: string, args: unknown): number {
  const { content } = toolCall(args)
  const question = { ...askAbout('POST', 'https://a.test/', []), ...(content && { content }) }
  const facts = new ConditionFacts({}, question, 0)
  const reading = { method: 'POST', segments: [], query: undefined }
  const run = new Run(facts, {}, { reading, steps: STEPS_MAX })
  condition(text).inside.evaluate(run)
  return STEPS_MAX - run.stepsLeft
}

void t.test('the work of a comprehension goes by its items, and those are bounded', (t) => {
  const text = 'call.tool.arguments.list.all(i, i >= 0 && i < 100000)'
  const of = (length: number): number => stepsOf(text, { list: many(length) })
  t.equal(of(200) - of(100), of(100) - of(0))
  t.equal(judge(text, toolCall({ list: many(1000) })), true)
  t.equal(judge(text, toolCall({ list: many(1001) })), 'error')
  t.equal(of(1_000_000), of(1001), 'of a longer one none is looked at')
  t.end()
})

void t.test('whatever is sent, no more than the steps are taken', (t) => {
  const long = 'a'.repeat(2 ** 22)
  const list = Array.from({ length: 1000 }, () => many(1000))
  const attempts: [text: string, args: unknown][] = [
    // A comparison within a comprehension multiplies.
    [
      'call.tool.arguments.list.exists(i, "x" in i)',
      { list: Array(1000).fill(Array(1000).fill('y')) },
    ],
    [
      'call.tool.arguments.list.exists(i, i == call.tool.arguments.other)',
      { list, other: [...many(999), 0] },
    ],
    [
      'call.tool.arguments.list.exists(i, call.tool.arguments.s.contains(i))',
      { list: Array(1000).fill('ab'), s: long },
    ],
    [
      'call.tool.arguments.s.contains(call.tool.arguments.p)',
      { s: long, p: `b${'a'.repeat(2 ** 20)}` },
    ],
    [
      'call.tool.arguments.s.split(call.tool.arguments.p).size() > 1',
      { s: long, p: `b${'a'.repeat(2 ** 20)}` },
    ],
    [
      'call.tool.arguments.list.map(i, i + call.tool.arguments.s).join().size() > 1',
      { list: Array(1000).fill('a'), s: 'a'.repeat(65_000) },
    ],
    ['re2(call.tool.arguments.s, "(a+)+$")', { s: `${long}!` }],
    [
      'call.tool.arguments.list.exists(i, re2(i, "(a*)*b"))',
      { list: Array(1000).fill('a'.repeat(1000)) },
    ],
    ['glob(call.tool.arguments.s, "*a*a*a*b")', { s: long }],
    ['size(call.tool.arguments.s) > 1', { s: long }],
    ['call.tool.arguments.s.lowerAscii() == "a"', { s: long }],
    [
      'size(call.tool.arguments.m) > 1',
      { m: Object.fromEntries(many(200_000).map((at) => [at, 1])) },
    ],
    [
      'call.tool.arguments.m == call.tool.arguments.n',
      { m: { a: list }, n: { a: list.map((row) => [...row]) } },
    ],
    ['call.tool.arguments.s + call.tool.arguments.s == ""', { s: long }],
  ]
  for (const [text, args] of attempts) t.equal(judge(text, toolCall(args)), 'error', text)
  t.end()
})

void t.test('once the steps are used up nothing more is done, whatever stands behind', (t) => {
  const over = '"x" in call.tool.arguments.list'
  const { list } = { list: Array(200_000).fill('y') }
  t.equal(judge(over, toolCall({ list })), 'error')
  t.equal(
    judge(`${over} || ${over} || call.tool.arguments.list.size() == 0`, toolCall({ list })),
    'error',
  )
  // What is certain by itself is certain all the same.
  t.equal(judge(`${over} || call.port == 443`, toolCall({ list })), true)
  t.end()
})

void t.test('nesting of what is sent overflows nothing', (t) => {
  const nest = (depth: number): unknown => {
    let value: unknown = 1
    for (let at = 0; at < depth; at += 1) value = at % 2 === 0 ? [value] : { a: value }
    return value
  }
  const text = 'call.tool.arguments.x == call.tool.arguments.y'
  t.equal(judge(text, toolCall({ x: nest(60), y: nest(60) })), true)
  t.equal(judge(text, toolCall({ x: nest(20_000), y: nest(20_000) })), 'error')
  t.end()
})
