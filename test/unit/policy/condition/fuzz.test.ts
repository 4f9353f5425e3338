// Any text is a condition or has faults with places in it; any condition comes to something for any call; and what it comes to
// is what the library says, wherever nobody outside chooses the types.

import { Environment } from '@marcbachmann/cel-js'
import * as fc from 'fast-check'
import t from 'tap'

import {
  explainCondition,
  judgeCondition,
  readCondition,
  type Condition,
} from '../../../../src/policy/condition/condition.ts'
import { factsOf, toolCall, type Call } from './judge.ts'

const RUNS = 2000
const TOKENS = `
  task call destination now call.tool call.tool.arguments call.query call.headers call.path
  call.segments call.body.json task.labels task.depth call.port x i .a .x ["a"] [0] ( ) [ ] { } , : ?
  ! - + * / % == != < <= > >= && || in 1 0 1.5 "a" 'b' true false null has( size( int( double( string(
  re2( glob( cidr( level( timestamp( duration( .all(i, .exists(i, .map(i, .filter(i, .contains(
  .split( .join( .size() .getHours( .startsWith( .lowerAscii() .substring( "Europe/Berlin"
  "2026-01-01T00:00:00Z" "1h"
`
  .trim()
  .split(/\s+/)
const gibberish = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.array(fc.constantFrom(...TOKENS), { maxLength: 14 }).map((tokens) => tokens.join(' ')),
  fc.array(fc.constantFrom(...TOKENS), { maxLength: 14 }).map((tokens) => tokens.join('')),
)

const json = fc.jsonValue({ maxDepth: 4 })
const anyCall: fc.Arbitrary<Call> = fc.record({
  path: fc.constantFrom('/', '/a', '/a/b', '/a%2fb', '/a;x/b', '//a', '/a/'),
  query: fc.constantFrom('', 'a=1', 'a=1&a=2', 'x=%zz', 'a=b+c'),
  headers: fc.constantFrom([], ['A', '1'], ['A', '1', 'a', '2']),
  method: fc.constantFrom('GET', 'post'),
  task: fc.constantFrom({}, { depth: 1, labels: { a: 'x' }, ceiling: 'public' as const }),
  content: fc.oneof(
    fc.constant({}),
    json.map((value) => ({ ...toolCall(value).content, body: { json: value } })),
  ),
})

void t.test('any text is a condition, or has faults that are in it', (t) => {
  fc.assert(
    fc.property(gibberish, (text) => {
      const read = readCondition(text)
      if ('condition' in read) return
      if (read.faults.length === 0) throw new Error('neither')
      for (const { offset, message } of read.faults)
        if (!(offset >= 0 && offset <= text.length) || message === '') throw new Error(message)
    }),
    { numRuns: RUNS * 3 },
  )
  t.end()
})

/** Texts most of which are conditions. */
const scalar = fc.constantFrom(
  ...`
    call.tool.arguments.a
    call.tool.arguments.x.a
    call.body.json
    call.body.json[0]
    call.query.a
    call.headers["a"]
    task.depth
    call.port
    call.path
    call.segments[0]
    task.labels.a
    1
    1.5
    "a"
    null
    true
    call.segments
    call.tool.arguments
    call.query
    size(call.path)
    task.intent
    int(call.query.a)
    double(call.query.a)
    string(call.tool.arguments.a)
    now.getHours("Europe/Berlin")
    call.tool.arguments.a.map(i, i.a)
    call.segments.filter(i, i != "a")
    call.path.split("/")
    call.tool.arguments.a + 1
    call.tool.arguments.a + call.tool.arguments.b
    -call.body.json
    [1, 2]
    {"a": 1}
  `
    .trim()
    .split(/\n\s*/),
)
const { clause } = fc.letrec<{ clause: string }>((tie) => ({
  clause: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc
      .tuple(scalar, fc.constantFrom('==', '!=', '<', '<=', '>', '>=', 'in'), scalar)
      .map((parts) => parts.join(' ')),
    fc.constantFrom(
      'has(call.tool)',
      'has(call.query.a)',
      '"a" in call.headers',
      'has(call.tool.arguments.a)',
    ),
    fc
      .tuple(scalar, fc.constantFrom('all', 'exists', 'exists_one'))
      .map(([list, loop]) => `${list}.${loop}(i, i == "a")`),
    fc
      .tuple(scalar, fc.constantFrom('re2', 'glob'))
      .map(([text, name]) => `${name}(${text}, "a*")`),
    fc
      .tuple(tie('clause'), fc.constantFrom('&&', '||'), tie('clause'))
      .map((parts) => `(${parts.join(' ')})`),
    tie('clause').map((inner) => `!(${inner})`),
    fc
      .tuple(tie('clause'), tie('clause'), tie('clause'))
      .map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
  ),
}))

