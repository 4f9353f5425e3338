// The work in JSON is told before it is parsed: what people and programs send has little of it, whatever its length.

import t from 'tap'

import { hasFewValues } from '../../../src/inspect/json-size.ts'

const MEBIBYTE = 1024 * 1024
const fill = (unit: string): string => unit.repeat((4 * MEBIBYTE) / unit.length)

void t.test('a long prompt has few values, millions of them are too many', (t) => {
  const few: readonly string[] = [
    '{}',
    JSON.stringify({ messages: [{ role: 'user', content: fill('a, b: {c} [d] ') }] }),
    JSON.stringify({ messages: [{ role: 'user', content: fill('"quoted", \\ and [so] on') }] }),
    JSON.stringify(
      Array.from({ length: 10_000 }, () => ({ role: 'user', content: 'x'.repeat(300) })),
    ),
    JSON.stringify({ input: Array.from({ length: 300_000 }, () => 12_345) }),
    JSON.stringify({ arguments: JSON.stringify({ text: fill('ab, cd: ').slice(0, MEBIBYTE) }) }),
    '"not closed',
    '"\\"',
  ]
  for (const text of few) t.ok(hasFewValues(text), text.slice(0, 80))
  const many: readonly string[] = [
    `[${fill('1,')}1]`,
    `[${fill('{},')}1]`,
    fill('['),
    fill('{"a":'),
    `{${fill('"a":1,')}}`,
    JSON.stringify({ arguments: `[${fill('1,')}1]` }),
    JSON.stringify({ arguments: ` ${fill('[')}` }),
    `{"arguments":"\\u005b${fill('1,')}"}`,
    `{"a\\\\":[${fill('1,')}1]}`,
  ]
  for (const text of many) t.notOk(hasFewValues(text), text.slice(0, 80))
  t.end()
})