void t.test('any condition comes to something for any call, and to the same each time', (t) => {
  let conditions = 0
  const known = new Map<boolean | 'error', number>()
  fc.assert(
    fc.property(clause, anyCall, (text, call) => {
      const read = readCondition(text)
      if ('faults' in read) return
      conditions += 1
      const outcome = outcomeOf(read.condition, call)
      known.set(outcome, (known.get(outcome) ?? 0) + 1)
      if (outcomeOf(read.condition, call) !== outcome) throw new Error('not the same')
      const negated = readCondition(`!(${text})`)
      if ('condition' in negated && outcomeOf(negated.condition, call) !== negate(outcome))
        throw new Error('its negation is no negation')
      const clauses = explainCondition(read.condition, factsOf(call), {})
      if (clauses.length === 0) throw new Error('no clause')
      for (const { value } of clauses)
        if (!/^(?:true$|false$|error: .)/.test(value)) throw new Error(value)
    }),
    { numRuns: RUNS },
  )
  t.ok(conditions > RUNS / 10, `${conditions} of ${RUNS} are conditions`)
  for (const outcome of [true, false, 'error'] as const)
    t.ok((known.get(outcome) ?? 0) > 20, `${outcome}`)
  t.end()
})

function outcomeOf(condition: Condition, call: Call): boolean | 'error' {
  return judgeCondition(condition, factsOf(call), {})
}

function negate(outcome: boolean | 'error'): boolean | 'error' {
  return outcome === 'error' ? outcome : !outcome
}

/** Arithmetic and logic of whole numbers and texts. */
const { number, truth } = fc.letrec<{ number: string; text: string; truth: string }>((tie) => ({
  number: fc.oneof(
    { depthSize: 'small' },
    fc.integer({ min: -20, max: 20 }).map((value) => `(${value})`),
    fc.constant('task.depth'),
    fc
      .tuple(tie('number'), fc.constantFrom('+', '-', '*', '/', '%'), tie('number'))
      .map((parts) => `(${parts.join(' ')})`),
    tie('text').map((text) => `size(${text})`),
  ),
  text: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom('"a"', '"ab"', '""', "'b'", 'task.intent'),
    fc.tuple(tie('text'), tie('text')).map(([one, other]) => `(${one} + ${other})`),
    tie('truth').map((condition) => `(${condition} ? "a" : "b")`),
  ),
  truth: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom('true', 'false'),
    fc
      .tuple(tie('number'), fc.constantFrom('==', '!=', '<', '<=', '>', '>='), tie('number'))
      .map((parts) => `(${parts.join(' ')})`),
    fc
      .tuple(tie('text'), fc.constantFrom('==', '!=', '<', '>'), tie('text'))
      .map((parts) => `(${parts.join(' ')})`),
    fc
      .tuple(tie('text'), fc.constantFrom('startsWith', 'endsWith', 'contains'), tie('text'))
      .map(([one, name, other]) => `${one}.${name}(${other})`),
    fc
      .tuple(tie('truth'), fc.constantFrom('&&', '||'), tie('truth'))
      .map((parts) => `(${parts.join(' ')})`),
    tie('truth').map((inner) => `!${inner}`),
    fc
      .tuple(
        fc.constantFrom('all', 'exists', 'exists_one'),
        fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 4 }),
        tie('number'),
      )
      .map(([loop, list, other]) => `[${list.join(', ')}].${loop}(i, i > ${other})`),
  ),
}))

void t.test('a condition of known types comes to what the library evaluates', (t) => {
  const library = new Environment().registerVariable({
    name: 'task',
    schema: { depth: 'int', intent: 'string' },
  })
  const call = { task: { depth: 2, intent: 'abc' } }
  let compared = 0
  fc.assert(
    fc.property(
      fc.oneof(
        truth,
        number.map((value) => `${value} >= 0`),
      ),
      (text) => {
        const read = readCondition(text)
        if ('faults' in read) return
        let expected: unknown
        try {
          expected = library.evaluate(text, { task: { depth: 2n, intent: 'abc' } })
        } catch {
          expected = 'error'
        }
        compared += 1
        if (outcomeOf(read.condition, call) !== expected)
          throw new Error(`${text}: ${String(expected)}`)
      },
    ),
    { numRuns: RUNS },
  )
  t.ok(compared > RUNS / 2, `${compared} compared`)
  t.end()
})
